import type { SourceMemory } from "../source/source.ts"
import type { Catalog } from "./catalog.ts"
import { blobOf, numberOf, textOf } from "./rows.ts"

/** What the source of a dataset remembers; an entry counts while the item of the piece that holds it is remembered itself. */
export function sourceMemory(catalog: Catalog, dataset: string): SourceMemory {
  return {
    recall: (collection, keys) =>
      catalog.reading(() =>
        keys.map((key) => {
          const row = catalog.get(`SELECT value ${counted} AND memory.key = ?`, dataset, collection, key)
          return row === undefined ? null : blobOf(row, "value")
        }),
      ),
    *entries(collection, prefix) {
      const sql = `SELECT memory.key, value ${counted} AND memory.key >= ? AND (? IS NULL OR memory.key < ?) ORDER BY memory.key`
      const end = successor(prefix)
      for (const row of catalog.each(sql, dataset, collection, prefix, end, end)) yield [blobOf(row, "key"), blobOf(row, "value")]
    },
    remember(collection, entries, { path, day }) {
      catalog.transaction(() => {
        const sql = "INSERT OR REPLACE INTO memory (dataset, collection, key, value, path, day) VALUES (?, ?, ?, ?, ?, ?)"
        for (const [key, value] of entries) catalog.run(sql, dataset, collection, key, value, path, day)
      })
    },
    forgetBefore(collection, day) {
      catalog.run("DELETE FROM memory WHERE dataset = ? AND collection = ? AND day < ?", dataset, collection, day)
    },
    accountNamed: (name) => accountNamed(catalog, name),
  }
}

const counted = `FROM memory JOIN item ON item.dataset = memory.dataset AND item.path = memory.path AND item.missing IS NULL
  WHERE memory.dataset = ? AND collection = ?`

/** The first key after all that begin with the prefix; null where there is none. */
function successor(prefix: Uint8Array): Uint8Array | null {
  const last = prefix.findLastIndex((byte) => byte < 0xff)
  if (last === -1) return null
  // A Buffer's slice would be the caller's own bytes.
  const next = Uint8Array.from(prefix.subarray(0, last + 1))
  next[last] = (next[last] ?? 0) + 1
  return next
}

/** The stable id of the account that a name stands for. */
export function accountNamed(catalog: Catalog, name: string): string | undefined {
  const row = catalog.get("SELECT stable_id FROM account_name WHERE name = ? AND current = 1", name)
  return row === undefined ? undefined : textOf(row, "stable_id")
}

/** Whose a name is and was, by their stable ids. Only where nobody has had it, the names that differ by case are meant. */
export function accountsEverNamed(catalog: Catalog, name: string): { readonly now: readonly string[]; readonly before: readonly string[] } {
  const exact = catalog.all("SELECT stable_id, current FROM account_name WHERE name = ? ORDER BY stable_id", name)
  const folded = "SELECT stable_id, current FROM account_name WHERE lower(name) = lower(?) ORDER BY stable_id"
  const rows = exact.length > 0 ? exact : catalog.all(folded, name)
  const now = new Set(rows.filter((row) => numberOf(row, "current") === 1).map((row) => textOf(row, "stable_id")))
  const all = new Set(rows.map((row) => textOf(row, "stable_id")))
  return { now: [...now], before: [...all.difference(now)] }
}

/** Says what an account is called today. A name that belonged to another account is this one's from now on. */
export function rememberAccountNames(catalog: Catalog, stableId: string, names: readonly string[]): void {
  catalog.transaction(() => {
    for (const name of names) {
      catalog.run("UPDATE account_name SET current = 0 WHERE name = ? AND stable_id <> ?", name, stableId)
      catalog.run("INSERT OR REPLACE INTO account_name (name, stable_id, current) VALUES (?, ?, 1)", name, stableId)
    }
  })
}
