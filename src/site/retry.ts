import { anyOf } from "../abort.ts"
import type { Sleep } from "../clock.ts"
import { SiteError } from "../errors.ts"
import type { Random } from "../random.ts"
import { formatDuration } from "../units.ts"
import { type Around, openedAround, siteAround } from "./around.ts"
import type { CallOptions, OpenedSite, Site } from "./site.ts"

export interface RetryPolicy {
  /** How often a call is tried in all; 1 is once. */
  readonly attempts: number
  /** Upper bound of the first wait; it doubles with each attempt. The wait is anything from nothing to the bound ("full jitter"). */
  readonly firstDelayMs: number
  readonly maxDelayMs: number
  /** An attempt that takes longer counts as "site/unavailable", whether or not the site heeds its signal. */
  readonly callTimeoutMs: number
  /** All attempts together, with the waits between them, take no longer. */
  readonly patienceMs: number
  /** What a server asks to be waited for is waited for up to this long, beside the wait of one's own. */
  readonly retryAfterMaxMs: number
}

export interface RetryWorld {
  readonly sleep: Sleep
  readonly random: Random
}

/** Tries one call as the policy says: `call` must be safe to repeat, and gets a signal that ends with the attempt. */
export type Persistent = <T>(what: string, options: CallOptions | undefined, call: (signal: AbortSignal) => Promise<T>) => Promise<T>

/** The same site, where a call that may succeed if repeated is repeated, and no call takes for ever. */
export function retrying(site: Site, policy: RetryPolicy, world: RetryWorld): Site {
  return siteAround(site, aroundAs(site.name, policy, world))
}

/** The same for a site as opened: its capabilities are retried too. */
export function openedRetrying(opened: OpenedSite, policy: RetryPolicy, world: RetryWorld): OpenedSite {
  return openedAround(opened, aroundAs(opened.site.name, policy, world))
}

function aroundAs(name: string, policy: RetryPolicy, world: RetryWorld): Around {
  const attempt = persistent(name, policy, world)
  return { call: attempt, list: (what, options, list) => listPersistently({ name, what, list }, options, policy, attempt) }
}

/** The only loop that repeats a call to a site. */
export function persistent(name: string, policy: RetryPolicy, world: RetryWorld): Persistent {
  return async (what, options, call) => {
    const patience = new AbortController()
    const timer = setTimeout(() => patience.abort(), policy.patienceMs)
    try {
      return await repeated({ name, what, options, patience: patience.signal }, policy, world, call)
    } finally {
      clearTimeout(timer)
    }
  }
}

interface Repeated {
  readonly name: string
  readonly what: string
  readonly options: CallOptions | undefined
  /** Aborted once all attempts together have taken too long. */
  readonly patience: AbortSignal
}

async function repeated<T>(
  { name, what, options, patience }: Repeated,
  policy: RetryPolicy,
  world: RetryWorld,
  call: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const tooLong = () => new SiteError(name, "site/unavailable", `${what}: no answer within ${formatDuration(policy.patienceMs)} in all`)
  for (let attempt = 1; ; attempt++) {
    let failure: SiteError
    try {
      return await withDeadline({ name, what, timeoutMs: policy.callTimeoutMs, patience, tooLong }, options?.signal, call)
    } catch (error) {
      options?.signal?.throwIfAborted()
      if (!(error instanceof SiteError && error.retryable) || attempt >= policy.attempts || patience.aborted) throw error
      failure = error
    }
    const pause = delayMs(policy, attempt, world.random) + Math.min(failure.retryAfterMs ?? 0, policy.retryAfterMaxMs)
    await paused(pause, options?.signal, patience, world.sleep)
    if (patience.aborted) throw failure
  }
}

// Ends early once patience does: what follows is the last failure.
async function paused(ms: number, signal: AbortSignal | undefined, patience: AbortSignal, sleep: Sleep): Promise<void> {
  try {
    await sleep(ms, { signal: signal === undefined ? patience : anyOf(signal, patience) })
  } catch (error) {
    signal?.throwIfAborted()
    if (!patience.aborted) throw error
  }
}

interface Listing<T> {
  readonly name: string
  readonly what: string
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
  const ending = new AbortController()
  const signal = options?.signal === undefined ? ending.signal : anyOf(options.signal, ending.signal)
  const deadline = new Deadlines(listing, policy.callTimeoutMs, options?.signal)
  try {
    const { first, rest } = await attempt(listing.what, options, async () => {
      const rest = listing.list({ ...options, signal })[Symbol.asyncIterator]()
      return { first: await rest.next(), rest }
    })
    for (let next = first; next.done !== true; ) {
      yield next.value
      next = await deadline.within(() => rest.next())
    }
  } finally {
    deadline.end()
    // Not rest.return(): it would wait for a site that does not answer.
    ending.abort()
  }
}

/** One deadline after the other, for calls that are made in turn: a timer and a listener for each object of a long listing would cost more than the listing. */
class Deadlines {
  readonly #signal: AbortSignal | undefined
  readonly #timer: NodeJS.Timeout
  #fail: (reason: unknown) => void = () => undefined

  constructor({ name, what }: Pick<Deadline, "name" | "what">, timeoutMs: number, signal: AbortSignal | undefined) {
    this.#signal = signal
    this.#timer = setTimeout(() => {
      this.#fail(new SiteError(name, "site/unavailable", `${what}: no answer within ${formatDuration(timeoutMs)}`))
    }, timeoutMs)
    signal?.addEventListener("abort", this.#onAbort, { once: true })
  }

  readonly #onAbort = (): void => this.#fail(this.#signal?.reason)

  async within<T>(call: () => Promise<T>): Promise<T> {
    this.#signal?.throwIfAborted()
    this.#timer.refresh()
    return await new Promise<T>((resolve, reject) => {
      this.#fail = reject
      call().then(resolve, reject)
    })
  }

  end(): void {
    clearTimeout(this.#timer)
    this.#signal?.removeEventListener("abort", this.#onAbort)
  }
}

interface Deadline {
  readonly name: string
  readonly what: string
  readonly timeoutMs: number
  /** Another end, with its own reason. */
  readonly patience?: AbortSignal
  readonly tooLong?: () => SiteError
}

// A site that hangs must not hang its caller, even if it ignores its signal (a mount that is gone does): so the race.
async function withDeadline<T>(
  { name, what, timeoutMs, patience, tooLong }: Deadline,
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
  const onTooLong = () => end(tooLong?.())
  const timer = setTimeout(() => {
    end(new SiteError(name, "site/unavailable", `${what}: no answer within ${formatDuration(timeoutMs)}`))
  }, timeoutMs)
  signal?.addEventListener("abort", onAbort, { once: true })
  patience?.addEventListener("abort", onTooLong, { once: true })
  try {
    return await Promise.race([call(attempt.signal), ended.promise])
  } finally {
    clearTimeout(timer)
    signal?.removeEventListener("abort", onAbort)
    patience?.removeEventListener("abort", onTooLong)
  }
}

// Full jitter: many agents that lost the same site must not come back in step.
function delayMs(policy: RetryPolicy, attempt: number, random: Random): number {
  const bound = Math.min(policy.maxDelayMs, policy.firstDelayMs * 2 ** (attempt - 1))
  return Math.floor((Buffer.from(random.bytes(4)).readUInt32BE() / 2 ** 32) * bound)
}
