import { anyOf } from "../abort.ts"
import { SiteError } from "../errors.ts"
import type { VaultSite } from "./vault.ts"

export interface AskOptions {
  readonly signal: AbortSignal
  /** Whether what those named answered is enough to go on with. Absent: all are waited for. */
  readonly enough?: ((answered: readonly string[]) => boolean) | undefined
  /** How much longer a site is waited for once there is enough, in milliseconds; asked again when that is over, with how long it was. */
  readonly patienceMs?: ((site: string, waitedMs: number) => number) | undefined
  /** What becomes of a call that is waited for no longer: it is ended (the default), or goes on. */
  readonly late?: "end" | "go on" | undefined
}

export interface Answers<T> {
  /** By site, in the order of the sites. */
  readonly answers: ReadonlyMap<string, T>
  /** Of those that failed, and of those that were waited for no longer. */
  readonly failures: readonly SiteError[]
  /** Calls that go on. */
  readonly late: ReadonlyMap<string, Promise<T>>
}

/**
 * Asks every site at once. One that fails disturbs no other; one that is slow is waited for only so long, once enough have answered.
 * Rejects only with the signal's reason, or with what is a bug.
 */
export async function askSites<T>(
  sites: readonly VaultSite[],
  ask: (site: VaultSite, signal: AbortSignal) => Promise<T>,
  options: AskOptions,
): Promise<Answers<T>> {
  const { signal, enough = () => false, patienceMs = () => 0, late = "end" } = options
  signal.throwIfAborted()
  const answered = new Set<string>()
  const waits = sites.map((site) => new Wait(site, ask, signal))
  function limitOthers(): void {
    if (enough([...answered])) for (const wait of waits) wait.limit(patienceMs, late)
  }
  limitOthers()
  const outcomes = await Promise.all(
    waits.map(async (wait) => {
      const outcome = await wait.outcome
      if ("answer" in outcome) answered.add(wait.site)
      limitOthers()
      return { ...outcome, wait }
    }),
  )
  signal.throwIfAborted()
  const answers = new Map<string, T>()
  const failures: SiteError[] = []
  for (const outcome of outcomes) {
    if ("answer" in outcome) answers.set(outcome.wait.site, outcome.answer)
    else if (outcome.failure instanceof SiteError) failures.push(outcome.failure)
    else throw outcome.failure
  }
  const goingOn = outcomes.filter(({ wait }) => wait.goesOn).map(({ wait }) => [wait.site, wait.call] as const)
  return { answers, failures, late: new Map(goingOn) }
}

type Outcome<T> = { readonly answer: T } | { readonly failure: unknown }

/** One site's call, and how long it is waited for. */
class Wait<T> {
  readonly site: string
  readonly call: Promise<T>
  readonly outcome: Promise<Outcome<T>>
  goesOn = false
  readonly #ending = new AbortController()
  readonly #given = Promise.withResolvers<Outcome<T>>()
  #timer: NodeJS.Timeout | null = null
  #settled = false

  constructor(site: VaultSite, ask: (site: VaultSite, signal: AbortSignal) => Promise<T>, signal: AbortSignal) {
    this.site = site.name
    this.call = ask(site, anyOf(signal, this.#ending.signal))
    this.outcome = this.#given.promise
    this.call.then(
      (answer) => this.#settle({ answer }),
      (failure: unknown) => this.#settle({ failure }),
    )
  }

  /** From now on the site is waited for so long, if it is not already. */
  limit(patienceMs: (site: string, waitedMs: number) => number, late: "end" | "go on"): void {
    if (!this.#settled && this.#timer === null) this.#waitOn(patienceMs, late, 0)
  }

  #waitOn(patienceMs: (site: string, waitedMs: number) => number, late: "end" | "go on", waitedMs: number): void {
    const ms = patienceMs(this.site, waitedMs)
    // At least a turn of the event loop: an answer may be there already.
    if (ms <= 0 && waitedMs > 0) this.#giveUp(late)
    else this.#timer = setTimeout(() => this.#waitOn(patienceMs, late, waitedMs + Math.max(1, ms)), Math.max(0, ms))
  }

  #giveUp(late: "end" | "go on"): void {
    const failure = new SiteError(this.site, "site/unavailable", "no answer in time; enough other sites have answered")
    this.goesOn = late === "go on"
    if (late === "end") this.#ending.abort(failure)
    this.#settle({ failure })
  }

  #settle(outcome: Outcome<T>): void {
    if (this.#timer !== null) clearTimeout(this.#timer)
    this.#settled = true
    this.#given.resolve(outcome)
  }
}
