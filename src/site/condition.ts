/** How a site has answered lately, as it can be kept from one process to the next. */
export interface SiteCondition {
  readonly site: string
  /** Calls in a row that failed although they were repeated. */
  readonly failures: number
  /** When the first of them failed; null while the site answers. */
  readonly failingSince: Date | null
  /** What the last failure was. */
  readonly reason: string
  /** Until then the site is left alone; null where it is not. */
  readonly restUntil: Date | null
  /** How long it was left alone last; the next rest is twice as long. */
  readonly restMs: number
}
