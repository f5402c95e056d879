import type { Catalog } from "./catalog.ts"
import { textOf } from "./rows.ts"

/**
 * Accounts that a platform's own table of accounts names, and that nothing was ever captured for, under their id or under a name of theirs;
 * stable ids, in order.
 */
export function bareAccounts(catalog: Catalog): string[] {
  const sql = `SELECT DISTINCT stable_id FROM account_name AS named
    WHERE current = 1 AND stable_id NOT IN ('platform', 'mixed') AND NOT EXISTS (
      SELECT 1 FROM account WHERE account.stable_id = named.stable_id
      OR account.stable_id IN (SELECT name FROM account_name AS other WHERE other.stable_id = named.stable_id)
    ) ORDER BY stable_id`
  return catalog.all(sql).map((row) => textOf(row, "stable_id"))
}

/** Which of these jobs the catalog remembers a run of. */
export function jobsThatRan(catalog: Catalog, jobs: readonly string[]): Set<string> {
  return new Set(jobs.filter((job) => catalog.get("SELECT 1 AS one FROM run WHERE job = ? LIMIT 1", job) !== undefined))
}
