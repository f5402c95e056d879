import { once } from "node:events"
import { createWriteStream, type Dirent, readdirSync, readFileSync, statSync } from "node:fs"
import { link, mkdtemp, open, rm, unlink } from "node:fs/promises"
import { dirname, join } from "node:path"
import { finished } from "node:stream/promises"
import { z } from "zod"
import { timestamp } from "../clock.ts"
import type { Loader, LoadSession, TableDescription } from "../database/loader.ts"
import { type Applied, Merge, type OnConflict, type TableFates } from "../database/merge.ts"
import { escapeField, unescapeField } from "../database/rows.ts"
import { BackupError, errnoOf, FormatError, JobError, reasonOf } from "../errors.ts"
import { syncDirectory } from "../files.ts"
import { cdrPartBytes, cdrPartsMax } from "../limits.ts"
import { randomId } from "../random.ts"
import type { CdrRestoreReport } from "../report/database-restore.ts"
import type { RestoreReport } from "../report/restore.ts"
import { parseCdrPiecePath, parseDescriptionPath } from "../source/cdr-pieces.ts"
import { type CdrItem, cdrState, cdrTables } from "../source/cdr-state.ts"
import { parseCsvPiecePath } from "../source/csv-pieces.ts"
import { isReservedAccount } from "../source/source.ts"
import { count } from "../units.ts"
import { type DatabaseRequest, refuseIncomplete, tellLoaded } from "./database-restore.ts"
import { restore } from "./restore.ts"
import type { World } from "./world.ts"

export interface CdrOptions {
  /** As the platform or people name it, or by its own id. */
  readonly account: string
  /** Event days, yyyy-mm-dd; both are in it. */
  readonly since: string
  readonly until: string
  /** "schema.table" as captured; needed where the days hold rows of several. */
  readonly table?: string | undefined
}

export type CdrTarget =
  /** A file that must not be there yet. */
  | { readonly form: "csv"; readonly file: string; readonly scratch: string }
  | {
      readonly form: "table"
      readonly scratch: string
      openLoader(scratch: string): Promise<Loader>
      /** "schema.table" or "table"; absent: as captured. Made where it is not there. */
      readonly into?: string | undefined
      /** Whose a row there is cannot be told, so that none is ever replaced. */
      readonly onConflict: Exclude<OnConflict, "replace">
    }

/**
 * Gives the call detail records of an account and a range of days as they were last captured: as a CSV file with a header (RFC 4180; NULL
 * is an empty field, an empty text is ""), or into a table, where rows that are there already and equal are left alone. A second run adds
 * nothing.
 */
export async function restoreCdrs(
  request: DatabaseRequest,
  target: CdrTarget,
  options: CdrOptions,
  world: World,
): Promise<CdrRestoreReport> {
  const started = world.clock.now()
  const scratch = await mkdtemp(join(target.scratch, "restore-"))
  try {
    const home = join(scratch, "files")
    const files = await bringHome(request, options, home, world)
    const records = new Records(home, join(scratch, "rows"), options)
    const shared = { dataset: request.dataset, account: records.account, since: options.since, until: options.until, files }
    const written =
      target.form === "csv"
        ? await writeCsv(records, target.file, world)
        : await intoTable(records, target, { scratch, signal: world.signal })
    tellLoaded(world, request.dataset, { outcome: written.outcome, into: target.form === "csv" ? "csv" : written.to })
    const ended = world.clock.now()
    const times = { started: timestamp(started), ended: timestamp(ended), seconds: (ended.getTime() - started.getTime()) / 1000 }
    return { ...shared, ...written, ...times, warnings: files.warnings }
  } finally {
    await rm(scratch, { recursive: true, force: true })
  }
}

type Written = Omit<CdrRestoreReport, "dataset" | "account" | "since" | "until" | "files" | "started" | "ended" | "seconds" | "warnings">

async function bringHome(
  request: DatabaseRequest,
  { account, since, until }: CdrOptions,
  path: string,
  world: World,
): Promise<RestoreReport> {
  const target = { path, owners: false }
  const report = await restore({ ...request, accounts: [account], paths: ["accounts/**"], from: since, to: until }, target, world)
  refuseIncomplete(report, request.dataset)
  const described = await restore({ ...request, accounts: ["platform"], paths: ["tables/*/*.json"] }, target, world)
  refuseIncomplete(described, request.dataset)
  return report
}

const descriptionSchema = z.object({
  v: z.literal(1),
  schema: z.string().min(1),
  name: z.string().min(1),
  columns: z.array(z.object({ name: z.string().min(1), type: z.string().min(1) })).nonempty(),
  key: z.array(z.string()),
})

/** The rows that were brought home. */
class Records {
  /** As the platform names the account. */
  readonly account: string
  /** Names of columns, those of all times. */
  readonly columns: readonly string[]
  readonly table: TableDescription
  readonly #home: string
  readonly #spill: string
  /** Where each of the columns stands in a line of an edition's. */
  readonly #positions = new WeakMap<readonly string[], readonly number[]>()

