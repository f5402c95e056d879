import { ConfigError } from "../errors.ts"
import type { Bench } from "./bench.ts"

/** Questions on a terminal; no command needs one: each answer can be given on the command line. */
export class Questions {
  readonly #bench: Bench
  readonly #lines: AsyncIterator<string>

  constructor(bench: Bench) {
    this.#bench = bench
    this.#lines = linesOf(bench.stdin)
  }

  /** Whether a person can be asked. */
  get isPossible(): boolean {
    const { stdin, stderr, flags } = this.#bench
    return stdin.isTTY === true && stderr.isTerminal && !flags.json
  }

  /** The answer without white space around it, `fallback` where it is empty; ConfigError config/usage where nobody can be asked. */
  async ask(question: string, option: string, fallback?: string): Promise<string> {
    if (!this.isPossible) {
      if (fallback !== undefined) return fallback
      throw new ConfigError("config/usage", `${question}: not given, and there is no terminal to ask on`, {
        hint: `give it with ${option}`,
      })
    }
    for (;;) {
      this.#bench.stderr.write(`${question}${fallback === undefined ? "" : ` [${fallback}]`}: `)
      const answer = (await this.#next()).trim()
      if (answer !== "") return answer
      if (fallback !== undefined) return fallback
    }
  }

  async #next(): Promise<string> {
    const { signal } = this.#bench
    const aborted = Promise.withResolvers<never>()
    const abort = (): void => aborted.reject(signal.reason)
    signal.addEventListener("abort", abort, { once: true })
    if (signal.aborted) abort()
    try {
      const { value, done } = await Promise.race([this.#lines.next(), aborted.promise])
      if (done === true) throw new ConfigError("config/usage", "the input ended before every question was answered")
      return value
    } finally {
      signal.removeEventListener("abort", abort)
    }
  }
}

async function* linesOf(chunks: AsyncIterable<Uint8Array | string>): AsyncGenerator<string> {
  let rest = ""
  for await (const chunk of chunks) {
    const lines = (rest + (typeof chunk === "string" ? chunk : Buffer.from(chunk).toString("utf8"))).split(/\r?\n/)
    rest = lines.pop() ?? ""
    yield* lines
  }
  if (rest !== "") yield rest
}

/** Everything standard input has, up to a limit; for a secret that is given with "-". */
export async function readStdin(bench: Bench, bytesMax: number): Promise<string> {
  const parts: Uint8Array[] = []
  let length = 0
  for await (const chunk of bench.stdin) {
    const bytes = Buffer.from(chunk)
    length += bytes.length
    if (length > bytesMax) throw new ConfigError("config/usage", `standard input: more than ${String(bytesMax)} bytes`)
    parts.push(bytes)
  }
  return Buffer.concat(parts).toString("utf8")
}
