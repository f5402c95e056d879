import { SiteError } from "../errors.ts"
import type { OpenedSite, Site, Versions } from "./site.ts"

/** The same site, refusing to be written to: never silently, so that nobody believes a backup was kept. */
export function readOnly(site: Site): Site {
  return {
    name: site.name,
    put: async (key, _bytes, options) => {
      options.signal?.throwIfAborted()
      throw refusal(site.name, `put ${key}`)
    },
    get: (key, options) => site.get(key, options),
    head: (key, options) => site.head(key, options),
    list: (prefix, options) => site.list(prefix, options),
  }
}

/** The same for a site as opened: what could write is not handed out, and older versions can only be read. */
export function openedReadOnly({ site, createOnly, ownClock, versions, posture, serverTime }: OpenedSite): OpenedSite {
  return {
    ...{ site: readOnly(site), createOnly, ownClock, serverTime },
    ...(versions !== undefined && { versions: readOnlyVersions(site.name, versions) }),
    ...(posture !== undefined && { posture }),
  }
}

function readOnlyVersions(name: string, versions: Versions): Versions {
  return {
    list: (prefix, options) => versions.list(prefix, options),
    get: (key, version, options) => versions.get(key, version, options),
    remove: async (key, _version, options) => {
      options?.signal?.throwIfAborted()
      throw refusal(name, `remove ${key}`)
    },
  }
}

function refusal(name: string, what: string): SiteError {
  return new SiteError(name, "site/denied", `${what}: the site was opened for reading only`)
}
