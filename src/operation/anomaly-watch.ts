import { keptByDay, rememberedPresence, rememberedUpheaval, rememberPresence } from "../catalog/anomalies.ts"
import { timestamp, utcDay } from "../clock.ts"
import { massChangeDays, massChangeFilesMin, massChangeMs } from "../limits.ts"
import type { Source } from "../source/source.ts"
import { count } from "../units.ts"
import type { Finding } from "./anomalies.ts"
import type { Tally } from "./tally.ts"
import type { World } from "./world.ts"

export interface Watching {
  readonly dataset: string
  readonly run: number
  readonly started: Date
  /** Of the recent files that are known, what share may go or change within a day. */
  readonly share: number
}

/**
 * Watches an archive's recent files: recordings that go or change by the hundred are no platform's work. How many went follows from how
 * many of each day the source held the last time, holds now, and was given since; no file is remembered by itself. Begin it before the
 * run captures anything, and after what is lost at the sites was forgotten.
 */
export class MediaWatch {
  readonly #world: Pick<World, "catalog" | "tell">
  readonly #watching: Watching
  readonly #since: string
  readonly #kept: ReturnType<typeof keptByDay>
  readonly #met = new Map<string, number>()

  constructor(world: Pick<World, "catalog" | "tell">, watching: Watching) {
    this.#world = world
    this.#watching = watching
    this.#since = utcDay(new Date(watching.started.getTime() - massChangeDays * 86_400_000))
    this.#kept = keptByDay(world.catalog, watching.dataset, this.#since, watching.run)
  }

  /** The same source, with its recent files counted as they pass. */
  watched(source: Source): Source {
    const meet = (day: string) => {
      if (day >= this.#since) this.#met.set(day, (this.#met.get(day) ?? 0) + 1)
    }
    return {
      description: source.description,
      async *capture(options) {
        for await (const found of source.capture(options)) {
          if ("item" in found && found.item.type === "file") meet(found.item.day)
          yield found
        }
      },
    }
  }

  /** What to make of it, once the source was read whole and all of it is remembered. */
  judge(tally: Tally): Finding[] {
    const { dataset, started, share } = this.#watching
    const { catalog, tell } = this.#world
    const { known, gone, changed } = this.#changes()
    const before = rememberedUpheaval(catalog, dataset)
    const age = before === undefined ? Number.NaN : started.getTime() - Date.parse(before.since)
    const goesOn = before !== undefined && age >= 0 && age < massChangeMs
    const since = goesOn ? before.since : timestamp(started)
    const files = Math.max(known, goesOn ? before.files : 0)
    const lost = (goesOn ? before.lost : 0) + gone + changed
    const isMass = files >= massChangeFilesMin && gone + changed > 0 && lost > files * share
    // Once it was found, the next run is judged by what it meets itself.
    rememberPresence(catalog, dataset, this.#met, isMass ? null : { since, files, lost })
    if (!isMass) return []
    tally.doubt()
    const message = `of ${count(files, "file")} of the last ${String(massChangeDays)} days ${String(gone)} went away and ${String(changed)} changed: see whether somebody deletes or encrypts recordings`
    tell({ type: "warning", message })
    return [{ kind: "mass-change", numbers: { known: files, gone, changed, lost } }]
  }

  #changes(): { readonly known: number; readonly gone: number; readonly changed: number } {
    const { dataset, run } = this.#watching
    const now = keptByDay(this.#world.catalog, dataset, this.#since, run)
    const presence = rememberedPresence(this.#world.catalog, dataset)
    let [known, gone, changed] = [0, 0, 0]
    for (const day of new Set([...presence.keys(), ...this.#kept.keys(), ...now.keys()])) {
      const kept = this.#kept.get(day)?.files ?? 0
      const { files, captured } = now.get(day) ?? { files: 0, captured: 0 }
      const added = files - kept
      // What was forgotten meanwhile is captured anew, if it is still there: then it was added.
      const present = Math.min(presence.get(day) ?? kept, kept)
      known += present
      if (presence.has(day)) gone += Math.max(0, present + added - (this.#met.get(day) ?? 0))
      changed += Math.max(0, captured - added)
    }
    return { known, gone, changed }
  }
}
