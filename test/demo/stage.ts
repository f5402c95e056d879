import { type ChildProcess, spawn } from "node:child_process"
import { mkdtempSync, realpathSync, rmSync } from "node:fs"
import { join } from "node:path"
import { createInterface } from "node:readline"
import { fileURLToPath } from "node:url"
import { z } from "zod"
import { type Paint, paintWith } from "../../src/report/paint.ts"
import { formatDuration } from "../../src/units.ts"
import { scratchParent } from "../scratch.ts"

const launcher = fileURLToPath(new URL("../../bin/holdline", import.meta.url))
const recordSchema = z.looseObject({ type: z.string() })

/** One typed line of `--json`. */
export type JsonRecord = z.infer<typeof recordSchema>

/** As wide as the demo's own lines get. */
const columns = 100

export interface Timed {
  readonly what: string
  readonly seconds: number
}

/**
 * Where the demo plays: a temporary directory that goes at the end, whatever happens; the real command line, whose exit codes are
 * checked; and claims, each of which is tested before it is printed.
 */
export class Stage implements Disposable {
  readonly directory = realpathSync(mkdtempSync(join(scratchParent(), "holdline-demo-")))
  readonly paint: Paint
  readonly times: Timed[] = []
  held = 0
  failed = 0
  readonly #signal: AbortSignal
  readonly #live = process.stderr.isTTY && process.env.TERM !== "dumb"
  readonly #started = performance.now()

  constructor(signal: AbortSignal) {
    this.#signal = signal
    const { NO_COLOR = "", TERM } = process.env
    this.paint = paintWith({ colour: process.stdout.isTTY && NO_COLOR === "" && TERM !== "dumb" })
  }

  path(...names: readonly string[]): string {
    return join(this.directory, ...names)
  }

  say(...lines: readonly string[]): void {
    for (const line of lines) process.stdout.write(`${line}\n`)
  }

  /** A chapter: its heading, what is done in it, and how long that took. */
  async chapter<T>(title: string, work: () => Promise<T>): Promise<T> {
    this.#signal.throwIfAborted()
    const started = performance.now()
    this.say("", this.paint.strong(`━━ ${title} ${"━".repeat(Math.max(2, columns - 4 - title.length))}`), "")
    const result = await work()
    this.#signal.throwIfAborted()
    this.times.push({ what: title, seconds: (performance.now() - started) / 1000 })
    return result
  }

  get elapsedMs(): number {
    return performance.now() - this.#started
  }

  /** Says what was found to be so, or that it was not; one claim that does not hold fails the demo. */
  claim(holds: boolean, text: string, found = ""): void {
    if (holds) this.held += 1
    else this.failed += 1
    this.say(holds ? `  ${this.paint.status("good", text)}` : `  ${this.paint.status("bad", `NOT SO: ${text}`)} ${found}`.trimEnd())
  }

  /** Runs `holdline …` in a directory of the demo, where it finds its configuration; what it prints is shown as it comes. */
  async holdline(cwd: string, args: readonly string[], { exit = 0 }: Expectation = {}): Promise<void> {
    this.#showCommand(cwd, args)
    const child = this.#spawn(cwd, args, "inherit")
    await this.#end(child, args, exit)
    this.say("")
  }

  /** The same with --json: its lines are for the demo to read. Progress is drawn on a terminal. */
  async ask(cwd: string, args: readonly string[], { exit = 0, silent = false }: Expectation = {}): Promise<JsonRecord[]> {
    const all = [...args, "--json"]
    if (!silent) this.#showCommand(cwd, all)
    const child = this.#spawn(cwd, all, "pipe")
    const records: JsonRecord[] = []
    const ended = this.#end(child, args, exit)
    if (child.stdout !== null) {
      for await (const line of createInterface({ input: child.stdout })) {
        const record = recordSchema.parse(JSON.parse(line))
        if (record.type === "progress") this.#draw(record)
        else records.push(record)
      }
    }
    await ended
    return records
  }

  [Symbol.dispose](): void {
    rmSync(this.directory, { recursive: true, force: true })
  }

  #showCommand(cwd: string, args: readonly string[]): void {
    const words = args.map((arg) => (/^[\w@%+=:,./-]+$/.test(arg) ? arg : `'${arg}'`).replaceAll(this.directory, "$DEMO"))
    const lines = [`${cwd === "." ? "" : cwd}$ holdline`]
    for (const [index, word] of words.entries()) {
      const longer = `${lines.at(-1) ?? ""} ${word}`
      // An option stays with its value.
      const next = word.startsWith("--") ? ` ${words[index + 1] ?? ""}` : ""
      if (longer.length + next.length <= columns - 2 || words[index - 1]?.startsWith("--") === true) lines.splice(-1, 1, longer)
      else lines.push(`    ${word}`)
    }
    this.say(...lines.map((line, index) => this.paint.strong(index < lines.length - 1 ? `${line} \\` : line)))
  }

  #spawn(cwd: string, args: readonly string[], stdout: "inherit" | "pipe"): ChildProcess {
    this.#signal.throwIfAborted()
    // The environment of whoever runs the demo must not lead it to another configuration, another cloud or a proxy.
    const own = Object.entries(process.env).filter(([name]) => !/^(HOLDLINE|AWS|GOOGLE|STORAGE)_|_proxy$/i.test(name))
    const options = { cwd: this.path(cwd), env: Object.fromEntries(own) }
    return spawn(process.execPath, [launcher, ...args], { ...options, stdio: ["ignore", stdout, "inherit"] })
  }

  async #end(child: ChildProcess, args: readonly string[], expected: number): Promise<void> {
    const stop = (): void => {
      child.kill("SIGTERM")
    }
    this.#signal.addEventListener("abort", stop)
    try {
      const code = await new Promise<number | null>((resolve, reject) => {
        child.on("error", reject)
        child.on("close", resolve)
      })
      this.#clear()
      this.#signal.throwIfAborted()
      if (code !== expected) throw new Mismatch(`holdline ${args.join(" ")}: ended with ${String(code)}, expected ${String(expected)}`)
    } finally {
      this.#signal.removeEventListener("abort", stop)
    }
  }

  #draw(record: JsonRecord): void {
    if (!this.#live) return
    const { phase, files, totalFiles } = progressSchema.parse(record)
    const of = totalFiles === undefined ? "" : ` of ${String(totalFiles)}`
    process.stderr.write(`\r\u001b[K  ${phase}  ${String(files)}${of} files`)
  }

  #clear(): void {
    if (this.#live) process.stderr.write("\r\u001b[K")
  }
}

const progressSchema = z.looseObject({ phase: z.string(), files: z.number(), totalFiles: z.number().optional() })

interface Expectation {
  readonly exit?: number
  /** The command itself is not shown. */
  readonly silent?: boolean
}

/** Something is not as it must be; the demo cannot go on. */
export class Mismatch extends Error {}

/** The last line of a command: its summary. */
export function summaryOf<T>(records: readonly JsonRecord[], schema: z.ZodType<T>): T {
  const summary = records.findLast(({ type }) => type === "summary")
  if (summary === undefined) throw new Mismatch("a command ended without a summary")
  return schema.parse(summary)
}

export function seconds(value: number): string {
  return formatDuration(value * 1000)
}
