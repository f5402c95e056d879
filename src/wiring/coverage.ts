import { existsSync } from "node:fs"
import { readdir } from "node:fs/promises"
import { dirname, join } from "node:path"
import picomatch from "picomatch"
import { bareAccounts, jobsThatRan } from "../catalog/bare-accounts.ts"
import { Catalog } from "../catalog/catalog.ts"
import { databasesBeside } from "../database/check.ts"
import type { Table } from "../database/database.ts"
import { openDatabase } from "../database/open.ts"
import { BackupError, errnoOf } from "../errors.ts"
import {
  type CoverageFacts,
  type CoveringJob,
  type DatabaseFacts,
  type PlaceFacts,
  type ServerFacts,
  uncoveredOf,
} from "../operation/coverage.ts"
import { tenancyFindings } from "../operation/source-check.ts"
import { type Uncovered, uncoveredSentences } from "../report/coverage.ts"
import { cdrTablesOf, mergeProfile, type Profile, tenancyOf } from "../source/profile.ts"
import type { Loaded } from "./config.ts"
import { databaseAt } from "./databases.ts"
import type { Io } from "./io.ts"
import type { Job } from "./jobs.ts"
import { loadProfile } from "./profiles.ts"

/** What is there and no job captures, and what could not be looked at. */
export interface Coverage {
  readonly uncovered: readonly Uncovered[]
  /** Why something could not be looked at, a sentence each. */
  readonly unknown: readonly string[]
}

export interface CoverageOptions {
  /** A private directory. */
  readonly scratch: string
  /** Only what is beside what this job reads: its server, its database, its platform's directories. */
  readonly beside?: Job | undefined
}

/** Holds what is on this host and on its database servers against its jobs. What cannot be asked is said, and nothing is guessed. */
export async function coverageOf(loaded: Loaded, io: Io, { scratch, beside }: CoverageOptions): Promise<Coverage> {
  const unknown: string[] = []
  const jobs = [...loaded.jobs.values()]
  const looked = beside === undefined ? jobs : jobs.filter((job) => isBeside(job, beside))
  const profiles = await profilesOf(looked, unknown)
  const given: Given = { loaded, io, scratch, profiles, unknown }
  const catalog = catalogFacts(loaded, jobs)
  const facts: CoverageFacts = {
    jobs: jobs.map((job) => coveringJob(job, catalog.ran, profiles)),
    servers: await serversOf(databasesIn(looked), given),
    databases: await databaseFacts(looked, given),
    places: await placesOf(profiles),
    bareAccounts: catalog.bare,
  }
  return { uncovered: uncoveredOf(facts), unknown: [...new Set(unknown)] }
}

/** What a run's report says of it: what is left out beside what its job reads. Nothing where that cannot be asked: the run says why. */
export async function uncoveredBeside(job: Job, loaded: Loaded, io: Io, scratch: string): Promise<readonly string[]> {
  try {
    const { uncovered } = await coverageOf(loaded, io, { scratch, beside: job })
    return uncoveredSentences(uncovered)
  } catch (error) {
    if (!(error instanceof BackupError) && !io.signal.aborted) throw error
    return []
  }
}

function isBeside(job: Job, other: Job): boolean {
  if (job.name === other.name) return true
  if ("database" in job.source && "database" in other.source) return job.source.database === other.source.database
  return false
}

type Profiles = ReadonlyMap<Job, Profile>

interface Given {
  readonly loaded: Loaded
  readonly io: Io
  readonly scratch: string
  readonly profiles: Profiles
  readonly unknown: string[]
}

/** The profile of each job as the job sees it. */
async function profilesOf(jobs: readonly Job[], unknown: string[]): Promise<Profiles> {
  const profiles = new Map<Job, Profile>()
  for (const job of jobs) {
    const { source } = job
    if (!("profile" in source) || source.profile === undefined) continue
    await noting(unknown, async () => {
      const profile = await loadProfile(source.profile ?? "", dirname(job.file), dirname(job.file))
      profiles.set(job, mergeProfile(profile, source.overrides ?? {}))
    })
  }
  return profiles
}

async function noting(unknown: string[], work: () => Promise<void>): Promise<void> {
  try {
    await work()
  } catch (error) {
    if (!(error instanceof BackupError)) throw error
    unknown.push(error.message)
  }
}

interface CatalogFacts {
  readonly ran: ReadonlySet<string> | null
  readonly bare: readonly string[]
}

function catalogFacts({ config }: Loaded, jobs: readonly Job[]): CatalogFacts {
  const path = join(config.state, "catalog.sqlite")
  if (!existsSync(path)) return { ran: null, bare: [] }
  using catalog = Catalog.openToRead(path, "small tables")
  const names = jobs.map(({ name }) => name)
  return { ran: jobsThatRan(catalog, names), bare: bareAccounts(catalog) }
}

