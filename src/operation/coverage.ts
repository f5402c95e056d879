import type { Uncovered } from "../report/coverage.ts"

/** A job as coverage sees it: what of this host it captures. */
export interface CoveringJob {
  readonly name: string
  readonly kind: string
  readonly mode: "archive" | "state"
  /** Of jobs of databases and call records: the database's name in the configuration. */
  readonly database?: string | undefined
  /** Of jobs of directories and files: the root, the platform whose profile knows it, and which of the profile's entries it is. */
  readonly path?: string | undefined
  readonly platform?: string | undefined
  readonly files?: string | undefined
  /** Whether the catalog remembers a run of it, however it ended; null where nothing says. */
  readonly hasRun: boolean | null
}

/** One server, as the databases of the configuration reach it. */
export interface ServerFacts {
  /** Such as "postgres at db.example.net". */
  readonly server: string
  /** Every database on it that the role knows of. */
  readonly databases: readonly string[]
  /** Those the configuration names: by their own name, the one on the server. */
  readonly configured: ReadonlyMap<string, string>
}

/** What a database holds that its jobs may leave out. */
export interface DatabaseFacts {
  /** The name in the configuration. */
  readonly database: string
  readonly platform: string
  /** Tables in no line of the tenancy map, each with the line to add. */
  readonly unruled: readonly { readonly table: string; readonly line: string }[]
  /** Tables of call records there, and those that a job of call records captures. */
  readonly callTables: readonly string[]
  readonly capturedCallTables: readonly string[]
}

/** A directory, or files of call records, that a platform's profile knows and this host has. */
export interface PlaceFacts {
  readonly platform: string
  readonly kind: "directory" | "csv"
  /** The entry of the profile. */
  readonly files: string
  readonly path: string
  readonly mode: "archive" | "state"
}

export interface CoverageFacts {
  readonly jobs: readonly CoveringJob[]
  readonly servers: readonly ServerFacts[]
  readonly databases: readonly DatabaseFacts[]
  readonly places: readonly PlaceFacts[]
  /** Accounts that the platform's database knows, and of which nothing was ever captured: their stable ids. */
  readonly bareAccounts: readonly string[]
}

/** What is there and no job captures, each with the line or the job to add; sorted by what weighs most. */
export function uncoveredOf(facts: CoverageFacts): Uncovered[] {
  return [
    ...facts.databases.flatMap(unruledTables),
    ...facts.databases.flatMap(callTables),
    ...facts.servers.flatMap((server) => databasesOf(server, facts.jobs)),
    ...facts.places.filter((place) => !facts.jobs.some((job) => covers(job, place))).map(placeOf),
    ...facts.bareAccounts.map(accountOf),
    ...facts.jobs.filter(({ hasRun }) => hasRun === false).map(({ name }) => idleJob(name)),
    ...facts.servers.flatMap((server) => restoredOf(server, facts.jobs)),
  ]
}

function unruledTables({ database, unruled }: DatabaseFacts): Uncovered[] {
  return unruled.map(({ table, line }) => ({
    kind: "table",
    what: `table ${table} of ${database}`,
    why: "is in no line of the tenancy map, and a run fails",
    add: `under \`tables\` of the job's \`overrides\`, once you have looked at it: ${line}`,
  }))
}

function callTables({ database, platform, callTables: all, capturedCallTables }: DatabaseFacts): Uncovered[] {
  const captured = new Set(capturedCallTables)
  const left = all.filter((table) => !captured.has(table))
  return left.map((table) => ({
    kind: "call-records",
    what: `table ${table} of ${database}`,
    why: "holds call detail records, which no job captures",
    add: `a job with mode: archive, source: {kind: cdrs, database: ${database}, profile: ${platform}}`,
  }))
}

function databasesOf(facts: ServerFacts, jobs: readonly CoveringJob[]): Uncovered[] {
  const { server, configured } = facts
  return leftOf(facts, jobs).flatMap((database): Uncovered[] => {
    if (originalOf(database, facts) !== null) return []
    const name = configured.get(database)
    const entry = name === undefined ? `an entry for it under \`databases\` of the configuration, and ` : ""
    return [
      {
        kind: "database",
        what: `database ${database}, ${server}`,
        why: "is captured by no job",
        add: `${entry}a job with mode: state, source: {kind: database, database: ${name ?? "NAME"}, profile: …}, if it matters`,
      },
    ]
  })
}

/** The databases of a server that no job captures. */
function leftOf({ databases, configured }: ServerFacts, jobs: readonly CoveringJob[]): readonly string[] {
  const captured = new Set(jobs.flatMap(({ database }) => database ?? []))
  return databases.filter((database) => !captured.has(configured.get(database) ?? ""))
}

/** Beside which database of the server one was restored, as the name says that the manual gives it; null where it was not. */
function originalOf(database: string, { databases }: ServerFacts): string | null {
  const [, original] = /^(.+)_restored(?:[_-]?\d[\d_-]*)?$/.exec(database) ?? []
  return original !== undefined && databases.includes(original) ? original : null
}

// A copy is no gap until the platform uses it, which nothing on the server says.
function restoredOf(facts: ServerFacts, jobs: readonly CoveringJob[]): Uncovered[] {
  const copies = leftOf(facts, jobs).flatMap((database) => {
    const original = originalOf(database, facts)
    return original === null ? [] : [{ database, original }]
  })
  if (copies.length === 0) return []
  const [names, originals] = [copies.map(({ database }) => database), [...new Set(copies.map(({ original }) => original))]]
  const one = names.length === 1
  return [
    {
      kind: "restored",
      what: `${one ? "database" : "databases"} ${names.join(", ")}, ${facts.server},`,
      why: `${one ? "was" : "were"} restored beside ${originals.join(", ")}, and no job captures ${one ? "it" : "them"}`,
      add: "drop what is not needed any more; if the platform uses one now, let the jobs capture that one",
    },
  ]
}

function covers(job: CoveringJob, place: PlaceFacts): boolean {
  if (job.kind !== place.kind) return false
  // Two entries may share a root and leave each other's part out, so that an entry's own name says more than its path.
  if (job.files !== undefined) return job.files === place.files && job.platform === place.platform
  return job.mode === place.mode && job.path !== undefined && isWithin(place.path, job.path)
}

function isWithin(path: string, root: string): boolean {
  const above = root.replace(/\/+$/, "")
  return path === above || path.startsWith(`${above}/`)
}

function placeOf({ kind, platform, files, path, mode }: PlaceFacts): Uncovered {
  const source =
    kind === "csv" ? `{kind: csv, profile: ${platform}, files: ${files}}` : `{kind: directory, profile: ${platform}, files: ${files}}`
  return {
    kind: kind === "csv" ? "call-records" : "directory",
    what: kind === "csv" ? `files of call records in ${path}` : `directory ${path}`,
    why: `is known to ${platform} as ${files}, and no job captures it`,
    add: `a job with mode: ${mode}, source: ${source}`,
  }
}

function accountOf(stableId: string): Uncovered {
  return {
    kind: "account",
    what: `account ${stableId}`,
    why: "is in the platform's database, and nothing of it was ever captured",
    add: "see why: is it new since the last run, or does a rule leave its rows out?",
  }
}

function idleJob(name: string): Uncovered {
  return { kind: "job", what: `job ${name}`, why: "never ran on this host", add: `holdline run ${name}` }
}
