import { constants } from "node:fs"
import { access, readdir } from "node:fs/promises"
import { dirname, join } from "node:path"
import picomatch from "picomatch"
import { checkAccess, grantsUnasked, type Reads, versionsOf, wayTo } from "../database/check.ts"
import type { DatabaseAccess, Table } from "../database/database.ts"
import { openDatabase } from "../database/open.ts"
import type { DatabaseSettings } from "../database/settings.ts"
import { BackupError, ConfigError, errnoOf, reasonOf } from "../errors.ts"
import { sourceSampleMax } from "../limits.ts"
import { examined, type Finding, note, right, wrong } from "../operation/doctor.ts"
import { accessFindings, type SourceCheck, sampleFindings, singleHint, tenancyFindings } from "../operation/source-check.ts"
import { planCdrTable } from "../source/cdr-table.ts"
import { openSource } from "../source/open.ts"
import { cdrTablesOf, databaseOf, mergeProfile, tenancyOf } from "../source/profile.ts"
import type { CdrsSettings, CsvSettings, DatabaseJobSettings, SourceSettings } from "../source/settings.ts"
import { count } from "../units.ts"
import type { Loaded } from "./config.ts"
import { databaseAt, programEnvironment } from "./databases.ts"
import type { Io } from "./io.ts"
import type { Job } from "./jobs.ts"
import { loadProfile } from "./profiles.ts"
import { openScratch } from "./scratch.ts"

/** What was read of a database, in one go. */
interface Looked {
  readonly tables: readonly Table[]
  readonly findings: readonly Finding[]
}

/** Looks at the source of a job as a run would find it, and captures nothing. What cannot be looked at is a finding. */
export async function checkSource(job: Job, loaded: Loaded, io: Io): Promise<SourceCheck> {
  const { source } = job
  await using scratch = await openScratch(loaded.config.state)
  switch (source.kind) {
    case "database":
      return await checkDatabaseJob(job, source, { loaded, io, scratch: scratch.path })
    case "cdrs":
      return await checkCdrsJob(job, source, { loaded, io, scratch: scratch.path })
    case "csv": {
      const findings = await examined("files", () => csvFindings(job, source))
      return { job: job.name, source: `CSV files ${source.files}`, findings, sql: [], lines: [] }
    }
    case "directory":
    case "sqlite":
    case "command":
      return await checkLocalJob(job, source, { loaded, io, scratch: scratch.path })
  }
}

interface Place {
  readonly loaded: Loaded
  readonly io: Io
  /** A private directory. */
  readonly scratch: string
}

async function checkDatabaseJob(job: Job, source: DatabaseJobSettings, place: Place): Promise<SourceCheck> {
  const { database, like = database, overrides = {} } = source
  const whole = await lookAt(database, place, "database")
  if (!("tables" in whole)) return { job: job.name, source: `database ${database}`, lines: [], ...whole }
  const profile = await loadProfile(source.profile, dirname(job.file), dirname(job.file))
  const { findings, lines } = tenancyFindings(tenancyOf(profile, like, overrides), whole.tables, `database ${database}`)
  return { job: job.name, source: `database ${database}`, findings: [...whole.findings, ...findings], sql: whole.sql, lines }
}

async function checkCdrsJob(job: Job, source: CdrsSettings, place: Place): Promise<SourceCheck> {
  const { database, like = database, overrides = {} } = source
  const named = `call detail records of database ${database}`
  const profile = mergeProfile(await loadProfile(source.profile, dirname(job.file), dirname(job.file)), overrides)
  const tablesOf = (tables: readonly Table[]) => {
    const known = new Map(tables.map((table) => [`${table.schema}.${table.name}`, table]))
    return cdrTablesOf(profile, like, [...known.keys()]).flatMap(({ table, rules }) => {
      const found = known.get(table)
      return found === undefined ? [] : [{ table: found, rules }]
    })
  }
  const looked = await lookAt(database, place, (tables) => tablesOf(tables).map(({ table }) => table))
  if (!("tables" in looked)) return { job: job.name, source: named, lines: [], ...looked }
  const { single } = databaseOf(profile, like)
  const media = () => "/"
  const check = "call records"
  const found = tablesOf(looked.tables)
  const ofNobody = single === undefined ? found.filter(({ rules }) => rules.account === undefined).map(({ table }) => table.name) : []
  const findings = found.map(({ table, rules }): Finding => {
    const name = `${table.schema}.${table.name}`
    try {
      const plan = planCdrTable(table, rules, { single, timezone: source.timezone ?? "UTC", media })
      if (plan.key.length === 0)
        return note(check, `${name}: has no key: rows are told apart by their content, and changes are found by comparing`)
      return right(check, `${name}: by ${plan.key.map((index) => plan.columns[index] ?? "").join(", ")}, day of ${plan.day.column}`)
    } catch (error) {
      if (!(error instanceof ConfigError)) throw error
      return wrong(check, error.message, error.hint)
    }
  })
  const none =
    findings.length > 0
      ? []
      : [wrong(check, `the database has none of the tables of ${profile.platform}`, "check its name, and `cdrs` of the profile")]
  const whose =
    ofNobody.length === 0
      ? []
      : [note(check, `nothing tells whose the rows of ${ofNobody.join(", ")} are: they are kept under \`mixed\``, singleHint)]
  return { job: job.name, source: named, findings: [...looked.findings, ...findings, ...whose, ...none], sql: looked.sql, lines: [] }
}

