import { z } from "zod"
import { classDaysMin } from "../limits.ts"
import type { BackupJob } from "../operation/backup.ts"
import { type Bounds, keepDays } from "../retention/days.ts"
import { rungs } from "../retention/period.ts"
import type { Promotions } from "../retention/promotion.ts"
import { at, entries } from "./plain.ts"
import type { Broken } from "./rules.ts"
import type { Config, JobFile } from "./schema.ts"
import { nearest, oneOf } from "./suggest.ts"

const days = z
  .int()
  .min(classDaysMin, `expected at least ${String(classDaysMin)} days, the shortest a class can be`)
  .max(36_500)
const because = z.string().min(1).max(500).optional()

function boundsShape(subject: string) {
  return {
    min: days.optional().meta({
      description: `${subject} must be kept for at least so many days: a shorter class is refused`,
      examples: [550],
    }),
    max: days.optional().meta({
      description: `${subject} must not be kept for more days than this: a longer class is refused`,
      examples: [730],
    }),
    because: because.meta({ description: "who says so, for whoever is refused", examples: ["47 CFR 42.6"] }),
  }
}

/** Bounds of the whole configuration. */
export const configRetention = z
  .strictObject(boundsShape("what any job captures"))
  .meta({ description: "what laws and contracts say of every class" })

/** What a job says of how long it keeps beyond its class; `name` is what a class may be called. */
export function jobRetention(name: z.ZodType<string, string>) {
  const firstOf = (period: string) =>
    name.optional().meta({ description: `the class of the first whole run of ${period}`, examples: ["state-100"] })
  return z
    .strictObject({
      promote: z
        .strictObject({ daily: firstOf("a day"), weekly: firstOf("an ISO week"), monthly: firstOf("a month"), yearly: firstOf("a year") })
        .optional()
        .meta({
          description:
            "state mode: the first whole run of a period is kept in another, longer class, in the job's `timezone`. After missed runs it is the first that comes; one that is partial leaves its place to the next, three times at most",
          examples: [{ weekly: "state-100", monthly: "state-400" }],
        }),
      accounts: z
        .record(
          z.string().min(1, "expected the platform's own id of an account").max(1000),
          z.strictObject({
            class: name.meta({ description: "the class instead of the job's, longer or shorter", examples: ["recordings-1825"] }),
            because: because.meta({ description: "why; name no customer here", examples: ["16 CFR 310.5"] }),
          }),
        )
        .optional()
        .meta({
          description: "accounts that are kept in another class, by the platform's own id of them, such as a domain's uuid",
          examples: [{ "8d3e8f3c-0d0f-4a8e-a6d0-2f1f7f0c1a52": { class: "recordings-1825" } }],
        }),
      ...boundsShape("what this job captures"),
    })
    .meta({ description: "how long this job keeps, where its class alone does not say it" })
}

/** Rules within `retention` of one job. The value need not fit the schema. */
export function retentionRules(job: unknown): Broken[] {
  const broken = boundsRules(job)
  if (at(job, "mode") === "archive" && at(job, "retention", "promote") !== undefined)
    broken.push({
      path: ["retention", "promote"],
      sentence: "an archive's runs each add something else: expected state mode, or no `promote`",
    })
  if (at(job, "source", "account") === "mixed" && at(job, "retention", "promote") !== undefined)
    broken.push({
      path: ["retention", "promote"],
      sentence: "what belongs to the account mixed is kept in its own weekly class: remove `promote`",
    })
  for (const reserved of ["mixed", "catalog"]) {
    if (at(job, "retention", "accounts", reserved) === undefined) continue
    broken.push({
      path: ["retention", "accounts", reserved],
      sentence: `the account ${reserved} has a class of its own: expected a customer's id or platform`,
    })
  }
  return broken
}

/** Bounds that no class can keep. */
export function boundsRules(settings: unknown): Broken[] {
  const [min, max] = [at(settings, "retention", "min"), at(settings, "retention", "max")]
  if (typeof min !== "number" || typeof max !== "number" || min <= max) return []
  return [{ path: ["retention", "max"], sentence: `expected at least \`min\`, ${String(min)}` }]
}

/** Rules between the bounds of a configuration and its classes. */
export function classBounds(config: unknown): Broken[] {
  const bounds = boundsOf(at(config, "retention"))
  return entries(at(config, "classes")).flatMap(([name, each]) => {
    const classDays = at(each, "days")
    if (typeof classDays !== "number") return []
    const refused = refusedDays({ name, days: classDays }, [bounds])
    return refused === undefined ? [] : [{ path: ["classes", name, "days"], sentence: refused }]
  })
}

