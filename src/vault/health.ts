import type { Clock } from "../clock.ts"
import { siteFailureMemoryMs } from "../limits.ts"

/** Which sites failed a short while ago, so that they are asked last: a dead site costs a deadline once, not for every object. */
export class SiteHealth {
  readonly #clock: Clock
  readonly #failedAt = new Map<string, number>()

  constructor(clock: Clock) {
    this.#clock = clock
  }

  failed(site: string): void {
    this.#failedAt.set(site, this.#clock.now().getTime())
  }

  succeeded(site: string): void {
    this.#failedAt.delete(site)
  }

  /** Whether the site failed lately. A clock that was set back counts as lately. */
  isFailing(site: string): boolean {
    const failedAt = this.#failedAt.get(site)
    return failedAt !== undefined && this.#clock.now().getTime() - failedAt < siteFailureMemoryMs
  }

  /** The same sites in the same order, except that those failing come last. */
  order<Named extends { readonly name: string }>(sites: readonly Named[]): readonly Named[] {
    return [...sites.filter(({ name }) => !this.isFailing(name)), ...sites.filter(({ name }) => this.isFailing(name))]
  }
}
