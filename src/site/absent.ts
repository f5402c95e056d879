import type { SiteError } from "../errors.ts"
import type { OpenedSite } from "./site.ts"

/** A site that could not be opened: every call rejects with the reason, so that it is named wherever it is missed, and stops nothing. */
export function absentSite(name: string, reason: SiteError): OpenedSite {
  const refuse = () => Promise.reject(reason)
  return {
    site: {
      name,
      put: refuse,
      get: refuse,
      head: refuse,
      list: () => ({ [Symbol.asyncIterator]: () => ({ next: refuse }) }),
    },
    createOnly: false,
    ownClock: false,
    serverTime: refuse,
  }
}
