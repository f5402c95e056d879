import type { Amount, MissedItems } from "../report/run.ts"
import { type MissReason, partialNotes, partialReasons, type SourceMiss, type SourceNote } from "../source/source.ts"
import type { AgentWorld } from "./world.ts"

const examplesMax = 5
/** Notes that say more than that there was one. */
const toldNotes: ReadonlySet<string> = new Set(["snapshot", "emptied", "unattributed", "large-objects"])
/** Between two events of progress, so that a quick run is not slowed by its own display. */
const progressEveryMs = 100

/** What a run has met so far. */
export class Tally {
  readonly #world: AgentWorld
  readonly #missed = new Map<MissReason, { count: number; examples: { path: string; detail: string }[] }>()
  readonly #notes = new Map<string, number>()
  #captured = { files: 0, bytes: 0 }
  #unchanged = { files: 0, bytes: 0 }
  #lastProgress = 0
  #doubted = false
  packs = 0
  storedBytes = 0

  constructor(world: AgentWorld) {
    this.#world = world
  }

  captured(bytes: number): void {
    this.#captured.files += 1
    this.#captured.bytes += bytes
    this.progress("capturing")
  }

  unchanged(bytes: number, files = 1): void {
    this.#unchanged.files += files
    this.#unchanged.bytes += bytes
    this.progress("capturing")
  }

  miss({ path, reason, detail }: SourceMiss): void {
    const entry = this.#missed.get(reason) ?? { count: 0, examples: [] }
    entry.count += 1
    if (entry.examples.length < examplesMax) entry.examples.push({ path: path.toString(), detail })
    this.#missed.set(reason, entry)
    this.#world.tell({ type: "missed", path: path.toString(), reason, detail })
  }

  note({ kind, detail }: Pick<SourceNote, "kind" | "detail">): void {
    const met = (this.#notes.get(kind) ?? 0) + 1
    this.#notes.set(kind, met)
    if (detail !== undefined && toldNotes.has(kind) && met <= examplesMax) this.#world.tell({ type: "warning", message: detail })
  }

  /** What was captured may not be all that should be there. */
  doubt(): void {
    this.#doubted = true
  }

  pack(bytes: number): void {
    this.packs += 1
    this.storedBytes += bytes
  }

  progress(phase: string): void {
    const now = this.#world.clock.now().getTime()
    if (now - this.#lastProgress < progressEveryMs && now >= this.#lastProgress) return
    this.#lastProgress = now
    const progress = { phase, files: this.#captured.files, bytes: this.#captured.bytes, unchanged: this.#unchanged.files }
    this.#world.tell({ type: "progress", progress })
  }

  /** Whether everything that was asked for was captured. What could not be attributed was, but someone must look at it. */
  get complete(): boolean {
    if (this.#doubted) return false
    if ([...this.#missed.keys()].some((reason) => partialReasons.has(reason))) return false
    return !partialNotes.some((kind) => this.#notes.has(kind))
  }

  get amounts(): { readonly captured: Amount; readonly unchanged: Amount } {
    return { captured: { ...this.#captured }, unchanged: { ...this.#unchanged } }
  }

  get missed(): MissedItems[] {
    return [...this.#missed].map(([reason, entry]) => ({ reason, ...entry }))
  }

  get notes(): Record<string, number> {
    return Object.fromEntries(this.#notes)
  }
}
