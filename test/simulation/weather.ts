import { SiteError } from "../../src/errors.ts"
import type { Around } from "../../src/site/around.ts"
import { openedAround } from "../../src/site/around.ts"
import type { OpenedSite } from "../../src/site/site.ts"
import type { LabClock } from "../operation/lab.ts"
import type { Burst, FaultKind, Moment, Outage, Plan, SiteName } from "./plan.ts"

/** What an answer takes. */
const callMs = 10

interface Fault {
  readonly kind: FaultKind
  readonly error: SiteError
  readonly applied: boolean
}

interface Pending {
  readonly burst: Burst
  left: number
}

/** What lies between the agent and its sites: the outages and failing calls of a plan. */
export class Weather {
  readonly #clock: LabClock
  readonly #outages: readonly Outage[]
  readonly #bursts: Pending[]
  readonly #calls = new Map<SiteName, number>()
  readonly #troubled = new Map<SiteName, Set<FaultKind>>()
  readonly #met = new Set<Outage | Burst>()
  #hour = 0
  /** While it is calm, nothing goes wrong. */
  calm = false

  constructor({ outages, bursts }: Pick<Plan, "outages" | "bursts">, clock: LabClock) {
    this.#outages = outages
    this.#bursts = bursts.map((burst) => ({ burst, left: burst.length }))
    this.#clock = clock
  }

  /** A new hour; calls are counted anew. */
  begin(hour: number): void {
    this.#hour = hour
    this.#calls.clear()
    this.forget()
  }

  /** From now on only what is met later counts as trouble. */
  forget(): void {
    this.#troubled.clear()
  }

  /** Sites of which a call failed. */
  get troubled(): ReadonlyMap<SiteName, ReadonlySet<FaultKind>> {
    return this.#troubled
  }

  /** How many of the plan's were met, by kind. */
  met(kind: FaultKind): number {
    return [...this.#met].filter((fault) => fault.kind === kind).length
  }

  /** The same site, behind the weather; `onPut` is told of every object that it took. */
  around(name: SiteName, opened: OpenedSite, onPut: (key: string) => void): OpenedSite {
    const weather = this
    const around: Around = {
      async call(what, options, call) {
        const fault = weather.#next(name, what)
        if (fault !== null && !fault.applied) throw fault.error
        const result = await call(options?.signal)
        if (what.startsWith("put ") || what.startsWith("replace ")) onPut(what.slice(what.indexOf(" ") + 1))
        if (fault !== null) throw fault.error
        return result
      },
      list(what, options, list) {
        const fault = weather.#next(name, what)
        const listing = list(options ?? {})
        return fault === null ? listing : broken(listing, fault)
      },
    }
    return openedAround(opened, around)
  }

  #next(site: SiteName, what: string): Fault | null {
    this.#clock.advance(callMs)
    const call = this.#calls.get(site) ?? 0
    this.#calls.set(site, call + 1)
    if (this.calm) return null
    const now = { hour: this.#hour, call }
    const outage = this.#outages.find(({ sites, from, until }) => sites.includes(site) && !isBefore(now, from) && isBefore(now, until))
    if (outage !== undefined) return this.#meet(outage, site, { applied: false, code: "site/unavailable", what })
    const pending = this.#bursts.find(({ burst, left }) => left > 0 && burst.site === site && !isBefore(now, burst.from))
    if (pending === undefined) return null
    pending.left -= 1
    const { burst } = pending
    return this.#meet(burst, site, { applied: burst.kind === "answer lost", code: burst.code, what })
  }

  #meet(
    met: Outage | Burst,
    site: SiteName,
    { applied, code, what }: { readonly applied: boolean; readonly code: Burst["code"]; readonly what: string },
  ): Fault {
    this.#met.add(met)
    const kinds = this.#troubled.get(site) ?? new Set()
    this.#troubled.set(site, kinds.add(met.kind))
    return { kind: met.kind, applied, error: new SiteError(site, code, `${what}: ${met.kind}`) }
  }
}

/** A listing that breaks off: at its beginning, or, where it was answered, after its first object. */
async function* broken<T>(listing: AsyncIterable<T>, { applied, error }: Fault): AsyncGenerator<T> {
  if (!applied) throw error
  for await (const info of listing) {
    yield info
    break
  }
  throw error
}

function isBefore(a: Moment, b: Moment): boolean {
  return a.hour < b.hour || (a.hour === b.hour && a.call < b.call)
}
