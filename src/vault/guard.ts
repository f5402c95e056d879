import { openedAround } from "../site/around.ts"
import type { SiteHealth } from "./health.ts"
import type { VaultSite } from "./vault.ts"

/** The same site, asked through its circuit breaker: left alone while it fails, and its answers remembered. */
export function guarded(site: VaultSite, health: SiteHealth): VaultSite {
  const { name } = site
  return {
    ...site,
    opened: openedAround(site.opened, {
      call: (_what, options, call) => health.guard(name, () => call(options?.signal)),
      list: (_what, options, list) => guardedList(health, name, () => list(options ?? {})),
    }),
  }
}

async function* guardedList<T>(health: SiteHealth, name: string, items: () => AsyncIterable<T>): AsyncGenerator<T> {
  const iterator = items()[Symbol.asyncIterator]()
  let next = await health.guard(name, () => iterator.next())
  try {
    while (next.done !== true) {
      yield next.value
      next = await iterator.next()
    }
  } catch (error) {
    health.observe(name, error)
    throw error
  } finally {
    await iterator.return?.()
  }
}