function boundsOf(value: unknown): Bounds {
  const number = (key: string): number | undefined => {
    const found = at(value, key)
    return typeof found === "number" ? found : undefined
  }
  const reason = at(value, "because")
  return { min: number("min"), max: number("max"), because: typeof reason === "string" ? reason : undefined }
}

/** Rules between what a job says of retention and the classes of the configuration. */
export function retentionBetween(job: JobFile, config: Config): Broken[] {
  const { promote: asked, accounts = {}, ...bounds } = job.retention ?? {}
  const promote: Promotions = asked ?? {}
  const named = [
    { path: ["class"], class: job.class },
    ...rungs.flatMap((rung) => (promote[rung] === undefined ? [] : [{ path: ["retention", "promote", rung], class: promote[rung] }])),
    ...Object.entries(accounts).map(([id, account]) => ({ path: ["retention", "accounts", id, "class"], class: account.class })),
  ]
  const promoted = new Set(Object.values(promote))
  const broken: Broken[] = []
  let longest = config.classes[job.class]?.days ?? 0
  for (const { path, class: name } of named) {
    const found = config.classes[name]
    if (found === undefined) {
      // The job's own class is asked about elsewhere.
      if (path.length > 1) broken.push({ path, sentence: unknownClass(name, Object.keys(config.classes)) })
      continue
    }
    const refused = refusedDays({ name, days: found.days }, [bounds])
    if (refused !== undefined) broken.push({ path, sentence: refused })
    if (path[1] === "promote") {
      if (found.days <= longest)
        broken.push({
          path,
          sentence: `keeps ${String(found.days)} days: expected a class of more than ${String(longest)} days, which they are kept in any case`,
        })
      longest = Math.max(longest, found.days)
    }
    if (path[1] === "accounts" && promoted.has(name))
      broken.push({ path, sentence: "runs are promoted to this class: expected one of its own, so that both can be told apart" })
  }
  return broken
}

function refusedDays(own: { readonly name: string; readonly days: number }, bounds: readonly Bounds[]): string | undefined {
  const { days: kept, reason, by } = keepDays({ class: own, bounds })
  if (by !== "minimum" && by !== "maximum") return undefined
  return `keeps ${String(own.days)} days, but \`retention\` says ${reason}: expected a class of ${String(kept)} days or ${by === "minimum" ? "more" : "fewer"}`
}

function unknownClass(name: string, known: readonly string[]): string {
  const meant = nearest(name, known)
  if (meant !== undefined) return `unknown class: did you mean "${meant}"?`
  return known.length === 0 ? "unknown class: the configuration has none" : `unknown class: expected ${oneOf(known)}`
}

/** What a run is told of classes beyond the job's own. */
export function classesOfJob(
  { retention, timezone }: Pick<JobFile, "retention" | "timezone">,
  config: Config,
): Pick<BackupJob, "promote" | "accountClasses"> {
  const { promote: asked, accounts } = retention ?? {}
  const promote: Promotions = asked ?? {}
  const known = (name: string) => ({ name, days: config.classes[name]?.days ?? 0 })
  const ladder = Object.fromEntries(rungs.flatMap((rung) => (promote[rung] === undefined ? [] : [[rung, known(promote[rung])]])))
  return {
    ...(Object.keys(ladder).length > 0 && { promote: { classes: ladder, timezone } }),
    ...(accounts !== undefined && {
      accountClasses: new Map(Object.entries(accounts).map(([id, account]) => [id, known(account.class)])),
    }),
  }
}

/** What a job says of how long it keeps, a sentence each. */
export function retentionText(job: Pick<JobFile, "class" | "retention" | "timezone">, config: Config): string[] {
  const { promote: asked, accounts = {}, min, max, because: reason } = job.retention ?? {}
  const promote: Promotions = asked ?? {}
  const daysOf = (name: string): string => `${name} (${String(config.classes[name]?.days ?? 0)} days)`
  const promoted = rungs.flatMap((rung) => (promote[rung] === undefined ? [] : [`${rung} ${daysOf(promote[rung])}`]))
  const bounds = [...(min === undefined ? [] : [`at least ${String(min)} days`]), ...(max === undefined ? [] : [`at most ${String(max)}`])]
  const own = Object.keys(accounts).length
  return [
    `runs are kept in class ${daysOf(job.class)}`,
    ...(promoted.length === 0 ? [] : [`the first whole run of a period, by the days of ${job.timezone}: ${promoted.join(", ")}`]),
    ...(own === 0 ? [] : [`${String(own)} ${own === 1 ? "account has a class of its" : "accounts have classes of their"} own`]),
    ...(bounds.length === 0 ? [] : [`${bounds.join(", ")}${reason === undefined ? "" : `: ${reason}`}`]),
  ]
}
