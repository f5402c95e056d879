import type { Catalog } from "./catalog.ts"
import { blobOf } from "./rows.ts"

/** Trust lists this host has followed: what it never goes back behind. Their signatures are checked again by whoever reads them. */
export function rememberedTrustLists(catalog: Catalog): Buffer[] {
  return catalog.all("SELECT bytes FROM trust_list ORDER BY n").map((row) => blobOf(row, "bytes"))
}

export function rememberTrustLists(catalog: Catalog, lists: readonly { readonly n: number; readonly bytes: Uint8Array }[]): void {
  catalog.transaction(() => {
    for (const { n, bytes } of lists) catalog.run("INSERT OR IGNORE INTO trust_list (n, bytes) VALUES (?, ?)", n, bytes)
  }, "durable")
}
