import { execFile } from "node:child_process"
import { chmod, mkdir, mkdtemp, readFile, realpath, rm, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { dirname, join } from "node:path"
import { Readable, Writable } from "node:stream"
import { main } from "../../src/cli/main.ts"
import { systemClock } from "../../src/clock.ts"
import { systemRandom } from "../../src/random.ts"

/**
 * A transcript reads like a manual and is run like a test: text, then the files of a project (`-- path --`), then `-- transcript --` with
 * command lines (`$ …`), how each ends (`! 2`, unless it is 0) and what it prints, stdout and stderr as they come. A line that begins with
 * `#` in the transcript is a remark. `holdline` is this checkout's; other commands go to a shell in the project's directory.
 *
 * `<project>` stands for the project's directory; `<duration>`, `<time>`, `<id>`, `<size>` and `<…>` for what differs from run to run, two
 * spaces for the space between columns, a line `…` for any number of lines. `$ cd DIRECTORY` is followed by the commands after it.
 */
export interface Transcript {
  readonly files: ReadonlyMap<string, string>
  readonly steps: readonly Step[]
}

export interface Step {
  readonly line: number
  readonly command: string
  readonly exit: number
  readonly expected: readonly string[]
}

export interface Played {
  readonly exit: number
  /** Lines, with the project's directory as `<project>`. */
  readonly printed: readonly string[]
}

export function parseTranscript(text: string): Transcript {
  const files = new Map<string, string>()
  const steps: { line: number; command: string; exit: number; expected: string[] }[] = []
  let section: string | null = null
  for (const [index, line] of text.trimEnd().split("\n").entries()) {
    const heading = /^-- (\S+) --$/.exec(line)?.[1]
    if (heading !== undefined) {
      section = heading
      if (heading !== "transcript") files.set(heading, "")
    } else if (section === "transcript") addLine(steps, line, index + 1)
    else if (section !== null) files.set(section, `${files.get(section) ?? ""}${line}\n`)
  }
  for (const { expected } of steps) while (expected.at(-1) === "") expected.pop()
  return { files, steps }
}

function addLine(steps: { line: number; command: string; exit: number; expected: string[] }[], line: string, number: number): void {
  if (line.startsWith("#")) return
  if (line.startsWith("$ ")) {
    steps.push({ line: number, command: line.slice(2), exit: 0, expected: [] })
    return
  }
  const step = steps.at(-1)
  if (step === undefined) return
  const exit = /^! (\d+)$/.exec(line)?.[1]
  if (exit !== undefined && step.expected.length === 0) step.exit = Number(exit)
  else step.expected.push(line)
}

/** A directory with a transcript's files, which goes when it is disposed of. */
export async function project(files: ReadonlyMap<string, string>): Promise<{ readonly root: string } & AsyncDisposable> {
  const root = await realpath(await mkdtemp(join(tmpdir(), "transcript-")))
  for (const [name, text] of files) {
    const path = join(root, name)
    await mkdir(dirname(path), { recursive: true })
    await writeFile(path, text.replaceAll("<project>", root))
  }
  return {
    root,
    async [Symbol.asyncDispose]() {
      await chmod(root, 0o700)
      await rm(root, { recursive: true, force: true })
    },
  }
}

/** Runs a command in `cwd`, a directory of the project. */
export async function play(line: string, root: string, cwd = root): Promise<Played> {
  const command = line.replaceAll("<project>", root)
  const [program, ...args] = words(command)
  const { exit, text } = program === "holdline" ? await playHoldline(args, cwd) : await playShell(command, cwd)
  const printed = text.replaceAll(root, "<project>").split("\n")
  if (printed.at(-1) === "") printed.pop()
  return { exit, printed: printed.map((line) => line.trimEnd()) }
}

/** Whether what was printed is what was expected, line by line. */
export function matchesAll([wanted, ...wantedRest]: readonly string[], printed: readonly string[]): boolean {
  if (wanted === undefined) return printed.length === 0
  if (wanted !== "…") return printed[0] !== undefined && matches(wanted, printed[0]) && matchesAll(wantedRest, printed.slice(1))
  return printed.some((_, skipped) => matchesAll(wantedRest, printed.slice(skipped))) || matchesAll(wantedRest, [])
}

/** Whether a printed line is what was expected, with the placeholders' freedom. */
export function matches(expected: string, printed: string): boolean {
  const pattern = expected.split(/(<duration>|<time>|<id>|<size>|<…>| {2,})/).map((part) => placeholders.get(part) ?? escaped(part))
  return new RegExp(`^${pattern.join("")}$`).test(printed)
}

const placeholders: ReadonlyMap<string, string> = new Map(
  [
    ["<duration>", String.raw`\d+(?:\.\d+)? ?(?:ms|s)|\d+[mhd] \d+[smh]`],
    ["<time>", String.raw`\d{4}-\d{2}-\d{2}[ T]\d{2}:\d{2}:\d{2}(?:\.\d{3})?(?:Z|[+-]\d{2}:\d{2})`],
    ["<id>", "[0-9a-f]{8,64}"],
    ["<size>", String.raw`\d+(?:\.\d+)? [KMGT]?i?B`],
    ["<…>", ".*"],
  ].map(([name = "", pattern = ""]) => [name, `(?:${pattern})`]),
)

// Columns are as wide as what differs makes them.
function escaped(text: string): string {
  if (/^ {2,}$/.test(text)) return " {2,}"
  return text.replace(/[.*+?^${}()|[\]\\]/g, String.raw`\$&`)
}

async function playHoldline(args: readonly string[], cwd: string): Promise<{ exit: number; text: string }> {
  const input = args.indexOf("<")
  const stdin = input === -1 ? "" : await readFile(join(cwd, args[input + 1] ?? ""), "utf8")
  let text = ""
  const sink = (): Writable =>
    new Writable({
      write(chunk: Buffer, _, done) {
        text += chunk.toString()
        done()
      },
    })
  const exit = await main({
    argv: input === -1 ? args : args.slice(0, input),
    stdin: Readable.from([stdin]),
    stdout: sink(),
    stderr: sink(),
    env: { PATH: process.env.PATH },
    signal: new AbortController().signal,
    clock: systemClock,
    random: systemRandom,
    cwd,
  })
  return { exit, text }
}

// A shell finds this checkout's holdline too, for what needs a shell's words.
const path = `${join(import.meta.dirname, "../../bin")}:${process.env.PATH ?? ""}`

async function playShell(command: string, cwd: string): Promise<{ exit: number; text: string }> {
  return await new Promise((resolve, reject) => {
    execFile("/bin/sh", ["-c", command], { cwd, env: { PATH: path, LC_ALL: "C" } }, (error, stdout, stderr) => {
      if (error !== null && typeof error.code !== "number") reject(error)
      else resolve({ exit: typeof error?.code === "number" ? error.code : 0, text: stdout + stderr })
    })
  })
}

/** Words as a shell makes them, with single and double quotes; nothing is expanded. */
function words(command: string): string[] {
  return [...command.matchAll(/(?:[^\s"']|"[^"]*"|'[^']*')+/g)].map(([word]) => word.replace(/"([^"]*)"|'([^']*)'/g, "$1$2"))
}
