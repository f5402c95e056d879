import type { Catalog } from "./catalog.ts"
import { blobOf, textOf } from "./rows.ts"

/** Files of an archive, side by side, that were all found as their items remember them. */
export interface Stretch {
  /** Of the first. */
  readonly path: Buffer
  /** Over all that tells an unchanged file, of each of them. */
  readonly seal: Buffer
  readonly account: string
  readonly class: string
}

/** What is remembered of the stretch that begins with this path; undefined where the item of any of its files went since. */
export function stretchAt(catalog: Catalog, dataset: string, path: Buffer): Stretch | undefined {
  const row = catalog.get("SELECT seal, account, class FROM stretch WHERE dataset = ? AND path = ?", dataset, path)
  return row === undefined ? undefined : { path, seal: blobOf(row, "seal"), account: textOf(row, "account"), class: textOf(row, "class") }
}

/** Remembers stretches that were found unchanged, and forgets those that were not. */
export function rememberStretches(
  catalog: Catalog,
  dataset: string,
  { unchanged, changed }: { readonly unchanged: readonly Stretch[]; readonly changed: readonly Buffer[] },
): void {
  catalog.transaction(() => {
    for (const path of changed) catalog.run("DELETE FROM stretch WHERE dataset = ? AND path = ?", dataset, path)
    for (const { path, seal, account, class: className } of unchanged) {
      const sql = "INSERT OR REPLACE INTO stretch (dataset, path, seal, account, class) VALUES (?, ?, ?, ?, ?)"
      catalog.run(sql, dataset, path, seal, account, className)
    }
  })
}

/** Items were written over by what the sites say: what was found unchanged before says nothing of them. */
export function forgetStretches(catalog: Catalog, dataset: string): void {
  catalog.run("DELETE FROM stretch WHERE dataset = ?", dataset)
}
