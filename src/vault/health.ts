import type { Clock } from "../clock.ts"
import { SiteError } from "../errors.ts"
import {
  circuitFailuresMax,
  circuitRestMaxMs,
  circuitRestMs,
  circuitTrialCalls,
  firstAnswerMs,
  silenceMs,
  siteFailureMemoryMs,
} from "../limits.ts"
import type { SiteCondition } from "../site/condition.ts"
import { formatDuration } from "../units.ts"

interface Circuit {
  failures: number
  failingSince: Date | null
  failedAt: Date | null
  reason: string
  restUntil: Date | null
  restMs: number
  /** Calls that must still succeed before the site is trusted as before; one that fails sends it back to rest. */
  trial: number
  /** The one call that tries whether a rested site is back. */
  probe: Promise<boolean> | null
  /** When this process first asked the site; null before. */
  askedAt: Date | null
  /** When it last answered this process; null before. */
  answeredAt: Date | null
}

/**
 * A circuit breaker for each site. One that fails a few times in a row is left alone for a while, so that a dead site costs a deadline
 * once and not for every object; then one call tries it, and a few must succeed before it is trusted as before: a site that comes
 * and goes is not let in and out with every call.
 */
export class SiteHealth {
  readonly #clock: Clock
  readonly #circuits = new Map<string, Circuit>()

  /**
   * A site that is remembered to have failed is tried by the first call of a new process, whatever is left of its rest: someone may have
   * mended it just now. But nobody waits for it.
   */
  constructor(clock: Clock, remembered: readonly SiteCondition[] = []) {
    this.#clock = clock
    for (const { site, restUntil, ...condition } of remembered) {
      if (restUntil === null) continue
      Object.assign(this.#circuit(site), condition, { failedAt: clock.now(), restUntil: new Date(0), trial: circuitTrialCalls })
    }
  }

  /** A call failed although it was repeated. */
  failed(site: string, reason = "no answer"): void {
    const circuit = this.#circuit(site)
    const now = this.#clock.now()
    circuit.failures += 1
    circuit.failingSince ??= now
    circuit.failedAt = now
    circuit.reason = reason
    if (circuit.failures < circuitFailuresMax && circuit.trial === 0) return
    // Calls that were under way when it was sent to rest say nothing new.
    if (circuit.restUntil !== null && circuit.restUntil > now) return
    circuit.restMs = Math.min(circuitRestMaxMs, circuit.restMs === 0 ? circuitRestMs : 2 * circuit.restMs)
    circuit.restUntil = new Date(now.getTime() + circuit.restMs)
    circuit.trial = circuitTrialCalls
  }

  /** The site gave an answer, were it only that it has no such object. */
  succeeded(site: string): void {
    const circuit = this.#circuit(site)
    circuit.answeredAt = this.#clock.now()
    circuit.failures = 0
    circuit.failingSince = null
    circuit.failedAt = null
    if (circuit.trial === 0) return
    circuit.restUntil = null
    circuit.trial -= 1
    if (circuit.trial === 0) circuit.restMs = 0
  }

  /** Whether the site has answered anything since this process began. */
  hasAnswered(site: string): boolean {
    return (this.#circuits.get(site)?.answeredAt ?? null) !== null
  }

  /**
   * How long an answer of a site is still worth waiting for, in milliseconds: none at all where it fails; less where it has not answered once
   * than where it does and is slow.
   */
  patienceMs(site: string): number {
    const { askedAt = null, answeredAt = null, failures = 0 } = this.#circuits.get(site) ?? {}
    if (failures > 0) return 0
    const heard = answeredAt ?? askedAt
    const allMs = answeredAt === null ? firstAnswerMs : silenceMs
    if (heard === null) return allMs
    return Math.min(allMs, Math.max(0, allMs - (this.#clock.now().getTime() - heard.getTime())))
  }

  /** Whether the site failed lately. A clock that was set back counts as lately. */
  isFailing(site: string): boolean {
    const circuit = this.#circuits.get(site)
    if (circuit === undefined) return false
    if (this.#rests(circuit)) return true
    return circuit.failedAt !== null && this.#clock.now().getTime() - circuit.failedAt.getTime() < siteFailureMemoryMs
  }

  /** The same sites in the same order, except that those failing come last. */
  order<Named extends { readonly name: string }>(sites: readonly Named[]): readonly Named[] {
    return [...sites.filter(({ name }) => !this.isFailing(name)), ...sites.filter(({ name }) => this.isFailing(name))]
  }

  /** What is known of the sites that were asked. */
  conditions(): SiteCondition[] {
    return [...this.#circuits].map(([site, { failures, failingSince, reason, restUntil, restMs }]) => ({
      ...{ site, failures, failingSince, reason, restUntil, restMs },
    }))
  }

  /** What a call's error says of the site: whoever refuses is there. Anything but a SiteError says nothing. */
  observe(site: string, error: unknown): void {
    if (!(error instanceof SiteError)) return
    if (error.retryable) this.failed(site, reasonWithin(error))
    else this.succeeded(site)
  }

  /** Makes one call, unless the site is being left alone; what becomes of it is remembered. */
  async guard<T>(site: string, call: () => Promise<T>): Promise<T> {
    const circuit = this.#circuit(site)
    circuit.askedAt ??= this.#clock.now()
    if (this.#rests(circuit)) throw this.#refusal(circuit, site)
    if (circuit.restUntil === null) return await this.#observed(site, call)
    if (circuit.probe === null) return await this.#probe(circuit, site, call)
    // Another call is trying the site, and one try is enough.
    if (await circuit.probe) return await this.#observed(site, call)
    throw this.#refusal(circuit, site)
  }

  async #probe<T>(circuit: Circuit, site: string, call: () => Promise<T>): Promise<T> {
    const probed = Promise.withResolvers<boolean>()
    circuit.probe = probed.promise
    try {
      return await this.#observed(site, call)
    } finally {
      circuit.probe = null
      probed.resolve(circuit.restUntil === null)
    }
  }

  #refusal({ restUntil, reason }: Circuit, site: string): SiteError {
    const left = formatDuration(Math.max(0, (restUntil?.getTime() ?? 0) - this.#clock.now().getTime()))
    return new SiteError(site, "site/unavailable", `${reason}; left alone for ${left}`)
  }

  async #observed<T>(site: string, call: () => Promise<T>): Promise<T> {
    try {
      const result = await call()
      this.succeeded(site)
      return result
    } catch (error) {
      this.observe(site, error)
      throw error
    }
  }

  #rests({ restUntil, restMs }: Circuit): boolean {
    if (restUntil === null) return false
    const left = restUntil.getTime() - this.#clock.now().getTime()
    // A clock that was set back must not make a rest longer.
    return left > 0 && left <= restMs
  }

  #circuit(site: string): Circuit {
    const known = this.#circuits.get(site)
    if (known !== undefined) return known
    const fresh: Circuit = {
      ...{ failures: 0, failingSince: null, failedAt: null, reason: "" },
      ...{ restUntil: null, restMs: 0, trial: 0, probe: null, askedAt: null, answeredAt: null },
    }
    this.#circuits.set(site, fresh)
    return fresh
  }
}

// The message without the site's name, which is said again where it is shown.
function reasonWithin({ site, message }: SiteError): string {
  return message.startsWith(`${site}: `) ? message.slice(site.length + 2) : message
}