  /** `spill`: a directory that is made, for rows that are too many to be held at once, and removed again. */
  constructor(home: string, spill: string, { table: wanted }: CdrOptions) {
    this.#home = home
    this.#spill = spill
    this.#refuseFiles()
    const tables = cdrTables(this.#items())
    const customers = new Set(tables.flatMap(({ stableIds }) => stableIds.filter((one) => !isReservedAccount(one))))
    const [account, another] = customers
    if (account === undefined || another !== undefined) {
      const found = account === undefined ? "no account" : `several accounts: ${[...customers].join(", ")}`
      throw new JobError("job/not-found", `the days hold records of ${found}`, { hint: "name one account, by its id" })
    }
    const chosen = wanted === undefined && tables.length === 1 ? tables[0] : tables.find(({ table }) => table === wanted)
    if (chosen === undefined) {
      throw new JobError("job/not-found", `the days hold records of ${tables.map(({ table }) => table).join(", ")}`, {
        hint: "name one of them with --table",
      })
    }
    this.account = account
    this.columns = chosen.columns
    this.table = this.#describe(chosen.table)
  }

  #refuseFiles(): void {
    for (const { parentPath, name } of this.#files()) {
      if (parseCsvPiecePath(Buffer.from(join(parentPath, name).slice(this.#home.length + 1))) === null) continue
      throw new JobError("job/not-found", "what is kept are lines of CSV files, and no rows of a table", {
        hint: "they are CSV already: bring them back with `holdline restore run`",
      })
    }
  }

  #files(): Dirent[] {
    return readdirSync(this.#home, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile())
  }

  /** Each row with its fields in the order of the columns; undefined where it has none. */
  *rows(): Generator<{ readonly fields: readonly (string | undefined)[]; readonly times: number }> {
    const name = `${this.table.schema}.${this.table.name}`
    const ofTable = [...this.#items()].filter(({ path }) => (parseCdrPiecePath(path) ?? parseDescriptionPath(path))?.table === name)
    const bytes = ofTable.reduce((sum, { size }) => sum + size, 0)
    const buckets = Math.min(cdrPartsMax, Math.ceil(bytes / cdrPartBytes))
    for (const { line, columns, times } of cdrState(ofTable, { directory: this.#spill, buckets })) {
      const fields = line.split("\t")
      yield { fields: this.#positionsIn(columns).map((index) => fields[index]), times }
    }
  }

  #positionsIn(columns: readonly string[]): readonly number[] {
    const known = this.#positions.get(columns) ?? this.columns.map((column) => columns.indexOf(column))
    this.#positions.set(columns, known)
    return known
  }

  *#items(): Generator<CdrItem & { readonly size: number }> {
    for (const entry of this.#files()) {
      const absolute = join(entry.parentPath, entry.name)
      yield {
        path: Buffer.from(absolute.slice(this.#home.length + 1)),
        size: statSync(absolute).size,
        // Read when it is asked for: all of them are larger than any memory.
        get bytes() {
          return readFileSync(absolute)
        },
      }
    }
  }

  /** The columns of all descriptions of a table: the type of each as one of them says, the key as the last. */
  #describe(name: string): TableDescription {
    const types = new Map<string, string>()
    let last: z.infer<typeof descriptionSchema> | undefined
    for (const { path, bytes } of this.#items()) {
      if (parseDescriptionPath(path)?.table !== name) continue
      const parsed = descriptionSchema.safeParse(JSON.parse(Buffer.from(bytes).toString("utf8")))
      if (!parsed.success) throw new FormatError("format/malformed", `${Buffer.from(path).toString()}: is no description of a table`)
      last = parsed.data
      for (const column of last.columns) types.set(column.name, column.type)
    }
    if (last === undefined) throw new FormatError("format/malformed", `${name}: its description is not there`)
    const columns = this.columns.map((column) => ({ name: column, type: types.get(column) ?? "text" }))
    const key = last.key.filter((column) => this.columns.includes(column))
    return { schema: last.schema, name: last.name, columns, key }
  }
}

async function writeCsv(records: Records, file: string, world: World): Promise<Written> {
  const temporary = join(dirname(file), `.holdline-${randomId(world.random)}`)
  let rows = 0
  try {
    // Taken first: a name that is taken is found before an hour's work.
    await using handle = await open(temporary, "wx", 0o600)
    const stream = createWriteStream(temporary, { fd: handle.fd, autoClose: false })
    for (const line of csvLines(records)) {
      world.signal.throwIfAborted()
      rows += 1
      if (!stream.write(line)) await once(stream, "drain")
    }
    stream.end()
    await finished(stream)
    await handle.sync()
    await link(temporary, file)
    await syncDirectory(dirname(file))
  } catch (error) {
    if (error instanceof BackupError || world.signal.aborted) throw error
    const why = errnoOf(error) === "EEXIST" ? "is there already, and is not overwritten" : (errnoOf(error) ?? reasonOf(error))
    throw new JobError("job/target", `${file}: ${why}`, {
      cause: error,
      hint: "name a file that is not there yet, in a directory that can be written",
    })
  } finally {
    await unlink(temporary).catch(() => undefined)
  }
  const counts = { rows: rows - 1, new: rows - 1, equal: 0, different: 0, inserted: rows - 1 }
  return { outcome: "ok", to: file, form: "csv", created: true, ...counts, onConflict: "stop", stops: [] }
}

/** The header, then each row as often as it was there. */
function* csvLines(records: Records): Generator<Buffer> {
  yield Buffer.from(`${records.columns.map(csvField).join(",")}\r\n`)
  for (const { fields, times } of records.rows()) {
    const texts = fields.map((field) => unescapeField(field ?? "\\N"))
    const bytes = Buffer.from(`${texts.map(csvField).join(",")}\r\n`, "latin1")
    for (let time = 0; time < times; time++) yield bytes
  }
}

function csvField(text: string | null): string {
  if (text === null) return ""
  return text === "" || /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text
}

interface TableWork {
  readonly scratch: string
  readonly signal: AbortSignal
}

async function intoTable(records: Records, target: Extract<CdrTarget, { form: "table" }>, work: TableWork): Promise<Written> {
  await using loader = await target.openLoader(work.scratch)
  const table = placed(records.table, target.into, loader.schema)
  const state: TableState = { created: false, rows: 0, stops: [], fates: [], applied: new Map() }
  let failure: string | undefined
  try {
    await using session = await loader.session()
    await mergeRecords(records, table, { session, onConflict: target.onConflict, state })
  } catch (error) {
    work.signal.throwIfAborted()
    if (!(error instanceof BackupError)) throw error
    failure = error.message
  }
  const [fates] = state.fates
  const [applied] = state.applied.values()
  const failed = failure !== undefined || state.stops.length > 0
  return {
    outcome: failed ? "failed" : (fates?.different ?? 0) > 0 && target.onConflict === "keep" ? "partial" : "ok",
    to: `${loader.description}, table ${table.schema}.${table.name}`,
    ...{ form: "table", created: state.created, rows: state.rows },
    ...{ new: fates?.new ?? 0, equal: fates?.equal ?? 0, different: fates?.different ?? 0 },
    inserted: applied?.inserted ?? 0,
    ...{ onConflict: target.onConflict, stops: state.stops },
    ...(failure === undefined ? {} : { failure }),
  }
}

interface TableState {
  created: boolean
  rows: number
  stops: readonly string[]
  fates: readonly TableFates[]
  applied: ReadonlyMap<unknown, Applied>
}

interface MergeWork {
  readonly session: LoadSession
  readonly onConflict: OnConflict
  readonly state: TableState
}

async function mergeRecords(records: Records, table: TableDescription, { session, onConflict, state }: MergeWork): Promise<void> {
  if ((await session.tables([table])).length === 0) {
    await session.create(table)
    state.created = true
  }
  const merge = new Merge(session, records.account, onConflict)
  const columns = table.columns.map(({ name }) => name)
  const lines = (): AsyncIterable<Uint8Array> => linesOf(records)
  const [staged] = await merge.stage([{ schema: table.schema, name: table.name, columns, owner: null, lines, shared: null }])
  state.rows = staged?.rows ?? 0
  for (const statement of session.dialect.begin) await session.execute(statement)
  await merge.compare()
  state.fates = await merge.fates({ onlyThere: false })
  state.stops = state.fates.flatMap(({ different, clashes }) => [
    ...(different > 0 && onConflict === "stop" ? [`${count(different, "row")} with other values under the same key`] : []),
    ...(onConflict === "keep"
      ? []
      : clashes.map(({ unique, rows }) => `${count(rows, "row")} with a value of ${unique} that another row has`)),
  ])
  if (state.stops.length > 0) {
    await session.execute("ROLLBACK")
    return
  }
  const applied = await merge.apply(state.fates)
  await session.execute("COMMIT")
  state.applied = applied
}

/** Rows as lines of the table's columns, each as often as it was there. */
async function* linesOf(records: Records): AsyncGenerator<Uint8Array> {
  for (const { fields, times } of records.rows()) {
    const placed = fields.map((field) => field ?? escapeField(null))
    const bytes = Buffer.from(`${placed.join("\t")}\n`, "latin1")
    for (let time = 0; time < times; time++) yield bytes
  }
}

function placed(table: TableDescription, into: string | undefined, schema: string | null): TableDescription {
  const [first, second] = into?.split(".", 2) ?? []
  if (first === undefined) return { ...table, schema: schema ?? table.schema }
  return second === undefined
    ? { ...table, schema: schema ?? table.schema, name: first }
    : { ...table, schema: schema ?? first, name: second }
}
