import { anyOf } from "../abort.ts"
import { SiteError } from "../errors.ts"
import { formatDuration } from "../units.ts"

interface Asked {
  readonly site: string
  /** Such as "get v1/…". */
  readonly what: string
  readonly signal: AbortSignal
}

/** Makes one call that is waited for so long, whether or not it heeds its signal; then it counts as unanswered. null: as long as it takes. */
export async function within<T>(ms: number | null, asked: Asked, call: (signal: AbortSignal) => Promise<T>): Promise<T> {
  if (ms === null) return await call(asked.signal)
  const ending = new AbortController()
  const ended = Promise.withResolvers<never>()
  const timer = setTimeout(() => {
    const error = new SiteError(asked.site, "site/unavailable", `${asked.what}: no answer within ${formatDuration(ms)}`)
    ending.abort(error)
    ended.reject(error)
  }, ms)
  try {
    return await Promise.race([call(anyOf(asked.signal, ending.signal)), ended.promise])
  } finally {
    clearTimeout(timer)
  }
}
