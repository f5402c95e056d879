/** Something that is there, and that no job captures. */
export interface Uncovered {
  readonly kind: "table" | "call-records" | "database" | "directory" | "account" | "job"
  /** Such as "table public.v_new of pbx". */
  readonly what: string
  readonly why: string
  /** The line or the job to add, or the command to give. */
  readonly add: string
}

/** In a report at most so many are named: it is kept for every run, and `holdline doctor` names all. */
const namedMax = 10

/**
 * What a run's report says of it: a sentence each, the last one of how many more there are. Accounts are counted and not named: a report
 * goes into logs.
 */
export function uncoveredSentences(uncovered: readonly Uncovered[]): string[] {
  const accounts = uncovered.filter(({ kind }) => kind === "account").length
  const named = uncovered.filter(({ kind }) => kind !== "account" && kind !== "job").map(({ what, why }) => `${what} ${why}`)
  if (accounts > 0) named.push(`of ${String(accounts)} of the platform's accounts nothing was ever captured`)
  const more = named.length - namedMax
  return more > 0 ? [...named.slice(0, namedMax), `and ${String(more)} more: holdline doctor`] : named
}
