import { dirname } from "node:path"
import { ConfigError } from "../errors.ts"
import { openSource } from "../source/open.ts"
import { mergeProfile, tenancyOf } from "../source/profile.ts"
import type { Source } from "../source/source.ts"
import type { Loaded } from "./config.ts"
import { databaseNamed, programEnvironment } from "./databases.ts"
import type { Io } from "./io.ts"
import type { Job } from "./jobs.ts"
import { loadProfile } from "./profiles.ts"

/** Tables of a database that are read at once, where the job does not say. */
const readersDefault = 8

/** The source of a job, with what the configuration and its profile say of it. Only the code of its kind is loaded. */
export async function jobSource(job: Job, loaded: Loaded, io: Io): Promise<Source> {
  const { source } = job
  if (source.kind !== "database" && source.kind !== "cdrs" && source.kind !== "csv")
    return openSource(source, job.mode, programEnvironment(io))
  const { overrides = {} } = source
  const profile = await loadProfile(source.profile, dirname(job.file), dirname(job.file))
  if (source.kind === "csv") {
    const { files: name, path, timezone = "UTC" } = source
    const rules = mergeProfile(profile, overrides).csv?.[name]
    if (rules === undefined)
      throw new ConfigError("config/not-found", `${job.name}: the profile ${profile.platform} has no csv entry ${name}`)
    const { csvSource } = await import("../source/csv.ts")
    return csvSource({ name, rules: { ...rules, ...(path !== undefined && { path }) }, single: source.account, timezone })
  }
  const { database: name, like = name } = source
  const open = databaseNamed(loaded, name, io)
  if (source.kind === "cdrs") {
    const { timezone = "UTC" } = source
    const { cdrCompareMsDefault, cdrSource } = await import("../source/cdr.ts")
    const settings = { name, profile: mergeProfile(profile, overrides), database: like, timezone, compareMs: cdrCompareMsDefault }
    return cdrSource(settings, open)
  }
  const { capture = ["accounts"], readers = readersDefault } = source
  const { databaseSource } = await import("../source/database.ts")
  return databaseSource({ name, tenancy: tenancyOf(profile, like, overrides), ways: capture, readers }, open)
}
