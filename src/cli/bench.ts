import { existsSync } from "node:fs"
import { join } from "node:path"
import { anyOf } from "../abort.ts"
import type { Catalog } from "../catalog/catalog.ts"
import { type Clock, type Sleep, systemSleep } from "../clock.ts"
import { ConfigError } from "../errors.ts"
import type { Random } from "../random.ts"
import { type Paint, paintWith } from "../report/paint.ts"
import { isTimeZone } from "../time-zone.ts"
import { parseDuration } from "../units.ts"
import type { Loaded } from "../wiring/config.ts"
import type { Io } from "../wiring/io.ts"
import type { Environment } from "../wiring/locate.ts"
import { type Exit, TimeLimitReached, worse } from "./exit.ts"
import { formatMoment } from "./moment.ts"
import { Output, type Stream } from "./output.ts"
import type { Renderer } from "./progress.ts"

/** What the front door hands in: nothing below takes any of it from the air. */
export interface Process {
  /** Without the names of Node and of the program. */
  readonly argv: readonly string[]
  readonly stdin: AsyncIterable<Uint8Array | string> & { readonly isTTY?: boolean | undefined }
  readonly stdout: Stream
  readonly stderr: Stream
  readonly env: Environment
  /** Aborted by the first Ctrl-C or SIGTERM; the second ends the process. */
  readonly signal: AbortSignal
  readonly clock: Clock
  readonly random: Random
  /** Calls the listener whenever the process is asked to read its configuration again (SIGHUP); gives how to end that. */
  readonly onHangup?: (listener: () => void) => () => void
  /** Where relative paths of the command line start; the working directory unless a test names another. */
  readonly cwd?: string
}

/** Options that every command takes. */
export interface Flags {
  readonly config?: string | undefined
  readonly jobs?: string | undefined
  readonly state?: string | undefined
  readonly agent?: string | undefined
  readonly timezone?: string | undefined
  readonly json: boolean
  readonly quiet: boolean
  readonly color: boolean
}

/**
 * What commands share: the process, the flags that all of them take, and the way to the configuration. Data goes to `out`, messages to
 * `note`; with --json, `record` writes typed lines instead. A command says how it ended with `ends`; the worst that was said counts.
 */
export class Bench {
  readonly env: Environment
  readonly clock: Clock
  readonly random: Random
  readonly sleep: Sleep = systemSleep
  readonly stdin: Process["stdin"]
  readonly stdout: Output
  readonly stderr: Output
  readonly cwd: string
  readonly #flags: () => Partial<Flags>
  readonly #onHangup: (listener: () => void) => () => void
  #signal: AbortSignal
  #exit: Exit = "done"
  #loaded: Promise<Loaded> | undefined

  constructor(outer: Process, flags: () => Partial<Flags>) {
    this.env = outer.env
    this.clock = outer.clock
    this.random = outer.random
    this.stdin = outer.stdin
    this.stdout = new Output(outer.stdout)
    this.stderr = new Output(outer.stderr)
    this.cwd = outer.cwd ?? process.cwd()
    this.#flags = flags
    this.#onHangup = outer.onHangup ?? (() => () => undefined)
    this.#signal = outer.signal
  }

  get flags(): Flags {
    return { json: false, quiet: false, color: true, ...this.#flags() }
  }

  /** Aborted by Ctrl-C, SIGTERM and the time limit. */
  get signal(): AbortSignal {
    return this.#signal
  }

  get exit(): Exit {
    return this.#exit
  }

  ends(exit: Exit): void {
    this.#exit = worse(this.#exit, exit)
  }

  /** From now on the signal is aborted after this long, such as "2h": what --timeout says. */
  limitTime(limit: string | undefined): void {
    if (limit === undefined) return
    const ms = parseDuration(limit)
    if (ms === undefined || ms === 0 || ms > timeoutMsMax) {
      throw new ConfigError("config/usage", `--timeout ${limit}: expected a duration such as 30m or 2h, at most 24d`)
    }
    const controller = new AbortController()
    const timer = setTimeout(() => controller.abort(new TimeLimitReached(limit)), ms)
    timer.unref()
    this.#signal = anyOf(this.#signal, controller.signal)
  }

  /** Data for people, on stdout. Nothing with --json, whose lines are written by `record`. */
  out(...lines: readonly string[]): void {
    if (!this.flags.json) for (const line of lines) this.stdout.line(line)
  }

  /** One typed line of --json on stdout; nothing without it. */
  record(type: string, fields: object): void {
    if (this.flags.json) this.stdout.line(JSON.stringify({ type, ...fields }))
  }

  /** A message on stderr, such as what to do next; nothing with --quiet or --json. */
  note(...lines: readonly string[]): void {
    if (!this.flags.quiet && !this.flags.json) for (const line of lines) this.stderr.line(line)
  }

  /** How words look on stdout. */
  get paint(): Paint {
    return paintWith({ colour: this.#hasColour(this.stdout) })
  }

  /** How words look on stderr. */
  get notePaint(): Paint {
    return paintWith({ colour: this.#hasColour(this.stderr) })
  }

  /** Whether a line on stderr can be written over. */
  get isLive(): boolean {
    return this.stderr.isTerminal && this.env.TERM !== "dumb" && !this.flags.quiet && !this.flags.json
  }

  /** A moment as people read it: in UTC, or in the zone that --timezone names. */
  moment(time: string | Date): string {
    return formatMoment(new Date(time), this.timezone)
  }

  /** The zone in which moments are read and written; UTC unless --timezone names another. */
  get timezone(): string {
    const { timezone = "UTC" } = this.flags
    if (isTimeZone(timezone)) return timezone
    throw new ConfigError("config/usage", `--timezone ${timezone}: not known here`, { hint: "use a name such as Europe/Berlin or UTC" })
  }

  /** As of the process; where a terminal is behind it, a hangup still means its end. */
  onHangup(listener: () => void): () => void {
    return this.stdin.isTTY === true ? () => undefined : this.#onHangup(listener)
  }

  /** Reads the configuration again, as it is now. */
  loadAgain(): Promise<Loaded> {
    return this.#load()
  }

  /** The configuration of this host, read once. */
  load(): Promise<Loaded> {
    this.#loaded ??= this.#load()
    return this.#loaded
  }

  // The help of a command needs none of what reads a configuration.
  async #load(): Promise<Loaded> {
    const { config, jobs, state, agent } = this.flags
    const { loadConfig } = await import("../wiring/config.ts")
    return await loadConfig({ env: this.env, cwd: this.cwd, flags: { config, jobs, state, agent } })
  }

  /** What wiring needs to open a world; what the world tells goes to `renderer`. */
  io(renderer: Pick<Renderer, "tell">): Io {
    const { env, clock, random, sleep, signal } = this
    return { env, clock, random, sleep, signal, tell: (event) => renderer.tell(event) }
  }

  /** This host's memory of its runs, for looking at; null where it has none yet. A run may be writing to it meanwhile. */
  async openCatalog(): Promise<Catalog | null> {
    const path = join((await this.load()).config.state, "catalog.sqlite")
    if (!existsSync(path)) return null
    const { Catalog } = await import("../catalog/catalog.ts")
    return Catalog.open(path, (reason) => this.note(`the catalog was damaged (${reason}) and put aside`))
  }

  #hasColour(output: Output): boolean {
    const { NO_COLOR, TERM } = this.env
    return output.isTerminal && this.flags.color && (NO_COLOR === undefined || NO_COLOR === "") && TERM !== "dumb"
  }
}

// What a timer of Node can wait: 2^31 - 1 milliseconds.
const timeoutMsMax = 24 * 86_400_000
