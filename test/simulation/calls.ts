import { utcDay } from "../../src/clock.ts"
import { JobError } from "../../src/errors.ts"
import type { Found, Source, SourceItem } from "../../src/source/source.ts"
import type { Dice } from "../world/dice.ts"
import { type SourceFile, writeSourceFile } from "./files.ts"
import type { SourceTrouble } from "./plan.ts"
import { Past } from "./truth.ts"

const hourMs = 3_600_000
const dayMs = 24 * hourMs
/** Of all customers, on an average day; each is a recording, and a line in its customer's records of that day. */
const callsADay = 60
/** Calls by hour of the day: offices, with a pause at noon and a few customers who never sleep. */
const rhythm = [1, 1, 1, 1, 1, 2, 4, 10, 22, 30, 32, 28, 18, 24, 30, 30, 26, 18, 10, 6, 4, 3, 2, 1]
const rhythmSum = rhythm.reduce((sum, weight) => sum + weight, 0)
/** A call that is recorded a day later than it was made: a trunk that was cut, a phone that was off. */
const lateShare = 0.08

interface Kept {
  file: SourceFile
  changed: number
}

/** Recordings and call detail records of all customers: they arrive all day, some late, and records grow with each call of their day. */
export class CallArchive {
  readonly #root: string
  readonly #dice: Dice
  readonly #accounts: number
  readonly #kept = new Map<string, Kept>()
  readonly #records = new Map<string, string>()
  readonly pasts = new Map<string, Past<string>>()
  #calls = 0

  constructor(root: string, dice: Dice, accounts: number) {
    this.#root = root
    this.#dice = dice
    this.#accounts = accounts
  }

  /** What the customers of an hour leave behind. */
  live(hour: Date): void {
    const dice = this.#dice
    const expected = (callsADay * (rhythm[hour.getUTCHours()] ?? 0)) / rhythmSum
    const calls = Math.floor(expected * (0.5 + dice.next()) + dice.next())
    for (let call = 0; call < calls; call++) {
      const late = dice.chance(lateShare) ? dayMs : 0
      this.#call(`customer-${String(dice.between(1, this.#accounts)).padStart(3, "0")}`, utcDay(new Date(hour.getTime() - late)), hour)
    }
  }

  #call(stableId: string, day: string, hour: Date): void {
    const dice = this.#dice
    this.#calls += 1
    const folder = `${stableId}/${day}`
    const recording = `${folder}/${String(this.#calls).padStart(6, "0")}.wav`
    this.#write(recording, dice.bytes(dice.between(200, 3000)), { stableId, day, hour })
    const records = `${folder}/records.csv`
    const line = `${String(this.#calls)},${String(dice.between(100, 199))},${String(dice.between(1, 3600))},${recording}\n`
    this.#records.set(records, (this.#records.get(records) ?? "call,extension,seconds,recording\n") + line)
    this.#write(records, Buffer.from(this.#records.get(records) ?? ""), { stableId, day, hour })
  }

  #write(path: string, bytes: Uint8Array, { stableId, day, hour }: { stableId: string; day: string; hour: Date }): void {
    // A file of an hour is younger than its earlier self, were it written twice in it.
    const changed = new Date(hour.getTime() + this.#calls)
    const file = writeSourceFile(this.#root, bytes, { stableId, day, path, changed, compressible: path.endsWith(".csv") })
    this.#kept.set(path, { file, changed: hour.getTime() })
    const past = this.pasts.get(path) ?? new Past()
    past.change(file.looks)
    this.pasts.set(path, past)
  }

  /** What a run is asked to capture: what changed in the last two days, and each night in the last week. */
  capturing(hour: Date, trouble: SourceTrouble["kind"] | null): Capturing {
    const since = hour.getTime() - (hour.getUTCHours() === 3 ? 7 : 2) * dayMs
    const items = [...this.#kept.values()].filter(({ changed }) => changed >= since).map(({ file }) => file.item)
    items.sort((a, b) => Buffer.compare(a.path, b.path))
    return new Capturing(items, { pasts: this.pasts, trouble, dice: this.#dice })
  }
}

interface CapturingOptions {
  readonly pasts: ReadonlyMap<string, Past<string>>
  readonly trouble: SourceTrouble["kind"] | null
  readonly dice: Dice
}

/** The source of one run, which notes what it showed. */
export class Capturing implements Source {
  readonly description = "simulated calls"
  readonly #items: readonly SourceItem[]
  readonly #options: CapturingOptions
  readonly #shown: Past<string>[] = []
  /** Whether it kept something from the run. */
  missed = false
  failed = false

  constructor(items: readonly SourceItem[], options: CapturingOptions) {
    this.#items = items
    this.#options = options
  }

  async *capture({ now }: { readonly now: Date }): AsyncGenerator<Found> {
    const { pasts, trouble, dice } = this.#options
    const failsAt = trouble === "source away" ? dice.between(0, this.#items.length) : null
    const unreadable = trouble === "items unreadable" ? dice.between(0, this.#items.length - 1) : null
    for (const [index, item] of this.#items.entries()) {
      if (index === failsAt) break
      if (index === unreadable) {
        this.missed = true
        const { stableId, day, path } = item
        yield { miss: { stableId, day, path, reason: "unreadable", detail: "simulated: it cannot be read in this hour" } }
        continue
      }
      const past = pasts.get(item.path.toString())
      past?.show(now.getTime())
      if (past !== undefined) this.#shown.push(past)
      yield { item }
    }
    if (failsAt === null) return
    this.failed = true
    throw new JobError("job/source", "simulated calls: the disk is not there in this hour")
  }

  /** A run said that what it was shown is kept. */
  promise(now: number): void {
    for (const past of this.#shown) past.promise(now)
  }
}
