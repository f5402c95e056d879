import { dirname } from "node:path"
import { massChangeShareMin, shrunkDatabaseShareMin, shrunkShareMin } from "../limits.ts"
import type { BackupJob } from "../operation/backup.ts"
import type { LinkRule } from "../operation/link-paths.ts"
import type { LinkSettings } from "../operation/links.ts"
import { settleMsDefault } from "../source/directory.ts"
import { databaseOf, mergeProfile, type ProfileMedia } from "../source/profile.ts"
import type { Loaded } from "./config.ts"
import type { Job } from "./jobs.ts"
import { loadProfile } from "./profiles.ts"

const dayMs = 86_400_000

/** Whose rows point at the files of a job, with what their profile says of it; undefined where the job does not say. */
export async function jobLinks(job: Job, loaded: Pick<Loaded, "jobs">): Promise<LinkSettings | undefined> {
  const { links, source } = job
  if (links === undefined || source.kind !== "directory") return undefined
  const { from, window, tolerate } = links
  const rows = [...loaded.jobs.values()].find(({ dataset }) => dataset === from)
  const rules = rows === undefined ? [] : (await mediaOf(rows, source.files)).map(ruleOf)
  return { from, days: Math.ceil(window / dayMs), tolerate, root: source.path, settleMs: source.settle ?? settleMsDefault, rules }
}

/** What the profile of a job of rows says of media: of those in one directory of the profile, or in any. */
async function mediaOf({ source, file }: Job, files: string | undefined): Promise<ProfileMedia[]> {
  if (source.kind !== "cdrs") return []
  const { database, like = database, overrides = {} } = source
  const profile = mergeProfile(await loadProfile(source.profile, dirname(file), dirname(file)), overrides)
  const media = Object.values(databaseOf(profile, like).cdrs ?? {}).flatMap((cdr) => cdr.media ?? [])
  return media.filter((rule) => files === undefined || rule.files === files)
}

function ruleOf({ path, days = 0, purged }: ProfileMedia): LinkRule {
  return { path, days, ...(purged !== undefined && { purgedMs: purged }) }
}

/** From when on a loss at the source of a job is an anomaly. */
export function guardOf({ guard, mode, source }: Pick<Job, "guard" | "mode" | "source">): BackupJob["guard"] {
  const isDirectory = source.kind === "directory"
  return {
    shrink: guard?.shrink ?? (isDirectory ? shrunkShareMin : shrunkDatabaseShareMin),
    // Other archives yield only what is new.
    ...(mode === "archive" && isDirectory && { change: guard?.change ?? massChangeShareMin }),
  }
}
