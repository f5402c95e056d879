import type { SiteScrub } from "../report/scrub.ts"
import type { Catalog, Row } from "./catalog.ts"
import { nullable, numberOf, textOf } from "./rows.ts"

/** Where the reading of a site stands: objects are read in the order of their hashes, round after round. */
export interface ScrubProgress {
  /** From 0 to 1. */
  readonly cursor: number
  /** When this round began. */
  readonly round: string
}

export function rememberScrub(catalog: Catalog, scrub: SiteScrub & ScrubProgress): void {
  const { site, started, seconds, outcome, objects, bytes, read, readBytes, missing, cut, rotten, unread } = scrub
  const { unreadable, cursor, round, readSince } = scrub
  catalog.run(
    `INSERT OR REPLACE INTO scrub (site, started, seconds, outcome, objects, bytes, read, read_bytes, missing, cut, rotten, unread,
      unreadable, cursor, round, read_since) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
    ...[
      site,
      started,
      seconds,
      outcome,
      objects,
      bytes,
      read,
      readBytes,
      missing,
      cut,
      rotten,
      unread,
      unreadable,
      cursor,
      round,
      readSince,
    ],
  )
}

/** The last scrub of each site that was scrubbed from this host, by its name. */
export function scrubsOf(catalog: Catalog): (SiteScrub & ScrubProgress)[] {
  return catalog.all("SELECT * FROM scrub ORDER BY site").map(scrubOf)
}

function scrubOf(row: Row): SiteScrub & ScrubProgress {
  const outcome = textOf(row, "outcome")
  return {
    site: textOf(row, "site"),
    started: textOf(row, "started"),
    seconds: realOf(row, "seconds"),
    outcome: outcome === "ok" || outcome === "unreadable" ? outcome : "findings",
    objects: numberOf(row, "objects"),
    bytes: numberOf(row, "bytes"),
    read: numberOf(row, "read"),
    readBytes: numberOf(row, "read_bytes"),
    missing: numberOf(row, "missing"),
    cut: numberOf(row, "cut"),
    rotten: numberOf(row, "rotten"),
    unread: numberOf(row, "unread"),
    unreadable: nullable(row, "unreadable", textOf),
    readSince: nullable(row, "read_since", textOf),
    cursor: realOf(row, "cursor"),
    round: textOf(row, "round"),
  }
}

function realOf(row: Row, column: string): number {
  const value = row[column]
  if (typeof value === "number") return value
  throw new TypeError(`catalog: ${column} is not a number`)
}

/** A copy that is not to be relied on. */
export interface KnownFlaw {
  readonly site: string
  readonly key: string
  readonly kind: "cut" | "rotten" | "unread"
  readonly detail: string
}

export function rememberFlaw(catalog: Catalog, { site, key, kind, detail }: KnownFlaw, found: string): void {
  catalog.run("INSERT OR REPLACE INTO flaw (site, key, kind, detail, found) VALUES (?, ?, ?, ?, ?)", site, key, kind, detail, found)
}

export function forgetFlaw(catalog: Catalog, site: string, key: string): void {
  catalog.run("DELETE FROM flaw WHERE site = ? AND key = ?", site, key)
}

/** Once a scrub has looked at everything a site must have: flaws it did not meet again are of objects that nothing needs any more. */
export function forgetFlawsBefore(catalog: Catalog, site: string, moment: string): void {
  catalog.run("DELETE FROM flaw WHERE site = ? AND found < ?", site, moment)
}

/** Keys of the copies at a site that are not to be relied on. */
export function flawedAt(catalog: Catalog, site: string): Set<string> {
  return new Set(catalog.all("SELECT key FROM flaw WHERE site = ?", site).map((row) => textOf(row, "key")))
}
