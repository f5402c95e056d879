import type { Sleep } from "../clock.ts"
import { SiteError } from "../errors.ts"
import type { Random } from "../random.ts"
import { formatDuration } from "../units.ts"
import type { CallOptions, OpenedSite, Site, Versions } from "./site.ts"

export interface RetryPolicy {
  /** How often a call is tried in all; 1 is once. */
  readonly attempts: number
  /** Upper bound of the first wait; it doubles with each attempt. The wait is anything from nothing to the bound ("full jitter"). */
  readonly firstDelayMs: number
  readonly maxDelayMs: number
  /** An attempt that takes longer counts as "site/unavailable", whether or not the site heeds its signal. */
  readonly callTimeoutMs: number
}

export interface RetryWorld {
  readonly sleep: Sleep
  readonly random: Random
}

/** Tries one call as the policy says: `call` must be safe to repeat, and gets a signal that ends with the attempt. */
export type Persistent = <T>(what: string, options: CallOptions | undefined, call: (signal: AbortSignal) => Promise<T>) => Promise<T>

/** The same site, where a call that may succeed if repeated is repeated, and no call takes for ever. */
export function retrying(site: Site, policy: RetryPolicy, world: RetryWorld): Site {
  const attempt = persistent(site.name, policy, world)
  return {
    name: site.name,
    put: (key, bytes, options) => attempt(`put ${key}`, options, (signal) => site.put(key, bytes, { ...options, signal })),
    get: (key, options) => attempt(`get ${key}`, options, (signal) => site.get(key, { ...options, signal })),
    head: (key, options) => attempt(`head ${key}`, options, (signal) => site.head(key, { ...options, signal })),
    list: (prefix, options) =>
      listPersistently({ name: site.name, list: (given) => site.list(prefix, given), prefix }, options, policy, attempt),
  }
}

/** The same for a site as opened: its capabilities are retried too. */
export function openedRetrying(opened: OpenedSite, policy: RetryPolicy, world: RetryWorld): OpenedSite {
  const attempt = persistent(opened.site.name, policy, world)
  const { replace, versions, lock } = opened
  return {
    ...opened,
    site: retrying(opened.site, policy, world),
    serverTime: (options) => attempt("time", options, (signal) => opened.serverTime({ signal })),
    ...(replace !== undefined && {
      replace: (key, bytes, options) => attempt(`replace ${key}`, options, (signal) => replace(key, bytes, { ...options, signal })),
    }),
    ...(versions !== undefined && { versions: retryingVersions(opened.site.name, versions, policy, attempt) }),
    ...(lock !== undefined && {
      lock: {
        extend: (key, version, until, options) =>
          attempt(`lock ${key}`, options, (signal) => lock.extend(key, version, until, { ...options, signal })),
      },
    }),
  }
}

function retryingVersions(name: string, versions: Versions, policy: RetryPolicy, attempt: Persistent): Versions {
  return {
    list: (prefix, options) => listPersistently({ name, list: (given) => versions.list(prefix, given), prefix }, options, policy, attempt),
    get: (key, version, options) => attempt(`get ${key}`, options, (signal) => versions.get(key, version, { ...options, signal })),
    remove: (key, version, options) => attempt(`remove ${key}`, options, (signal) => versions.remove(key, version, { ...options, signal })),
  }
}

/** The only loop that repeats a call to a site. */
export function persistent(name: string, policy: RetryPolicy, world: RetryWorld): Persistent {
  return async (what, options, call) => {
    for (let attempt = 1; ; attempt++) {
      try {
        return await withDeadline(name, what, policy.callTimeoutMs, options?.signal, call)
      } catch (error) {
        options?.signal?.throwIfAborted()
        if (!(error instanceof SiteError && error.retryable) || attempt >= policy.attempts) throw error
      }
      await world.sleep(delayMs(policy, attempt, world.random), { signal: options?.signal })
    }
  }
}

interface Listing<T> {
  readonly name: string
  readonly prefix: string
  list(options: CallOptions): AsyncIterable<T>
}

// A listing is long and ordered. One that failed before its first object is begun again; one that failed part way is the
// caller's to resume, who knows what it has seen.
async function* listPersistently<T>(
  listing: Listing<T>,
  options: CallOptions | undefined,
  policy: RetryPolicy,
  attempt: Persistent,
): AsyncGenerator<T> {
  const what = `list ${listing.prefix}`
  const ending = new AbortController()
  const signal = options?.signal === undefined ? ending.signal : AbortSignal.any([options.signal, ending.signal])
  try {
    const { first, rest } = await attempt(what, options, async () => {
      const rest = listing.list({ ...options, signal })[Symbol.asyncIterator]()
      return { first: await rest.next(), rest }
    })
    for (let next = first; next.done !== true; ) {
      yield next.value
      next = await withDeadline(listing.name, what, policy.callTimeoutMs, options?.signal, () => rest.next())
    }
  } finally {
    // Not rest.return(): it would wait for a site that does not answer.
    ending.abort()
  }
}

// A site that hangs must not hang its caller, even if it ignores its signal (a mount that is gone does): so the race.
async function withDeadline<T>(
  name: string,
  what: string,
  timeoutMs: number,
  signal: AbortSignal | undefined,
  call: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  signal?.throwIfAborted()
  const ended = Promise.withResolvers<never>()
  const attempt = new AbortController()
  function end(reason: unknown): void {
    attempt.abort(reason)
    ended.reject(reason)
  }
  const onAbort = () => end(signal?.reason)
  const timer = setTimeout(() => {
    end(new SiteError(name, "site/unavailable", `${what}: no answer within ${formatDuration(timeoutMs)}`))
  }, timeoutMs)
  signal?.addEventListener("abort", onAbort, { once: true })
  try {
    return await Promise.race([call(attempt.signal), ended.promise])
  } finally {
    clearTimeout(timer)
    signal?.removeEventListener("abort", onAbort)
  }
}

// Full jitter: many agents that lost the same site must not come back in step.
function delayMs(policy: RetryPolicy, attempt: number, random: Random): number {
  const bound = Math.min(policy.maxDelayMs, policy.firstDelayMs * 2 ** (attempt - 1))
  return Math.floor((Buffer.from(random.bytes(4)).readUInt32BE() / 2 ** 32) * bound)
}
