/** Something that is there, and that no job captures. */
export interface Uncovered {
  readonly kind: "table" | "call-records" | "database" | "directory" | "account" | "job" | "restored"
  /** Such as "table public.v_new of pbx". */
  readonly what: string
  readonly why: string
  /** The line or the job to add, or the command to give. */
  readonly add: string
}

/** In a report at most so many are named: it is kept for every run, and `holdline doctor` names all. */
const namedMax = 10

/**
 * What a run's report says of it: a sentence each, one of how many more there are, and last what was restored beside a database and is
 * no gap. Accounts are counted and not named: a report goes into logs.
 */
export function uncoveredSentences(uncovered: readonly Uncovered[]): string[] {
  const accounts = uncovered.filter(({ kind }) => kind === "account").length
  const sentenceOf = ({ what, why }: Uncovered): string => `${what} ${why}`
  const named = uncovered.filter(({ kind }) => kind !== "account" && kind !== "job" && kind !== "restored").map(sentenceOf)
  if (accounts > 0) named.push(`of ${String(accounts)} of the platform's accounts nothing was ever captured`)
  const more = named.length - namedMax
  const shown = more > 0 ? [...named.slice(0, namedMax), `and ${String(more)} more: holdline doctor`] : named
  return [...shown, ...uncovered.filter(({ kind }) => kind === "restored").map(sentenceOf)]
}
