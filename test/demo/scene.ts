import { z } from "zod"
import { type JobName, jobs, type Provider } from "./provider.ts"
import type { Clouds } from "./sites.ts"
import { Mismatch, type Stage } from "./stage.ts"

/** Whatever the chapters of the story share. */
export interface Scene {
  readonly stage: Stage
  readonly provider: Provider
  readonly clouds: Clouds
  /** The root's fingerprint, as the escrow sheet has it. */
  readonly root: string
  readonly signal: AbortSignal
}

/** Directories of the demo, in which commands find their configuration. */
export const host = "host"
export const rescue = "rescue"
/** Out of reach of the backup host; seen from one of the two directories above. */
export const operations = "../safe/operations.identity"
export const escrow = "../safe/escrow.identity"

const runSchema = z.looseObject({
  outcome: z.string(),
  captured: z.object({ files: z.number(), bytes: z.number() }),
  unchanged: z.object({ files: z.number(), bytes: z.number() }),
  stored: z.object({ packs: z.number(), bytes: z.number() }),
  notes: z.record(z.string(), z.number()),
  sites: z.array(z.looseObject({ name: z.string(), held: z.boolean() })),
})
type Run = z.infer<typeof runSchema>

/** What the newest run of each job did, as the host remembers it. */
export async function runsOf(stage: Stage): Promise<ReadonlyMap<JobName, Run>> {
  const runs = new Map<JobName, Run>()
  stage.say("  What the runs remember (runs show JOB@latest --json) against what the provider really has:")
  for (const job of jobs) {
    const records = await stage.ask(host, ["runs", "show", `${job}@latest`], { silent: true })
    runs.set(job, runSchema.parse(records.find(({ type }) => type === "run")))
  }
  return runs
}

export function runOf(runs: ReadonlyMap<JobName, Run>, job: JobName): Run {
  const run = runs.get(job)
  if (run === undefined) throw new Mismatch(`no run of ${job}`)
  return run
}

/** Names of the sites that hold everything of these runs. */
export function holdersOf(runs: ReadonlyMap<JobName, Run>): string[] {
  const [first, ...others] = [...runs.values()].map(({ sites }) => sites.filter(({ held }) => held).map(({ name }) => name))
  return (first ?? []).filter((name) => others.every((names) => names.includes(name)))
}
