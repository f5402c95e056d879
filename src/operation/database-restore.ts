import { mkdtemp, rm } from "node:fs/promises"
import { join } from "node:path"
import { timestamp } from "../clock.ts"
import type { Database } from "../database/database.ts"
import type { Loader } from "../database/loader.ts"
import { BackupError, JobError } from "../errors.ts"
import type { DatabaseRestoreReport } from "../report/database-restore.ts"
import type { RestoreReport } from "../report/restore.ts"
import { count } from "../units.ts"
import { type KeptDescription, KeptFiles, type KeptTable, tableName } from "./database-files.ts"
import { inParallel } from "./database-parallel.ts"
import { compareAll, Differences, type Prints, readPrints } from "./database-prints.ts"
import { chooseSnapshots, readHistory } from "./history.ts"
import { Keyring } from "./keyring.ts"
import { type RestoreRequest, restore } from "./restore.ts"
import { TracePlaces } from "./trace-places.ts"
import type { World } from "./world.ts"

/** Where a database is restored to, and how it is opened there. */
export interface DatabaseTarget {
  /** A directory of ours to work in, on a disk with room for what is restored; what is made in it is removed at the end. */
  readonly scratch: string
  openLoader(scratch: string): Promise<Loader>
  /** The same database, to be read back. */
  openDatabase(scratch: string): Promise<Database>
}

/** What of which snapshot is restored; which files that takes is decided here. */
export type DatabaseRequest = Omit<RestoreRequest, "paths" | "accounts" | "from" | "to">

export interface WholeOptions {
  /** From the rows that were captured account by account, even where there is a dump of the whole. */
  readonly fromAccounts: boolean
  /** How much is loaded, and read back, at once. */
  readonly jobs: number
}

/**
 * Brings a whole database back into an empty one: its files come home first, each equal to its SHA-256, then they are loaded, then what is
 * there is compared with what was captured. Rejects, and loads nothing, where the database is not empty or not every file came home. A
 * load that breaks off is reported as failed; what it loaded stays, to be looked at, and the database must be emptied before the next.
 */
export async function restoreDatabase(
  request: DatabaseRequest,
  target: DatabaseTarget,
  options: WholeOptions,
  world: World,
): Promise<DatabaseRestoreReport> {
  await refuseArchive(request, world)
  const scratch = await mkdtemp(join(target.scratch, "restore-"))
  try {
    await using loader = await target.openLoader(scratch)
    await refuseFull(loader)
    const home = join(scratch, "files")
    const { way, report } = await bringHome(request, options, home, world)
    refuseIncomplete(report, request.dataset)
    const work = new WholeRestore({ files: new KeptFiles(home, loader.schema), loader, way, report }, options, world)
    const loaded = await work.run(() => target.openDatabase(scratch))
    tellLoaded(world, request.dataset, loaded)
    return loaded
  } finally {
    await rm(scratch, { recursive: true, force: true })
  }
}

/** What the ledger keeps of rows that went into a server; the files they came from are an entry before it. */
export function tellLoaded(world: World, dataset: string, { outcome, into }: Pick<DatabaseRestoreReport, "outcome" | "into">): void {
  world.tell({ type: "deed", deed: { what: "restore", subject: dataset, outcome, details: { into: into.slice(0, 1000) } } })
}

type Way = "whole" | "accounts"

async function refuseFull(loader: Loader): Promise<void> {
  const found = await loader.contents()
  if (found.length === 0) return
  const shown = found.slice(0, shownMax).join(", ")
  const more = found.length > shownMax ? `, and at least ${String(found.length - shownMax)} more` : ""
  throw new JobError("job/target", `${loader.description}: is not empty: it holds ${shown}${more}`, {
    hint: "restore into a new database beside it, and let the platform use that; or give back one account with `holdline restore account`",
  })
}

const shownMax = 5

