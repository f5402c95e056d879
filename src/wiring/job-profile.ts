import { dirname } from "node:path"
import { ConfigError, errnoOf } from "../errors.ts"
import { databaseOf, mergeProfile, type Profile } from "../source/profile.ts"
import { directoryOf } from "../source/profile-directory.ts"
import type { JobSourceSettings, WrittenSource } from "../source/settings.ts"
import { loadProfile } from "./profiles.ts"
import { type Broken, jobRules } from "./rules.ts"
import type { JobFile } from "./schema.ts"
import { nearest } from "./suggest.ts"

/** Reads the profile that a job in this directory names. */
export type ReadProfile = (reference: string, directory: string) => Promise<Profile>

/** Reads each profile once, though several jobs name it. */
export function profileReader(cwd: string): ReadProfile {
  const read = new Map<string, Promise<Profile>>()
  return (reference, directory) => {
    const key = JSON.stringify([reference, directory])
    const profile = read.get(key) ?? loadProfile(reference, directory, cwd)
    read.set(key, profile)
    return profile
  }
}

/**
 * The source of a job with what its profile knows of it, and what is wrong between the two. Rejects with the profile's own problems, each
 * with its file, line and column.
 */
export async function completeSource(job: JobFile, file: string, read: ReadProfile): Promise<Completed> {
  const { source } = job
  if (source.kind === "sqlite" || source.kind === "command") return { source }
  const { profile: reference } = source
  if (source.kind === "directory" && reference === undefined) return { source: { ...source, path: pathOf(source) } }
  try {
    const written = await at(["source", "profile"], () => read(reference ?? "", dirname(file)))
    const profile = await at(["source", "overrides"], () => mergeProfile(written, source.overrides ?? {}))
    const completed = await fromProfile(job, profile)
    // Each is right by itself: what is wrong now is between the two.
    const broken =
      completed.kind === "directory" ? jobRules({ ...job, source: { ...completed, profile: undefined, files: undefined } }) : []
    return broken.length > 0 ? { broken } : { source: completed }
  } catch (error) {
    if (error instanceof Misfit) return { broken: [error.broken] }
    throw error
  }
}

export type Completed = { readonly source: JobSourceSettings } | { readonly broken: readonly Broken[] }

async function fromProfile({ source, mode }: JobFile, profile: Profile): Promise<JobSourceSettings> {
  const { platform, files, csv, databases = {} } = profile
  switch (source.kind) {
    case "sqlite":
    case "command":
      return source
    case "directory": {
      const entry = entryOf(files, source.files ?? "", "files", `the profile ${platform} knows no such directory`)
      return await at(["mode"], () => directoryOf(source, mode, entry))
    }
    case "csv":
      entryOf(csv, source.files, "files", `the profile ${platform} knows no such CSV files`)
      return source
    case "database":
    case "cdrs": {
      const { database, like = database } = source
      // A profile's only database may be called anything.
      if (Object.keys(databases).length !== 1) {
        const unknown = `the profile ${platform} knows no such database: say with \`like\` which of its own this is`
        entryOf(databases, like, source.like === undefined ? "database" : "like", unknown)
      }
      if (source.kind === "cdrs" && Object.keys(databaseOf(profile, like).cdrs ?? {}).length === 0)
        throw new Misfit(["source", "profile"], `the profile ${platform} knows no call detail records in that database`)
      return source
    }
  }
}

function entryOf<T>(entries: Readonly<Record<string, T>> | undefined, name: string, key: string, unknown: string): T {
  const found = Object.entries(entries ?? {}).find(([known]) => known === name)
  if (found !== undefined) return found[1]
  const known = Object.keys(entries ?? {})
  const meant = nearest(name, known)
  const hint = meant !== undefined ? `: did you mean "${meant}"?` : known.length === 0 ? "" : `; it knows ${known.join(", ")}`
  throw new Misfit(["source", key], `${unknown}${hint}`)
}

function pathOf({ path }: Extract<WrittenSource, { kind: "directory" }>): string {
  if (path === undefined) throw new Error("a directory without a profile has a path")
  return path
}

/** What does not fit, on its way to the list of what is wrong. */
class Misfit extends Error {
  readonly broken: Broken

  constructor(path: readonly string[], sentence: string) {
    super(sentence)
    this.broken = { path, sentence }
  }
}

/** The value; a ConfigError about it becomes a sentence about that key of the job. */
async function at<T>(path: readonly string[], value: () => T | Promise<T>): Promise<T> {
  try {
    return await value()
  } catch (error) {
    // A profile whose own file is wrong says where.
    if (!(error instanceof ConfigError) || /:\d+:\d+: /.test(error.message)) throw error
    const errno = errnoOf(error.cause)
    // The message has the path, which is a value of the job: it may be anything.
    const sentence = errno === undefined ? error.message : `the profile's file cannot be read: ${errno}`
    throw new Misfit(path, error.hint === undefined ? sentence : `${sentence}: ${error.hint}`)
  }
}
