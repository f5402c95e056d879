import { mkdtemp, rm } from "node:fs/promises"
import { join } from "node:path"
import { timestamp } from "../clock.ts"
import type { Loader, LoadSession, TargetTable } from "../database/loader.ts"
import { type Applied, type Dangling, Merge, type MergeTable, type OnConflict, type TableFates } from "../database/merge.ts"
import { RowSum, rowRuns } from "../database/rows.ts"
import { BackupError, FormatError, JobError } from "../errors.ts"
import type { AccountRestoreReport, AccountTable, DanglingKey } from "../report/database-restore.ts"
import type { RestoreReport } from "../report/restore.ts"
import { isReservedAccount } from "../source/source.ts"
import { count } from "../units.ts"
import { type Fingerprint, type KeptDescription, KeptFiles, type KeptTable, tableName } from "./database-files.ts"
import { Differences, readPrints } from "./database-prints.ts"
import {
  type DatabaseRequest,
  type DatabaseTarget,
  refuseArchive,
  refuseIncomplete,
  tellLoaded,
  unlessNothing,
} from "./database-restore.ts"
import { restore } from "./restore.ts"
import type { World } from "./world.ts"

export interface AccountOptions {
  /** As the platform or people name it, or by its own id. */
  readonly account: string
  /** Say what would come, and change nothing. */
  readonly preview: boolean
  readonly onConflict: OnConflict
  /** Bring rows of `platform` that the account's refer to, and that are not there. */
  readonly withShared: boolean
  /** Whether triggers of the tables act on what comes. */
  readonly triggers: "act" | "silent"
  /** How many tables are read back at once. */
  readonly jobs: number
}

/**
 * Gives one account its rows back in a database that is in use. They are laid beside the tables and compared first; then one transaction
 * takes them, all or none. Where anything stands in the way, nothing is changed and the report says what. Rows the account has there and
 * the snapshot does not stay; no other account's row is touched.
 */
export async function restoreAccount(
  request: DatabaseRequest,
  target: DatabaseTarget,
  options: AccountOptions,
  world: World,
): Promise<AccountRestoreReport> {
  if (isReservedAccount(options.account)) throw new JobError("job/not-found", `account ${options.account}: is no customer`)
  await refuseArchive(request, world)
  const started = world.clock.now()
  const scratch = await mkdtemp(join(target.scratch, "restore-"))
  try {
    await using loader = await target.openLoader(scratch)
    const home = join(scratch, "files")
    const report = await bringHome(request, options, home, world)
    const files = new KeptFiles(home, loader.schema)
    const kept = await keptOf(files, loader)
    const work = new AccountRestore({ files, ...kept, loader, report }, options, world)
    const outcome = await work.run(target, scratch)
    if (outcome.changed) tellLoaded(world, request.dataset, outcome)
    const ended = world.clock.now()
    const times = { started: timestamp(started), ended: timestamp(ended), seconds: (ended.getTime() - started.getTime()) / 1000 }
    return { ...outcome, ...times }
  } finally {
    await rm(scratch, { recursive: true, force: true })
  }
}

async function bringHome(
  request: DatabaseRequest,
  { account, withShared }: AccountOptions,
  path: string,
  world: World,
): Promise<RestoreReport> {
  const target = { path, owners: false }
  const report = await restore({ ...request, accounts: [account], paths: ["accounts/**"] }, target, world)
  refuseIncomplete(report, request.dataset)
  const paths = ["database.json", ...(withShared ? ["accounts/platform/**"] : [])]
  const described = await unlessNothing(restore({ ...request, accounts: ["platform"], paths }, target, world))
  if (described !== null) refuseIncomplete(described, request.dataset)
  return report
}

interface Kept {
  readonly description: KeptDescription
  /** As the platform names the account. */
  readonly stableId: string
  readonly fingerprint: ReadonlyMap<string, Fingerprint>
}

async function keptOf(files: KeptFiles, loader: Loader): Promise<Kept> {
  const description = await files.description()
  if (description === null || description.kind !== loader.kind) {
    throw new JobError("job/not-found", `the snapshot holds no rows of a ${loader.kind} database by account`)
  }
  const accounts = (await files.accounts()).filter((account) => !isReservedAccount(account))
  const [stableId, another] = accounts
  if (stableId === undefined || another !== undefined) {
    const found = stableId === undefined ? "none" : accounts.join(" and ")
    throw new JobError("job/not-found", `the snapshot's files are not those of one account: ${found}`, {
      hint: "name one account, by its id",
    })
  }
  const fingerprint = await files.fingerprint(stableId)
  if (fingerprint === null) throw new FormatError("format/malformed", `account ${stableId}: no fingerprint was kept`)
  return { description, stableId, fingerprint }
}