/** The whole dump where there is one, with what is compared afterwards; otherwise the rows of all accounts. */
async function bringHome(
  request: DatabaseRequest,
  { fromAccounts }: WholeOptions,
  path: string,
  world: World,
): Promise<{ readonly way: Way; readonly report: RestoreReport }> {
  const target = { path, owners: false }
  if (!fromAccounts) {
    const report = await unlessNothing(restore({ ...request, paths: ["whole.dump", "whole.sql"] }, target, world))
    if (report !== null) {
      await unlessNothing(restore({ ...request, paths: ["database.json", "accounts/*/fingerprint.json"] }, target, world))
      return { way: "whole", report }
    }
  }
  const paths = ["database.json", "schema.dump", "schema.sql", "accounts/**"]
  return { way: "accounts", report: await restore({ ...request, paths }, target, world) }
}

/** Throws where the dataset is an archive, before anything of it is fetched: a database is a whole, and what is none would load nothing. */
export async function refuseArchive(request: DatabaseRequest, outer: World): Promise<void> {
  // The restore that follows says the same of the sites.
  const world: World = { ...outer, tell: () => undefined }
  const { dataset, identities } = request
  const history = await readHistory(world)
  const snapshots = chooseSnapshots(history, request)
  if (snapshots.at(-1)?.commit.body.mode !== "archive") return
  const places = await TracePlaces.open(history, new Keyring(world, history, identities), world)
  if (await places.holdCalls(snapshots)) {
    throw new JobError("job/not-found", `${dataset}: holds call detail records, and no database`, {
      hint: `give them back with \`holdline restore cdrs ${dataset} ACCOUNT --since DAY --until DAY --into DATABASE\``,
    })
  }
  throw new JobError("job/not-found", `${dataset}: holds files by their days, and no database`, {
    hint: `bring them back with \`holdline restore run ${dataset} --to DIRECTORY\``,
  })
}

/** Null where the snapshot has no such files. */
export async function unlessNothing<T>(work: Promise<T>): Promise<T | null> {
  try {
    return await work
  } catch (error) {
    if (error instanceof JobError && error.code === "job/not-found") return null
    throw error
  }
}

/** Throws where not every file is home: rows that are missing would be missed by nobody until someone needed them. */
export function refuseIncomplete(report: RestoreReport, dataset: string): void {
  if (report.outcome === "ok") return
  const missing = report.lostCount + report.unreachableCount + report.refusedCount + report.missingAtSource
  const [first] = [...report.lost, ...report.unreachable, ...report.refused]
  const why = first === undefined ? "the run that took the snapshot could not read them" : `${first.path}: ${first.detail}`
  throw new JobError("job/target", `${dataset}: ${count(missing, "file")} of the snapshot cannot be had: ${why}: nothing was loaded`, {
    hint: "choose an older snapshot, or a site that has them all; `holdline verify` says which do",
  })
}

interface Given {
  readonly files: KeptFiles
  readonly loader: Loader
  readonly way: Way
  readonly report: RestoreReport
}

class WholeRestore {
  readonly #given: Given
  readonly #options: WholeOptions
  readonly #world: World
  readonly #leftOut: string[] = []
  readonly #warnings: string[] = []
  readonly #differences = new Differences()
  /** null until somebody counted them. */
  #rows: number | null = null
  #loaded = false
  #compared = false

  constructor(given: Given, options: WholeOptions, world: World) {
    this.#given = given
    this.#options = options
    this.#world = world
  }

  async run(openDatabase: () => Promise<Database>): Promise<DatabaseRestoreReport> {
    const { files } = this.#given
    const started = this.#world.clock.now()
    const description = await files.description()
    let failure: string | undefined
    try {
      await this.#load(description)
      this.#loaded = true
      if (description === null) this.#warnings.push("no fingerprints were kept with it: that it is equal is not shown")
      else await this.#compare(description, openDatabase)
    } catch (error) {
      this.#world.signal.throwIfAborted()
      if (!(error instanceof BackupError)) throw error
      failure = error.message
    }
    return this.#report(description, started, failure)
  }

