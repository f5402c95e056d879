import { hash } from "node:crypto"
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
    if (path !== undefined) yield { files: rule.files, row: referenceRow(row, plan), stableId, day, path, ended: endedOf(texts, day, plan) }
  }
}

/** What tells a row apart among those of all tables; empty where only its content does. */
export function referenceRow({ key }: CdrRow, { key: columns, name }: CdrPlan): Buffer {
  return columns.length === 0 ? Buffer.alloc(0) : hash("sha256", Buffer.concat([Buffer.from(`${name}\0`), key]), "buffer").subarray(0, 16)
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
