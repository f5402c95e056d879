import { basename, join } from "node:path"
import { ConfigError } from "../errors.ts"
import type { JobSourceSettings } from "../source/settings.ts"
import { jsonSchemas } from "./fields.ts"
import { completeSource, profileReader, type ReadProfile } from "./job-profile.ts"
import { readConfigFile, shown, yamlFiles } from "./locate.ts"
import { type Problem, problemsError } from "./origin.ts"
import { type Broken, rulesBetween } from "./rules.ts"
import { type Config, type JobFile, jobSchema } from "./schema.ts"
import { nearest, oneOf } from "./suggest.ts"
import { originAt, validate } from "./validate.ts"
import { nameSchema } from "./values.ts"
import { readYaml } from "./yaml.ts"

/** One job as it will run: what its file says, completed by its name, its profile and the configuration. */
export interface Job extends Omit<JobFile, "source" | "durable" | "dataset" | "afterExpiry"> {
  /** The file's name without ".yaml". */
  readonly name: string
  /** Absolute path of the file. */
  readonly file: string
  /** With what its profile says of a directory. */
  readonly source: JobSourceSettings
  readonly dataset: string
  readonly durable: { readonly copies: number; readonly providers: number }
  /** In archive mode always there, in state mode never. */
  readonly afterExpiry?: "recapture" | "let-go" | undefined
}

export interface Jobs {
  readonly jobs: ReadonlyMap<string, Job>
  readonly invalidJobs: ReadonlyMap<string, ConfigError>
}

/** Reads every job of a directory. What is wrong with one is kept beside its name, so that it fails alone. */
export async function loadJobs(directory: string, config: Config, cwd: string): Promise<Jobs> {
  const jobs = new Map<string, Job>()
  const invalidJobs = new Map<string, ConfigError>()
  const profiles = profileReader(cwd)
  for (const file of await yamlFiles(directory)) {
    const name = basename(file).replace(/\.ya?ml$/i, "")
    try {
      jobs.set(name, await parseJob(await readConfigFile(file), file, { config, cwd, profiles }))
    } catch (error) {
      if (!(error instanceof ConfigError)) throw error
      invalidJobs.set(name, error)
    }
  }
  for (const [name, error] of await sharedDatasets(jobs, cwd)) invalidJobs.set(name, error)
  // Only where every job can be read: one that is wrong must not take another with it.
  const between = invalidJobs.size > 0 ? [] : [...(await brokenLinks(jobs, cwd)), ...(await brokenOrder(jobs, cwd))]
  for (const [name, error] of between) invalidJobs.set(name, error)
  // Two files of one name, a.yaml and a.yml: which was meant cannot be known.
  for (const name of invalidJobs.keys()) jobs.delete(name)
  return { jobs, invalidJobs }
}

// Each would take the other's items for its own, and a whole of the one would be the latest of the other. Which was meant cannot be known.
async function sharedDatasets(jobs: ReadonlyMap<string, Job>, cwd: string): Promise<Map<string, ConfigError>> {
  const refused = new Map<string, ConfigError>()
  for (const { name, dataset, file } of jobs.values()) {
    const other = [...jobs.values()].find((job) => job.dataset === dataset && job.name !== name)
    if (other === undefined) continue
    const tree = readYaml(await readConfigFile(file), shown(file, cwd))
    const sentence = `dataset ${dataset} is already job ${other.name}'s: expected a dataset of its own`
    refused.set(name, problemsError([{ origin: originAt(tree, ["dataset"], "value"), sentence }]))
  }
  return refused
}

async function brokenLinks(jobs: ReadonlyMap<string, Job>, cwd: string): Promise<Map<string, ConfigError>> {
  const refused = new Map<string, ConfigError>()
  const rows = [...jobs.values()].flatMap(({ source, dataset }) => (source.kind === "cdrs" || source.kind === "csv" ? [dataset] : []))
  for (const { name, links, file } of jobs.values()) {
    if (links === undefined || rows.includes(links.from)) continue
    const tree = readYaml(await readConfigFile(file), shown(file, cwd))
    const known = rows.length === 0 ? "no job here captures any" : `expected ${oneOf(rows)}`
    const sentence = `no job captures rows as the dataset ${links.from}: ${known}`
    refused.set(name, problemsError([{ origin: originAt(tree, ["links", "from"], "value"), sentence }]))
  }
  return refused
}

