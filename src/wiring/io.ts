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
