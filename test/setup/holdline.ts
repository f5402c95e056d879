import { mkdtemp, rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { Writable } from "node:stream"
import { main } from "../../src/cli/main.ts"
import { systemRandom } from "../../src/random.ts"

/** How one command line ended. */
export interface Ended {
  readonly exit: number
  readonly stdout: string
  readonly stderr: string
}

export interface Given {
  /** What a person types at a terminal; without it there is none. */
  readonly typed?: string
  /** What standard input holds where it is no terminal. */
  readonly piped?: string
  readonly env?: Readonly<Record<string, string>>
  readonly now?: Date
}

/** A directory for one test, and command lines that are run in it. */
export interface Place extends AsyncDisposable {
  readonly root: string
  path(...parts: readonly string[]): string
  run(argv: readonly string[], given?: Given): Promise<Ended>
  /** Everything that any command line said so far. */
  said(): string
}

export const noon = new Date("2026-11-21T12:00:00.000Z")

export async function place(): Promise<Place> {
  const root = await mkdtemp(join(tmpdir(), "setup-"))
  const said: string[] = []
  return {
    root,
    path: (...parts) => join(root, ...parts),
    async run(argv, given = {}) {
      const ended = await holdline(argv, root, given)
      said.push(ended.stdout, ended.stderr)
      return ended
    },
    said: () => said.join(""),
    [Symbol.asyncDispose]: () => rm(root, { recursive: true }),
  }
}

async function holdline(argv: readonly string[], cwd: string, { typed, piped, env = {}, now }: Given): Promise<Ended> {
  const isTTY = typed !== undefined
  const [stdout, stderr] = [new Heard(false), new Heard(isTTY)]
  const exit = await main({
    ...{ argv, cwd, stdout, stderr, random: systemRandom, signal: new AbortController().signal },
    stdin: Object.assign(chunks(typed ?? piped ?? ""), { isTTY }),
    env: { HOME: cwd, PATH: process.env.PATH, ...env },
    clock: { now: () => now ?? new Date() },
  })
  return { exit, stdout: stdout.text, stderr: stderr.text }
}

async function* chunks(text: string): AsyncGenerator<Uint8Array> {
  // A character at a time: what reads lines must join them.
  for (const byte of Buffer.from(text)) yield Uint8Array.of(byte)
}

class Heard extends Writable {
  text = ""
  readonly isTTY: boolean

  constructor(isTTY: boolean) {
    super({ decodeStrings: false })
    this.isTTY = isTTY
  }

  override _write(chunk: unknown, _encoding: unknown, done: () => void): void {
    this.text += String(chunk)
    done()
  }
}

/** A configuration of three directories that exist, for an operator's machine and for the backup host alike. */
export function configuration({ root, path }: Pick<Place, "root" | "path">, own: Partial<ConfigurationParts> = {}): string {
  const { days = 35, copies = 2, provider = "colo", fingerprint = "SHA256:…", agent = "pbx-fra-1" } = own
  return `version: 1
agent: ${agent}
state: ${path("state")}
trust: {file: ${path("host/trust.json")}, root: "${fingerprint}"}
signingKey: {file: ${path("host/agent.key")}}
spool: {max: 128 MiB}
durable: {copies: ${String(copies)}, providers: 1}
classes:
  state-35: {days: ${String(days)}, reuseDays: 7}
  mixed-28: {days: 28, keyEpoch: week, tier: {s3: STANDARD_IA}}
sites:
  one: {kind: directory, path: ${root}/sites/one, provider: own, region: here, zone: z-1, sameDevice: accepted}
  two: {kind: directory, path: ${root}/sites/two, provider: ${provider}, region: there, sameDevice: accepted}
`
}

interface ConfigurationParts {
  readonly days: number
  readonly copies: number
  readonly provider: string
  readonly fingerprint: string
  readonly agent: string
}

/** The SHA256 fingerprint that a command printed after this word. */
export function fingerprintAfter(word: string, text: string): string {
  const found = new RegExp(`^${word}\\s+(SHA256:[A-Za-z0-9+/]{43})$`, "m").exec(text)?.[1]
  if (found === undefined) throw new Error(`no fingerprint after ${word} in:\n${text}`)
  return found
}
