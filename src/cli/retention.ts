import type { Command } from "commander"
import { JobError } from "../errors.ts"
import { type RetentionFacts, readRetention } from "../operation/retention.ts"
import { calendarsOf, type DatasetCalendar } from "../retention/calendar.ts"
import { scopeText } from "../retention/hold.ts"
import type { Loaded } from "../wiring/config.ts"
import { retentionText } from "../wiring/retention.ts"
import { openReader } from "../wiring/world.ts"
import type { Bench } from "./bench.ts"
import { manual } from "./manual.ts"
import { rendererFor } from "./progress.ts"
import { calendarText, standstillText } from "./retention-text.ts"

export function addRetentionCommands(retention: Command, bench: Bench): void {
  retention.description("Shows how long everything is kept, and why. It deletes nothing.")
  addPlan(retention, bench)
}

interface PlanOptions {
  readonly timeout?: string
}

function addPlan(retention: Command, bench: Bench): void {
  const command = retention
    .command("plan")
    .summary("show as a calendar what is kept until when")
    .description(
      "Shows, for each dataset of each agent, what is kept in which class, on which days there is something, what goes next and what is " +
        "kept beyond its time: by a hold, by an anomaly, or because something at the sites could not be read. It deletes nothing.",
    )
    .argument("[job]", "only this job, or the name of a dataset")
    .option("--timeout <duration>", "end after this long, such as 5m")
    .action((job: string | undefined, options: PlanOptions) => plan(job, options, bench))
  manual(command, {
    examples: [
      ["holdline retention plan", "all datasets"],
      ["holdline retention plan cdrs --timezone Europe/Berlin", "one of them, by the days of a time zone"],
    ],
    reads: "the logs of all agents, at the sites",
    writes: "nothing but the catalog's memory of commits that were read",
    exits: ["done", "failed", "usage", "denied", "notFound", "timeout", "interrupted"],
  })
}

async function plan(job: string | undefined, { timeout }: PlanOptions, bench: Bench): Promise<void> {
  bench.limitTime(timeout)
  const loaded = await bench.load()
  const { timezone } = bench
  const renderer = rendererFor(bench, "retention plan")
  try {
    await using session = await openReader(loaded, { io: bench.io(renderer) })
    const facts = await readRetention(session.world)
    renderer.end()
    const calendars = chosenOf(calendarsOf(facts, timezone), job, loaded)
    print(calendars, facts, loaded, bench)
    record(calendars, facts, bench)
  } finally {
    renderer.end()
  }
}

function chosenOf(calendars: readonly DatasetCalendar[], name: string | undefined, { jobs }: Loaded): readonly DatasetCalendar[] {
  if (name === undefined) return calendars
  const job = jobs.get(name)
  const chosen = calendars.filter(({ dataset }) => dataset === (job?.dataset ?? name))
  if (chosen.length > 0 || job !== undefined) return chosen
  const known = [...new Set(calendars.map(({ dataset }) => dataset))]
  throw new JobError("job/not-found", `${name}: no such job here, and no snapshot of a dataset of that name`, {
    hint: known.length === 0 ? "there are no snapshots at the sites yet" : `the datasets are ${known.join(", ")}`,
  })
}

function print(calendars: readonly DatasetCalendar[], facts: RetentionFacts, loaded: Loaded, bench: Bench): void {
  const { paint, timezone } = bench
  const standstill = standstillText(facts.doubts, paint)
  if (standstill.length > 0) bench.out(...standstill, "")
  if (calendars.length === 0) bench.note("nothing is kept yet: no snapshots at the sites")
  for (const [index, calendar] of calendars.entries()) {
    const job =
      calendar.agent === loaded.config.agent ? loaded.jobs.values().find(({ dataset }) => dataset === calendar.dataset) : undefined
    const rules = job === undefined ? [] : retentionText(job, loaded.config)
    bench.out(...(index === 0 ? [] : [""]), ...calendarText(calendar, { paint, timezone, rules }))
  }
  if (facts.holds.length === 0) return
  bench.out("", ...facts.holds.map(({ id, agent, ...hold }) => `hold ${id.slice(0, 12)} of ${agent}: ${scopeText(hold)}`))
}

function record(calendars: readonly DatasetCalendar[], facts: RetentionFacts, bench: Bench): void {
  for (const sentence of facts.doubts) bench.record("doubt", { sentence })
  for (const hold of facts.holds) bench.record("hold", hold)
  for (const { agent, dataset, classes, days, drops, keepers, ...amount } of calendars) {
    bench.record("dataset", { agent, dataset, ...amount, classes, days })
    for (const drop of drops) bench.record("drop", { agent, dataset, ...drop })
    for (const { reason, snapshots } of keepers) bench.record("keeper", { agent, dataset, ...reason, snapshots })
  }
  bench.record("summary", { command: "retention plan", datasets: calendars.length, doubts: facts.doubts.length, holds: facts.holds.length })
}
