import type { SiteCondition } from "../site/condition.ts"
import type { Catalog } from "./catalog.ts"
import { nullable, numberOf, textOf } from "./rows.ts"

export function rememberConditions(catalog: Catalog, conditions: readonly SiteCondition[]): void {
  const sql = "INSERT OR REPLACE INTO site_condition (site, failures, failing_since, reason, rest_until, rest_ms) VALUES (?, ?, ?, ?, ?, ?)"
  catalog.transaction(() => {
    for (const { site, failures, failingSince, reason, restUntil, restMs } of conditions) {
      catalog.run(sql, site, failures, failingSince?.toISOString() ?? null, reason, restUntil?.toISOString() ?? null, restMs)
    }
  })
}

export function rememberedConditions(catalog: Catalog): SiteCondition[] {
  return catalog.all("SELECT * FROM site_condition ORDER BY site").map((row) => ({
    site: textOf(row, "site"),
    failures: numberOf(row, "failures"),
    failingSince: dateOf(nullable(row, "failing_since", textOf)),
    reason: textOf(row, "reason"),
    restUntil: dateOf(nullable(row, "rest_until", textOf)),
    restMs: numberOf(row, "rest_ms"),
  }))
}

function dateOf(text: string | null): Date | null {
  return text === null ? null : new Date(text)
}