interface Given extends Kept {
  readonly files: KeptFiles
  readonly loader: Loader
  readonly report: RestoreReport
}

type Outcome = Omit<AccountRestoreReport, "started" | "ended" | "seconds">

class AccountRestore {
  readonly #given: Given
  readonly #options: AccountOptions
  readonly #world: World
  readonly #tables: readonly KeptTable[]
  readonly #differences = new Differences()
  readonly #stops: string[] = []
  #fates: readonly TableFates[] = []
  #dangling: readonly Dangling[] = []
  #applied: ReadonlyMap<TargetTable, Applied> = new Map()
  readonly #advanced: string[] = []
  #changed = false
  /** From the moment the server is asked to commit until it says that it did. */
  #committing = false
  #matched = false

  constructor(given: Given, options: AccountOptions, world: World) {
    this.#given = given
    this.#options = options
    this.#world = world
    const shared = (table: KeptTable): boolean => options.withShared && isSharedToo(table)
    this.#tables = given.description.tables.filter((table) => given.fingerprint.has(tableName(table)) || shared(table))
  }

  async run(target: DatabaseTarget, scratch: string): Promise<Outcome> {
    let failure: string | undefined
    try {
      await using session = await this.#given.loader.session()
      if (this.#options.triggers === "silent") await session.silenceTriggers()
      await this.#merge(session)
      if (this.#changed) await this.#compare(target, scratch)
    } catch (error) {
      this.#world.signal.throwIfAborted()
      if (!(error instanceof BackupError)) throw error
      failure = error.message
    }
    return this.#outcome(failure)
  }

  async #merge(session: LoadSession): Promise<void> {
    const merge = new Merge(session, this.#given.stableId, this.#options.onConflict)
    const sums = new Map<string, RowSum>()
    await merge.stage(this.#tables.map((table) => this.#mergeTable(table, sums)))
    this.#checkSums(sums)
    for (const statement of session.dialect.begin) await session.execute(statement)
    await merge.compare()
    this.#fates = await merge.fates({ onlyThere: true })
    this.#dangling = await merge.dangling("before")
    this.#stops.push(...stopsOf(this.#fates, this.#dangling, this.#options.onConflict))
    if (this.#options.preview || this.#stops.length > 0) {
      await session.execute("ROLLBACK")
      return
    }
    const applied = await merge.apply(this.#fates)
    if (this.#options.triggers === "silent") refuseDangling(await merge.dangling("now"))
    for (const { table } of this.#fates) this.#advanced.push(...(await session.advance(table)))
    this.#committing = true
    await session.execute("COMMIT")
    this.#committing = false
    this.#applied = applied
    this.#changed = true
  }

  #mergeTable(table: KeptTable, sums: Map<string, RowSum>): MergeTable {
    const { files, stableId } = this.#given
    const { schema, name, owner } = table
    const sum = new RowSum()
    sums.set(tableName(table), sum)
    return {
      ...{ schema, name, columns: table.columns.map((column) => column.name) },
      owner: owner.kind === "one" ? null : { column: owner.column, via: owner.via },
      lines: () => summed(files.lines(stableId, table), sum, tableName(table)),
      shared: this.#options.withShared && isSharedToo(table) ? () => files.lines("platform", table) : null,
    }
  }

  /** Before anything is changed: are these the rows that were captured? */
  #checkSums(sums: ReadonlyMap<string, RowSum>): void {
    const { fingerprint, stableId } = this.#given
    for (const [table, kept] of fingerprint) {
      const sum = sums.get(table)
      if (sum?.rows === kept.rows && (kept.rows === 0 || sum.digest() === kept.sum)) continue
      throw new FormatError("format/mismatch", `account ${stableId}: its kept rows of ${table} are not those of its fingerprint`)
    }
  }

  async #compare(target: DatabaseTarget, scratch: string): Promise<void> {
    const { fingerprint, stableId } = this.#given
    await using database = await target.openDatabase(scratch)
    const tables = this.#tables.filter((table) => fingerprint.has(tableName(table)))
    const prints = await readPrints(database, tables, { readers: this.#options.jobs, signal: this.#world.signal })
    for (const [table, kept] of fingerprint) this.#differences.compare(table, stableId, kept, prints.get(table)?.get(stableId))
    this.#matched = this.#differences.count === 0
  }

  #outcome(failure: string | undefined): Outcome {
    const { loader, report, stableId } = this.#given
    const { preview, onConflict, triggers } = this.#options
    const changed = this.#changed
    // Nothing was done that was asked for; where it was only to be looked at, that is what was asked for.
    const failed = failure !== undefined || (this.#stops.length > 0 && !preview)
    const kept = changed && this.#fates.some(({ different, foreign, clashes }) => different + foreign + clashes.length > 0)
    return {
      dataset: report.dataset,
      account: stableId,
      into: loader.description,
      outcome: failed ? "failed" : kept && onConflict === "keep" ? "partial" : "ok",
      rung: !changed || failed ? null : this.#matched ? "matched" : "loaded",
      ...{ preview, changed, onConflict, files: report },
      ...(failure === undefined ? {} : { failure: `${this.#state()}: ${failure}` }),
      stops: this.#stops,
      tables: this.#fates.map((fates) => accountTable(fates, this.#applied.get(fates.table))),
      dangling: this.#dangling.map((one) => this.#danglingKey(one)),
      triggers: this.#fates.flatMap(({ table }) => table.triggers.map((trigger) => `${tableName(table)}: ${trigger}`)),
      triggersAct: triggers === "act",
      advanced: this.#advanced,
      differences: this.#differences.shown,
      differenceCount: this.#differences.count,
      warnings: report.warnings,
    }
  }

  #state(): string {
    if (this.#committing)
      return "whether the rows are in is not known, because the server went away when it was told to keep them; look with --preview"
    return this.#changed ? "the rows are in, and could not be compared" : "nothing was changed"
  }

  #danglingKey({ table, reference, rows }: Dangling): DanglingKey {
    const toTable = tableName({ schema: reference.schema, name: reference.table })
    const kept = this.#given.description.tables.find((one) => tableName(one) === toTable)
    const keptAsShared = kept !== undefined && isSharedToo(kept) && !this.#options.withShared
    return { table: tableName(table), columns: reference.columns, toTable, rows, keptAsShared }
  }
}

/** Whether some of a table's rows are nobody's. */
function isSharedToo({ owner }: KeptTable): boolean {
  return owner.kind === "one" ? owner.stableId === "platform" : owner.ofNull === "platform"
}

/** Passes rows on, and sums them up. */
async function* summed(lines: AsyncIterable<Uint8Array>, sum: RowSum, what: string): AsyncGenerator<Uint8Array> {
  for await (const run of rowRuns(lines, 0, what)) {
    sum.join(run.sum)
    // The run's bytes are filled again before a stream that takes them has sent them.
    yield Uint8Array.prototype.slice.call(run.bytes)
  }
}

function stopsOf(fates: readonly TableFates[], dangling: readonly Dangling[], onConflict: OnConflict): string[] {
  const stops: string[] = []
  for (const { table, different, foreign, clashes } of fates) {
    const name = tableName(table)
    if (different > 0 && onConflict === "stop") stops.push(`${name}: ${count(different, "row")} with other values under the same key`)
    if (foreign > 0 && onConflict !== "keep") stops.push(`${name}: ${count(foreign, "row")} under a key that another account's row has now`)
    for (const { unique, rows } of clashes) {
      if (onConflict !== "keep") stops.push(`${name}: ${count(rows, "row")} with a value of ${unique} that another row has now`)
    }
  }
  for (const { table, reference, rows } of dangling) {
    const to = tableName({ schema: reference.schema, name: reference.table })
    stops.push(`${tableName(table)}: ${count(rows, "row")} whose ${reference.name} leads to no row of ${to}`)
  }
  return stops
}

function refuseDangling(dangling: readonly Dangling[]): void {
  const [first] = dangling
  if (first === undefined) return
  const { table, reference, rows } = first
  throw new JobError("job/target", `${tableName(table)}: ${count(rows, "row")} whose ${reference.name} leads to nothing`)
}

function accountTable(fates: TableFates, applied: Applied | undefined): AccountTable {
  const { table, staged, ...counts } = fates
  return { table: tableName(table), kept: staged, ...counts, inserted: applied?.inserted ?? 0, replaced: applied?.replaced ?? 0 }
}
