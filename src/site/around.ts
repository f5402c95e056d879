import type { CallOptions, OpenedSite, Site, Versions } from "./site.ts"

/** Something done around every call to a site. */
export interface Around {
  /** Makes one call; `what` names it, such as "put v1/…". `call` is given the signal to heed. */
  call<T>(what: string, options: CallOptions | undefined, call: (signal: AbortSignal | undefined) => Promise<T>): Promise<T>
  /** Goes through one listing. */
  list<T>(what: string, options: CallOptions | undefined, list: (options: CallOptions) => AsyncIterable<T>): AsyncIterable<T>
}

/** The same site with all it can do, and `around` around every call. */
export function openedAround(opened: OpenedSite, around: Around): OpenedSite {
  const { site, replace, versions, lock, posture, probe } = opened
  return {
    ...opened,
    site: siteAround(site, around),
    serverTime: (options) => around.call("time", options, (signal) => opened.serverTime({ signal })),
    ...(replace !== undefined && {
      replace: (key, bytes, options) => around.call(`replace ${key}`, options, (signal) => replace(key, bytes, { ...options, signal })),
    }),
    ...(versions !== undefined && { versions: versionsAround(versions, around) }),
    ...(lock !== undefined && {
      lock: {
        extend: (key, version, until, options) =>
          around.call(`lock ${key}`, options, (signal) => lock.extend(key, version, until, { ...options, signal })),
      },
    }),
    ...(posture !== undefined && { posture: (options) => around.call("settings", options, (signal) => posture({ signal })) }),
    ...(probe !== undefined && {
      probe: {
        upload: (key, bytes, options) => around.call(`put ${key}`, options, (signal) => probe.upload(key, bytes, { ...options, signal })),
      },
    }),
  }
}

export function siteAround(site: Site, around: Around): Site {
  return {
    name: site.name,
    put: (key, bytes, options) => around.call(`put ${key}`, options, (signal) => site.put(key, bytes, { ...options, signal })),
    get: (key, options) => around.call(`get ${key}`, options, (signal) => site.get(key, { ...options, signal })),
    head: (key, options) => around.call(`head ${key}`, options, (signal) => site.head(key, { ...options, signal })),
    list: (prefix, options) => around.list(`list ${prefix}`, options, (given) => site.list(prefix, given)),
  }
}

function versionsAround(versions: Versions, around: Around): Versions {
  return {
    list: (prefix, options) => around.list(`list ${prefix}`, options, (given) => versions.list(prefix, given)),
    get: (key, version, options) => around.call(`get ${key}`, options, (signal) => versions.get(key, version, { ...options, signal })),
    remove: (key, version, options) =>
      around.call(`remove ${key}`, options, (signal) => versions.remove(key, version, { ...options, signal })),
  }
}