async function brokenOrder(jobs: ReadonlyMap<string, Job>, cwd: string): Promise<Map<string, ConfigError>> {
  const refused = new Map<string, ConfigError>()
  for (const job of jobs.values()) {
    const broken = (job.schedule?.after ?? []).flatMap((other, index) => {
      const sentence = orderProblem(job, other, jobs)
      return sentence === undefined ? [] : [{ path: ["schedule", "after", String(index)], sentence }]
    })
    if (broken.length === 0) continue
    const tree = readYaml(await readConfigFile(job.file), shown(job.file, cwd))
    refused.set(job.name, problemsError(broken.map(({ path, sentence }) => ({ origin: originAt(tree, path, "value"), sentence }))))
  }
  return refused
}

function orderProblem(job: Job, other: string, jobs: ReadonlyMap<string, Job>): string | undefined {
  if (other === job.name) return `${other} would wait for itself`
  const before = jobs.get(other)
  if (before === undefined) {
    const meant = nearest(other, jobs.keys())
    return meant === undefined ? "no such job" : `no such job: did you mean "${meant}"?`
  }
  if (before.schedule === undefined) return `job ${other} has no schedule: nothing of it would be waited for`
  const seen = new Set([other])
  for (const name of seen) for (const each of jobs.get(name)?.schedule?.after ?? []) seen.add(each)
  return seen.has(job.name) ? `${job.name} and ${other} would wait for one another` : undefined
}

export interface JobContext {
  readonly config: Config
  /** Messages name files relative to it. */
  readonly cwd: string
  readonly profiles?: ReadProfile
}

/** Checks what a job file has, or will have, against the configuration and its profile; rejects with one ConfigError that lists every problem. */
export async function parseJob(bytes: Uint8Array, file: string, { config, cwd, profiles = profileReader(cwd) }: JobContext): Promise<Job> {
  const name = basename(file, ".yaml")
  const tree = readYaml(bytes, shown(file, cwd))
  const { value: job, problems: found } = validate(tree, jobSchema, jsonSchemas().job)
  const problems: Problem[] = [...found]
  const add = (broken: readonly Broken[]) => {
    problems.push(...broken.map(({ path, sentence }) => ({ origin: originAt(tree, path, "value"), sentence })))
  }
  if (job !== undefined) add(rulesBetween(job, config))
  const completed = job === undefined ? { broken: [] } : await completeSource(job, file, profiles)
  if ("broken" in completed) add(completed.broken)
  if (!nameSchema.safeParse(name).success || !file.endsWith(".yaml")) {
    const start = { file: shown(file, cwd), line: 1, col: 1 }
    problems.push({ origin: start, sentence: "a job's file is its name and .yaml: expected 1 to 63 lower-case letters, digits and dashes" })
  }
  if (job === undefined || "broken" in completed || problems.length > 0) throw problemsError(problems)
  return complete(job, { name, file, source: completed.source, config })
}

function complete(job: JobFile, { config, ...known }: Pick<Job, "name" | "file" | "source"> & { readonly config: Config }): Job {
  const { afterExpiry = "recapture", ...rest } = job
  return {
    ...rest,
    ...known,
    dataset: job.dataset ?? known.name,
    durable: { copies: job.durable?.copies ?? config.durable.copies, providers: job.durable?.providers ?? config.durable.providers },
    ...(job.mode === "archive" && { afterExpiry }),
  }
}

/** The job of that name; throws what is wrong with it, or that there is none. */
export function loadJob({ jobs, invalidJobs, jobsPath }: Jobs & { readonly jobsPath: string }, name: string): Job {
  const job = jobs.get(name)
  if (job !== undefined) return job
  const invalid = invalidJobs.get(name)
  if (invalid !== undefined) throw invalid
  const known = [...jobs.keys(), ...invalidJobs.keys()]
  const meant = nearest(name, known)
  const hint =
    meant !== undefined
      ? `did you mean ${meant}?`
      : known.length === 0
        ? `there are no jobs in ${jobsPath}`
        : `there are ${known.sort().join(", ")}`
  throw new ConfigError(
    "config/not-found",
    `no such job: ${nameSchema.safeParse(name).success ? join(jobsPath, `${name}.yaml`) : "a job's name has lower-case letters, digits and dashes"}`,
    { hint },
  )
}
