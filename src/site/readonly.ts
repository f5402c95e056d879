import { SiteError } from "../errors.ts"
import type { OpenedSite, Site } from "./site.ts"

/** The same site, refusing to be written to: never silently, so that nobody believes a backup was kept. */
export function readOnly(site: Site): Site {
  return {
    name: site.name,
    put: async (key, _bytes, options) => {
      options.signal?.throwIfAborted()
      throw new SiteError(site.name, "site/denied", `put ${key}: the site was opened for reading only`)
    },
    get: (key, options) => site.get(key, options),
    head: (key, options) => site.head(key, options),
    list: (prefix, options) => site.list(prefix, options),
  }
}

/** The same for a site as opened: what could write is not handed out. */
export function openedReadOnly({ site, createOnly, ownClock, serverTime }: OpenedSite): OpenedSite {
  return { site: readOnly(site), createOnly, ownClock, serverTime }
}
