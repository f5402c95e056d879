import { KeyError } from "../errors.ts"
import { isTypedSheet, readEscrowSheet } from "./escrow.ts"
import { readPrivateFile } from "./private-file.ts"
import { type Identity, parseIdentity } from "./recipient.ts"

// In one piece, or in the groups of an escrow sheet.
const identityPattern = /AGE-SECRET-KEY-(?:PQ-)?1(?:[02-9AC-HJ-NP-Z]{58}|\s+(?:1\s+)?(?:[02-9AC-HJ-NP-Z]{4}\s+){4})/i

/**
 * The identities of a file as age-keygen writes it, of standard input or of a credential: one on a line, with comments and blank
 * lines. The lines of an escrow sheet, typed as they are printed, are read too. `name` begins every message; no message repeats text.
 */
export function parseIdentities(text: string, name: string): readonly [Identity, ...Identity[]] {
  refuseEncrypted(text, name)
  if (isTypedSheet(text)) return [readEscrowSheet(text)]
  const lines = text.replace(/^\ufeff/, "").split(/\r\n|\n|\r/)
  const [first, ...rest] = lines.flatMap((line, index) => {
    const trimmed = line.trim()
    return trimmed === "" || trimmed.startsWith("#") ? [] : [onLine(trimmed, `${name}: line ${String(index + 1)}`)]
  })
  if (first === undefined) throw new KeyError("key/missing", `${name}: it holds no identity`)
  return [first, ...rest]
}

/** The identities of a file that only its owner can read, such as a systemd credential. */
export async function readIdentityFile(path: string): Promise<readonly [Identity, ...Identity[]]> {
  return parseIdentities(await readPrivateFile(path, "identity file"), `identity file ${path}`)
}

/** Whether an identity stands anywhere in it: none may be on an agent. */
export function containsIdentity(content: string | Uint8Array): boolean {
  const text =
    typeof content === "string" ? content : Buffer.from(content.buffer, content.byteOffset, content.byteLength).toString("latin1")
  return identityPattern.test(text)
}

function onLine(line: string, place: string): Identity {
  try {
    return parseIdentity(line)
  } catch (cause) {
    if (!(cause instanceof KeyError)) throw cause
    throw new KeyError(cause.code, `${place}: ${cause.message}`, { ...(cause.hint === undefined ? {} : { hint: cause.hint }), cause })
  }
}

function refuseEncrypted(text: string, name: string): void {
  if (!/^\s*(?:age-encryption\.org\/v1|-----BEGIN AGE ENCRYPTED FILE-----)/.test(text)) return
  throw new KeyError("key/malformed", `${name}: it is encrypted itself`, {
    hint: "open it first, and give what comes out: age -d FILE | holdline … --identity -",
  })
}
