import { createInterface } from "node:readline"
import { errnoOf, reasonOf } from "../errors.ts"
import { attributesTimeoutMs } from "../limits.ts"
import { type Environment, type Program, startProgram } from "../program.ts"
import type { SourceNote } from "./source.ts"

/**
 * A note for each file below `root` with attributes or access lists that a snapshot does not keep. Node cannot read them, so getfattr
 * does, where it is installed; where it is not, or fails, one note says that nobody looked.
 */
export async function* extendedAttributes(root: Buffer, environment: Environment, signal: AbortSignal): AsyncGenerator<SourceNote> {
  const name = root.toString("utf8")
  if (!Buffer.from(name, "utf8").equals(root)) {
    yield notExamined("the source's path is not UTF-8")
    return
  }
  const program = startProgram(["getfattr", "-R", "-h", "-P", "-m", "-", "--absolute-names", "--", name], {
    environment,
    signal,
    timeoutMs: attributesTimeoutMs,
  })
  try {
    yield* notesFrom(program, root)
    await program.succeeded()
  } catch (error) {
    signal.throwIfAborted()
    const missing = error instanceof Error && errnoOf(error.cause) === "ENOENT"
    yield notExamined(missing ? "getfattr is not installed" : reasonOf(error))
  } finally {
    program.end()
  }
}

function notExamined(detail: string): SourceNote {
  return { kind: "attributes-not-examined", path: Buffer.alloc(0), detail }
}

// What belongs to this host's policy and is set anew by it, such as SELinux labels, is no loss.
const kept = /^(?:user\.|trusted\.|security\.capability$|system\.(?:posix_acl_|nfs4_acl))/

async function* notesFrom(program: Program, root: Buffer): AsyncGenerator<SourceNote> {
  let path: Buffer | undefined
  let names: string[] = []
  // getfattr escapes line breaks in names, so a line is a line. latin1 keeps every byte.
  for await (const line of createInterface({ input: program.stdout.setEncoding("latin1"), crlfDelay: 0 })) {
    if (line.startsWith("# file: ")) {
      path = below(root, unescaped(line.slice("# file: ".length)))
      names = []
    } else if (line === "") {
      if (path !== undefined && names.length > 0) yield { kind: "extended-attributes", path, detail: names.join(", ") }
      path = undefined
    } else if (kept.test(line)) {
      names.push(line)
    }
  }
}

function unescaped(text: string): Buffer {
  return Buffer.from(
    text.replace(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(Number.parseInt(octal, 8))),
    "latin1",
  )
}

function below(root: Buffer, absolute: Buffer): Buffer {
  if (absolute.equals(root)) return Buffer.alloc(0)
  return absolute.subarray(root.length + 1)
}
