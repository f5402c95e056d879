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
  const media = rows === undefined ? [] : await mediaOf(rows)
  const files = source.files === undefined ? filesAt(source.path, media) : [source.files]
  const rules = media.filter((each) => files?.includes(each.files) ?? true).map(ruleOf)
  const settings = { from, days: Math.ceil(window / dayMs), tolerate, root: source.path, settleMs: source.settle ?? settleMsDefault, rules }
  return files === undefined ? settings : { ...settings, files }
}

/** The profile's names of what is at a path that the job says itself; undefined where the profile knows none there. */
function filesAt(path: string, media: readonly Media[]): readonly string[] | undefined {
  const names = new Set(media.filter(({ directory }) => trimmed(directory) === trimmed(path)).map(({ files }) => files))
  return names.size === 0 ? undefined : [...names]
}

function trimmed(path: string | undefined): string | undefined {
  return path?.replace(/(?<=.)\/+$/, "")
}

/** What a profile says of media, and where it says the files are. */
type Media = ProfileMedia & { readonly directory: string | undefined }

/** What the profile of a job of rows says of media. */
async function mediaOf({ source, file }: Job): Promise<Media[]> {
  if (source.kind !== "cdrs") return []
  const { database, like = database, overrides = {} } = source
  const profile = mergeProfile(await loadProfile(source.profile, dirname(file), dirname(file)), overrides)
  const media = Object.values(databaseOf(profile, like).cdrs ?? {}).flatMap((cdr) => cdr.media ?? [])
  return media.map((rule) => ({ ...rule, directory: profile.files?.[rule.files]?.path }))
}

function ruleOf({ files, path, days = 0, purged }: ProfileMedia): LinkRule {
  return { files, path, days, ...(purged !== undefined && { purgedMs: purged }) }
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
