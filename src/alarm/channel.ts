import type { Notice } from "./notice.ts"

/** A way to people. */
export interface Channel {
  /** Its name in the configuration. */
  readonly name: string
  /** Resolves when the other side has taken it over; rejects with an AlarmError. */
  send(notice: Notice, options: { readonly signal: AbortSignal }): Promise<void>
}

/** A person may wait for what this says; a server that takes longer is tried again. */
export const sendTimeoutMs = 20_000