/** Connects as a run would. Where it cannot, what was found is why, and the role that could is said. */
async function lookAt(
  database: string,
  place: Place,
  reads: "database" | ((tables: readonly Table[]) => Reads),
): Promise<{ readonly findings: readonly Finding[]; readonly sql: readonly string[]; readonly tables?: readonly Table[] }> {
  const { loaded, io, scratch } = place
  const { settings, access: accessOf } = databaseAt(loaded, database, io)
  const check = "connection"
  try {
    const given = await accessOf({ scratch, signal: io.signal })
    const { tables, findings } = await read(settings, given, reads === "database")
    const wanted = reads === "database" ? reads : reads(tables)
    const role = await checkAccess(settings, given, wanted)
    return { tables, findings: [...findings, ...accessFindings("role", role)], sql: role.grants }
  } catch (error) {
    if (!(error instanceof BackupError)) throw error
    return {
      findings: [wrong(check, error.message, error.hint)],
      sql: await grantsUnasked(settings, reads === "database" ? reads : "rows"),
    }
  }
}

async function read(settings: DatabaseSettings, given: DatabaseAccess, programs: boolean): Promise<Looked> {
  await using database = await openDatabase(settings, given)
  const connected = right("connection", `${database.description}, ${wayTo(settings)}`)
  const versions = programs ? await examined("programs", async () => [right("programs", versionsOf(await database.about()))]) : []
  await using snapshot = await database.snapshot({ readers: 1 })
  return { tables: await snapshot.tables(), findings: [connected, ...versions] }
}

async function checkLocalJob(job: Job, source: SourceSettings, { io, scratch }: Place): Promise<SourceCheck> {
  const opened = openSource(source, job.mode, programEnvironment(io))
  const options = { now: io.clock.now(), scratch, signal: io.signal, things: sourceSampleMax }
  const findings = await examined("files", async () => {
    if (source.kind === "directory") return await sampleFindings(opened, options)
    if (source.kind === "sqlite") return [await readableFinding(source.path)]
    return [note("program", `${source.command[0]} is not started here: it is a run's to start`)]
  })
  return { job: job.name, source: opened.description, findings, sql: [], lines: [] }
}

async function csvFindings(job: Job, { profile: name, overrides = {}, files, path }: CsvSettings): Promise<Finding[]> {
  const profile = mergeProfile(await loadProfile(name, dirname(job.file), dirname(job.file)), overrides)
  const entry = profile.csv?.[files]
  if (entry === undefined) return [wrong("files", `the profile ${profile.platform} knows no CSV files ${files}`)]
  const directory = path ?? entry.path
  const there = await namesIn(directory)
  if (there === null) return [wrong("files", `${directory}: cannot be read`, "check the path, and who may read it")]
  const fits = picomatch([...entry.files], { dot: true })
  const found = there.filter((file) => fits(file))
  if (found.length === 0)
    return [wrong("files", `${directory}: no file fits ${entry.files.join(", ")}`, "check the path, and `files` of the profile")]
  const unread = (await Promise.all(found.map((file) => readableFinding(join(directory, file))))).filter(({ state }) => state === "wrong")
  return unread.length > 0 ? unread : [right("files", `${directory}: ${count(found.length, "file")}, readable`)]
}

async function namesIn(directory: string): Promise<string[] | null> {
  try {
    return await readdir(directory)
  } catch (error) {
    if (errnoOf(error) === undefined) throw error
    return null
  }
}

async function readableFinding(path: string): Promise<Finding> {
  try {
    await access(path, constants.R_OK)
    return right("files", `${path}: readable`)
  } catch (error) {
    if (errnoOf(error) === undefined) throw error
    return wrong("files", `${path}: cannot be read: ${errnoOf(error) ?? reasonOf(error)}`, "let the agent's user read it")
  }
}
