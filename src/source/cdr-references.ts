import { momentMs } from "./cdr-moment.ts"
import { type CdrRow, fieldsOf } from "./cdr-rows.ts"
import type { CdrPlan } from "./cdr-table.ts"
import { mediaPaths } from "./medium.ts"
import type { MediaReference } from "./source.ts"

/** The recordings, voicemail and faxes that a row points at, each at the likeliest of its places. */
export function* cdrReferences(
  row: CdrRow,
  { stableId, day }: { readonly stableId: string; readonly day: string },
  plan: CdrPlan,
): Generator<MediaReference> {
  if (plan.media.length === 0) return
  const texts = fieldsOf(lineOf(row, plan), [...plan.columns.keys()])
  const column = (name: string) => texts[plan.columns.indexOf(name)] ?? null
  for (const { rule, root } of plan.media) {
    const [path] = mediaPaths(rule, root, { day, column })
    if (path !== undefined) yield { stableId, day, path, ended: endedOf(texts, day, plan) }
  }
}

function endedOf(texts: readonly (string | null)[], day: string, plan: CdrPlan): Date {
  for (const { index, stored, timezone } of [plan.ended, plan.day]) {
    const ms = momentMs(texts[index] ?? null, stored, timezone)
    if (ms !== null) return new Date(ms)
  }
  return new Date(`${day}T00:00:00Z`)
}

function lineOf({ line }: CdrRow, { key }: CdrPlan): Buffer {
  return key.length > 0 ? line : line.subarray(line.indexOf(0x09) + 1)
}