  async #load(description: KeptDescription | null): Promise<void> {
    const { files, loader, way } = this.#given
    const { jobs } = this.#options
    if (way === "whole") {
      const file = (await files.file("whole.dump")) ?? (await files.file("whole.sql"))
      if (file === null) throw new JobError("job/not-found", "the snapshot holds no dump of the whole")
      this.#leftOut.push(...(await loader.loadWhole(file, { jobs })).leftOut)
      return
    }
    const schema = await files.file(loader.kind === "postgres" ? "schema.dump" : "schema.sql")
    if (description === null || description.kind !== loader.kind || schema === null) {
      throw new JobError("job/not-found", `the snapshot holds no rows of a ${loader.kind} database by account`)
    }
    this.#leftOut.push(...(await loader.loadSchema(schema, "before rows", { jobs })).leftOut)
    await this.#loadRows(description.tables)
    await loader.setSequences(description.sequences)
    await loader.loadSchema(schema, "after rows", { jobs })
  }

  /** The largest first, so that no long table is begun when all others are done. */
  async #loadRows(tables: readonly KeptTable[]): Promise<void> {
    const { files, loader } = this.#given
    const accounts = await files.accounts()
    this.#rows = 0
    const bySize = tables.toSorted((a, b) => b.rows - a.rows)
    await inParallel(bySize, this.#options.jobs, async (table) => {
      const { schema, name } = table
      const columns = table.columns.map((column) => column.name)
      const loaded = await loader.loadRows({ schema, name, columns }, linesOf(files, accounts, table))
      // Added once it is known: a sum taken before the await would forget what other tables brought meanwhile.
      this.#rows = (this.#rows ?? 0) + loaded
    })
  }

  async #compare({ tables }: KeptDescription, openDatabase: () => Promise<Database>): Promise<void> {
    await using database = await openDatabase()
    const prints = await readPrints(database, tables, { readers: this.#options.jobs, signal: this.#world.signal })
    await compareAll(this.#given.files, tables, prints, this.#differences)
    if (this.#given.way === "whole" && tables.length > 0) this.#rows = rowsIn(prints)
    await using snapshot = await database.snapshot({ readers: 1 })
    const kept = new Set(tables.map(tableName))
    const without = (await snapshot.tables()).map(tableName).filter((name) => !kept.has(name))
    // Where nothing but such tables is there, nothing was compared.
    this.#compared = tables.length > 0 || without.length === 0
    if (without.length === 0) return
    const why = "the job that took the snapshot leaves them out, or another captures them as records"
    if (this.#given.way === "accounts") this.#leftOut.push(`rows of ${without.join(", ")}: ${why}`)
    else this.#warnings.push(`loaded and not compared, as no fingerprints are kept of them: ${without.join(", ")}; ${why}`)
  }

  #report(description: KeptDescription | null, started: Date, failure: string | undefined): DatabaseRestoreReport {
    const { loader, way, report } = this.#given
    const ended = this.#world.clock.now()
    const matched = this.#compared && this.#differences.count === 0
    return {
      dataset: report.dataset,
      into: loader.description,
      outcome: failure !== undefined ? "failed" : this.#differences.count > 0 ? "partial" : "ok",
      rung: failure !== undefined || !this.#loaded ? null : matched ? "matched" : "loaded",
      way,
      started: timestamp(started),
      ended: timestamp(ended),
      seconds: (ended.getTime() - started.getTime()) / 1000,
      files: report,
      ...(failure === undefined ? {} : { failure }),
      tables: description?.tables.length ?? 0,
      rows: this.#rows,
      sequences: description?.sequences.length ?? 0,
      differences: this.#differences.shown,
      differenceCount: this.#differences.count,
      leftOut: this.#leftOut,
      warnings: [...this.#warnings, ...report.warnings],
    }
  }
}

function rowsIn(prints: Prints): number {
  return [...prints.values()].flatMap((accounts) => [...accounts.values()]).reduce((sum, { rows }) => sum + rows, 0)
}

async function* linesOf(files: KeptFiles, accounts: readonly string[], table: KeptTable): AsyncGenerator<Uint8Array> {
  for (const account of accounts) yield* files.lines(account, table)
}
