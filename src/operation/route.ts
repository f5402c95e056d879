import { returnSavesAmount, returnSavesSeconds } from "../limits.ts"
import type { RankedSite } from "../report/ranking.ts"
import type { Vault, VaultSite } from "../vault/vault.ts"

/**
 * The sites of a restore in the order in which they are asked. One that fails is asked last for a while, as the vault's health says; then
 * it is gone back to if it would still save enough time or money, and otherwise stays behind those that took over.
 */
export class Route {
  /** The same vault, whose sites are always in the order as it stands. */
  readonly vault: Vault
  readonly #bytes: () => number
  #sites: readonly VaultSite[]
  #ranking: readonly RankedSite[] = []
  #fetchBytes = 1

  /** `bytes` says how many are still to come, at any time. */
  constructor(vault: Vault, bytes: () => number) {
    this.#sites = vault.sites
    this.#bytes = bytes
    const sites = () => this.#sites
    this.vault = {
      ...vault,
      get sites() {
        return sites()
      },
    }
  }

  /** From now on in this order; `fetchBytes` is what its costs are for. */
  take(ranking: readonly RankedSite[], fetchBytes: number): void {
    this.#ranking = ranking
    this.#fetchBytes = Math.max(1, fetchBytes)
    this.#sites = ranking.flatMap(({ name }) => this.#sites.filter((site) => site.name === name))
  }

  /** A site did not deliver, and another was asked instead. */
  failedOver(site: string, next: string): void {
    if (!this.vault.health.isFailing(site) || this.#paysToReturn(site, next)) return
    this.#sites = [...this.#sites.filter(({ name }) => name !== site), ...this.#sites.filter(({ name }) => name === site)]
  }

  #paysToReturn(site: string, next: string): boolean {
    const [from, to] = [site, next].map((name) => this.#ranking.find((ranked) => ranked.name === name))
    if (from === undefined || to === undefined) return true
    const left = this.#bytes()
    const seconds = left / to.speed.bytesPerSecond - left / from.speed.bytesPerSecond
    return seconds >= returnSavesSeconds || this.#costOf(left, to) - this.#costOf(left, from) >= returnSavesAmount
  }

  // A price that is not known may be any.
  #costOf(bytes: number, { cost }: RankedSite): number {
    return cost === null ? Number.POSITIVE_INFINITY : cost.amount * (bytes / this.#fetchBytes)
  }
}
