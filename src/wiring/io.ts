import { anyOf } from "../abort.ts"
import type { Clock, Sleep } from "../clock.ts"
import type { Event } from "../operation/event.ts"
import type { Random } from "../random.ts"

/** What the front door gives to everything that runs. */
export interface Io {
  readonly env: Readonly<Record<string, string | undefined>>
  readonly clock: Clock
  readonly random: Random
  readonly sleep: Sleep
  readonly signal: AbortSignal
  tell(event: Event): void
}

/**
 * The same until `stack` is disposed of: what still goes on at the sites then is ended, so that one that never answers does not keep the
 * process alive when its work is done.
 */
export function untilDisposed(stack: AsyncDisposableStack, io: Io): Io {
  const ending = new AbortController()
  stack.defer(() => ending.abort(new Error("the work is done")))
  return { ...io, signal: anyOf(io.signal, ending.signal) }
}
