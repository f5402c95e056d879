import { z } from "zod"
import type { RunReport } from "./run.ts"

const amount = z.object({ files: z.number(), bytes: z.number() })

const schema = z.object({
  job: z.string(),
  dataset: z.string(),
  mode: z.enum(["archive", "state"]),
  run: z.string(),
  outcome: z.enum(["ok", "partial", "failed"]),
  started: z.string(),
  ended: z.string(),
  seconds: z.number(),
  source: z.string(),
  captured: amount,
  unchanged: amount,
  accounts: z.number(),
  missed: z.array(
    z.object({ reason: z.string(), count: z.number(), examples: z.array(z.object({ path: z.string(), detail: z.string() })) }),
  ),
  notes: z.record(z.string(), z.number()),
  stored: z.object({ packs: z.number(), bytes: z.number() }),
  commits: z.array(z.object({ seq: z.number(), sha256: z.string(), held: z.array(z.string()), durable: z.boolean(), waits: z.boolean() })),
  sites: z.array(
    z.object({
      name: z.string(),
      provider: z.string(),
      zone: z.string(),
      held: z.boolean(),
      reason: z.string().exactOptional(),
      sameDevice: z.boolean(),
    }),
  ),
  born: z.number(),
  warnings: z.array(z.string()),
  promoted: z.object({ name: z.string(), days: z.number(), rung: z.string(), period: z.string() }).exactOptional(),
  links: z
    .object({
      ...{ from: z.string(), rowsAt: z.string().nullable(), references: z.number(), resolved: z.number() },
      missing: z.object({ purged: z.number(), moved: z.number(), notSettled: z.number(), unknown: z.number() }),
      orphans: z.object({ noRow: z.number(), truncated: z.number() }),
      examples: z.array(z.string()),
    })
    .exactOptional(),
  anomalies: z
    .array(z.object({ id: z.string(), dataset: z.string(), kind: z.string(), time: z.string(), numbers: z.record(z.string(), z.number()) }))
    .exactOptional(),
  uncovered: z.array(z.string()).exactOptional(),
  failure: z.object({ code: z.string(), message: z.string(), hint: z.string().exactOptional() }).exactOptional(),
})

/** A report as the catalog keeps it; null where it is none, such as one of another release. */
export function readStoredRun(json: string): RunReport | null {
  try {
    return schema.safeParse(JSON.parse(json)).data ?? null
  } catch (error) {
    if (error instanceof SyntaxError) return null
    throw error
  }
}
