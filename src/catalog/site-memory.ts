import type { Catalog } from "./catalog.ts"
import { numberOf, textOf } from "./rows.ts"
import { scrubsOf } from "./scrubs.ts"

/** A verification has read and hashed everything that a site keeps of a dataset; what it found to be rotten is remembered as flaws. */
export function rememberSiteProof(catalog: Catalog, site: string, dataset: string, time: string): void {
  catalog.run("INSERT OR REPLACE INTO site_proof (site, dataset, time) VALUES (?, ?, ?)", site, dataset, time)
}

/** Since when every byte that a site keeps of a dataset was read and hashed, by a verification or a scrub; undefined: never, from this host. */
export function siteProvenAt(catalog: Catalog, site: string, dataset: string): string | undefined {
  const row = catalog.get("SELECT time FROM site_proof WHERE site = ? AND dataset = ?", site, dataset)
  const verified = row === undefined ? [] : [textOf(row, "time")]
  const scrubbed = scrubsOf(catalog).flatMap((scrub) => (scrub.site === site && scrub.readSince !== null ? [scrub.readSince] : []))
  return [...verified, ...scrubbed].toSorted().at(-1)
}

/** How fast a site delivered to a restore. */
export interface SiteSpeed {
  readonly site: string
  readonly bytesPerSecond: number
  readonly time: string
}

export function rememberSpeed(catalog: Catalog, { site, bytesPerSecond, time }: SiteSpeed): void {
  const sql = "INSERT OR REPLACE INTO site_speed (site, bytes_per_second, time) VALUES (?, ?, ?)"
  catalog.run(sql, site, BigInt(Math.round(bytesPerSecond)), time)
}

export function lastSpeed(catalog: Catalog, site: string): SiteSpeed | undefined {
  const row = catalog.get("SELECT * FROM site_speed WHERE site = ?", site)
  if (row === undefined) return undefined
  return { site, bytesPerSecond: numberOf(row, "bytes_per_second"), time: textOf(row, "time") }
}