function coveringJob(job: Job, ran: ReadonlySet<string> | null, profiles: Profiles): CoveringJob {
  const { name, mode, source } = job
  return {
    ...{ name, mode, kind: source.kind, hasRun: ran === null ? null : ran.has(name), platform: profiles.get(job)?.platform },
    ...("database" in source && { database: source.database }),
    ...("path" in source && { path: source.path }),
    ...("files" in source && { files: source.files }),
  }
}

function databasesIn(jobs: readonly Job[]): string[] {
  return [...new Set(jobs.flatMap(({ source }) => ("database" in source ? source.database : [])))]
}

/** Each server once, asked as the first of its databases that lets us in. */
async function serversOf(names: readonly string[], { loaded, io, scratch, unknown }: Given): Promise<ServerFacts[]> {
  const { databases } = loaded.config
  const used = databasesIn([...loaded.jobs.values()])
  const known = Object.entries(databases)
  const serverOf = ({ kind, host, port }: (typeof databases)[string]) => `${kind} at ${host}${port === undefined ? "" : `:${String(port)}`}`
  const servers = Map.groupBy(
    known.filter(([name]) => names.includes(name)),
    ([, settings]) => serverOf(settings),
  )
  const facts: ServerFacts[] = []
  for (const [server, reached] of servers) {
    const [first] = reached
    if (first === undefined) continue
    await noting(unknown, async () => {
      const { settings, access } = databaseAt(loaded, first[0], io)
      const beside = await databasesBeside(settings, await access({ scratch, signal: io.signal }))
      // One database may have several entries, one to capture and one to restore into: that of a job counts.
      const here = known.filter(([, each]) => serverOf(each) === server)
      const byUse = here.toSorted(([a], [b]) => Number(used.includes(a)) - Number(used.includes(b)))
      const configured = new Map(byUse.map(([name, each]) => [each.name, name]))
      facts.push({ server, databases: beside, configured })
    })
  }
  return facts
}

async function databaseFacts(jobs: readonly Job[], given: Given): Promise<DatabaseFacts[]> {
  const facts: DatabaseFacts[] = []
  for (const database of databasesIn(jobs)) {
    await noting(given.unknown, async () => {
      const tables = await tablesOf(database, given)
      facts.push(...jobs.flatMap((job) => ofDatabaseJob(job, database, { jobs, tables, profiles: given.profiles })))
    })
  }
  return facts
}

async function tablesOf(name: string, { loaded, io, scratch }: Given): Promise<readonly Table[]> {
  const { settings, access } = databaseAt(loaded, name, io)
  await using database = await openDatabase(settings, await access({ scratch, signal: io.signal }))
  await using snapshot = await database.snapshot({ readers: 1 })
  return await snapshot.tables()
}

interface Within {
  readonly jobs: readonly Job[]
  readonly tables: readonly Table[]
  readonly profiles: Profiles
}

function ofDatabaseJob(job: Job, database: string, { jobs, tables, profiles }: Within): DatabaseFacts[] {
  const { source } = job
  const profile = profiles.get(job)
  if (source.kind !== "database" || source.database !== database || profile === undefined) return []
  const like = source.like ?? source.database
  const names = tables.map(({ schema, name }) => `${schema}.${name}`)
  const { lines } = tenancyFindings(tenancyOf(profile, like), tables, database)
  const captured = jobs.flatMap((other): string[] => {
    const known = profiles.get(other)
    if (other.source.kind !== "cdrs" || other.source.database !== database || known === undefined) return []
    return cdrTablesOf(known, other.source.like ?? database, names).map(({ table }) => table)
  })
  return [
    {
      database,
      platform: source.profile,
      unruled: lines.map((line) => ({ table: line.slice(0, line.indexOf(": ")), line })),
      callTables: cdrTablesOf(profile, like, names).map(({ table }) => table),
      capturedCallTables: captured,
    },
  ]
}

/** Directories that profiles know and this host has; files of call records only where some are there. */
async function placesOf(profiles: Profiles): Promise<PlaceFacts[]> {
  const places = new Map<string, PlaceFacts>()
  for (const profile of profiles.values()) {
    const { platform } = profile
    for (const [files, { path, mode }] of Object.entries(profile.files ?? {})) {
      if ((await namesIn(path)).length > 0) places.set(`${platform} ${files}`, { platform, kind: "directory", files, path, mode })
    }
    for (const [files, { path, files: patterns }] of Object.entries(profile.csv ?? {})) {
      const fits = picomatch([...patterns], { dot: true })
      if ((await namesIn(path)).some((file) => fits(file)))
        places.set(`${platform} csv ${files}`, { platform, kind: "csv", files, path, mode: "archive" })
    }
  }
  return [...places.values()]
}

// A directory that this user may not even list is there, and its job's own check says more.
async function namesIn(path: string): Promise<string[]> {
  try {
    return await readdir(path)
  } catch (error) {
    const errno = errnoOf(error)
    if (errno === undefined) throw error
    return errno === "EACCES" ? ["?"] : []
  }
}
