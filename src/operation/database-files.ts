import { open, readdir, readFile, stat } from "node:fs/promises"
import { join } from "node:path"
import { z } from "zod"
import type { Lead, SequenceValue } from "../database/database.ts"
import { type Section, sectionsIn } from "../database/sections.ts"
import { errnoOf, FormatError, JobError, reasonOf } from "../errors.ts"
import { listingBytesMax } from "../limits.ts"
import { accountPath } from "../source/account-path.ts"
import { goesOn } from "../source/piece-names.ts"

const name = z.string().min(1).max(256)
const sumSchema = z.string().regex(/^[0-9a-f]{64}$/)
const printSchema = z.object({ rows: z.int().nonnegative(), sum: sumSchema })

const joinSchema = z.object({ column: name, schema: name, table: name, key: name })
const ownerSchema = z.discriminatedUnion("kind", [
  z.object({ kind: z.literal("one"), stableId: z.string().min(1) }),
  z.object({ kind: z.literal("column"), column: name, via: z.array(joinSchema), ofNull: z.enum(["platform", "mixed"]) }),
])

const tableSchema = z.object({
  schema: name,
  name,
  columns: z.array(z.object({ name, type: z.string().min(1) })),
  key: z.array(name),
  owner: ownerSchema,
  rows: z.int().nonnegative(),
  sum: sumSchema,
})

const descriptionSchema = z.object({
  v: z.literal(1),
  kind: z.enum(["postgres", "mariadb"]),
  tables: z.array(tableSchema),
  sequences: z.array(z.object({ name, value: z.string().regex(/^-?\d+$/), called: z.boolean() })),
})

const fingerprintSchema = z.object({ v: z.literal(1), tables: z.record(z.string(), printSchema) })

/** A table as `database.json` describes it. */
export interface KeptTable extends z.infer<typeof tableSchema> {
  /** What it was called when it was captured: how its files and its fingerprints are named. */
  readonly keptName: string
}
export type Fingerprint = z.infer<typeof printSchema>
export interface KeptDescription {
  readonly kind: "postgres" | "mariadb"
  readonly tables: readonly KeptTable[]
  readonly sequences: readonly SequenceValue[]
}

/** "schema.table". */
export function tableName({ schema, name: table }: { readonly schema: string; readonly name: string }): string {
  return `${schema}.${table}`
}

/** How the account of a table's rows is read; null: all are one account's. */
export function leadOf({ owner }: KeptTable): Lead | null {
  return owner.kind === "one" ? null : { kind: "value", column: owner.column, via: owner.via }
}

/**
 * What was captured of a database, in the directory its files were brought home to. What is read is checked: the files are what the
 * agent wrote, and agents can be hostile. Throws a FormatError where a file is not what it must be.
 */
export class KeptFiles {
  readonly #root: string
  readonly #schema: string | null

  /** `schema`: where all its tables stand now, as Loader says. */
  constructor(root: string, schema: string | null) {
    this.#root = root
    this.#schema = schema
  }

  /** `database.json`; null where it is not there. */
  async description(): Promise<KeptDescription | null> {
    const json = await this.#json("database.json", descriptionSchema)
    if (json === null) return null
    const tables = json.tables.map((table) => this.#moved(table))
    const names = tables.map(tableName)
    const twice = names.find((one, at) => names.indexOf(one) !== at)
    if (twice !== undefined) throw new FormatError("format/malformed", `database.json: two tables are called ${twice}`)
    const sequences = json.sequences.map(({ name: kept, value, called }) => ({ name: this.#movedName(kept), value: BigInt(value), called }))
    return { kind: json.kind, tables, sequences }
  }

  #moved(table: z.infer<typeof tableSchema>): KeptTable {
    const keptName = tableName(table)
    const schema = this.#schema
    if (schema === null) return { ...table, keptName }
    const { owner } = table
    const moved = owner.kind === "one" ? owner : { ...owner, via: owner.via.map((step) => ({ ...step, schema })) }
    return { ...table, schema, owner: moved, keptName }
  }

  #movedName(kept: string): string {
    return this.#schema === null ? kept : `${this.#schema}${kept.slice(kept.indexOf("."))}`
  }

  /** Accounts of which something is here, by stable id. */
  async accounts(): Promise<readonly string[]> {
    return (await this.#list("accounts")).map((encoded) => {
      try {
        return decodeURIComponent(encoded)
      } catch (cause) {
        throw new FormatError("format/malformed", `accounts/${encoded}: is no account's name`, { cause })
      }
    })
  }

  /** What the account had in each table; null where it is not here. */
  async fingerprint(stableId: string): Promise<ReadonlyMap<string, Fingerprint> | null> {
    const json = await this.#json(accountPath(stableId, "fingerprint.json").toString("utf8"), fingerprintSchema)
    return json === null ? null : new Map(Object.entries(json.tables).map(([table, print]) => [this.#movedName(table), print]))
  }

  /** The absolute path of a file at the top, such as "schema.dump"; null where it is not here. */
  async file(at: string): Promise<string | null> {
    const path = join(this.#root, at)
    try {
      return (await stat(path)).isFile() ? path : null
    } catch (error) {
      if (errnoOf(error) === "ENOENT") return null
      throw error
    }
  }

  /**
   * The rows of an account in a table, as lines. A file that ends within a row must be continued by the next. Rejects with a FormatError
   * where the last one ends within a row: what follows would become a part of it.
   */
  async *lines(stableId: string, table: KeptTable): AsyncGenerator<Uint8Array> {
    const places = this.#places.get(stableId) ?? this.#findPlaces(stableId)
    this.#places.set(stableId, places)
    let last: number = newline
    for (const { path, from, to } of (await places).get(table.keptName) ?? []) {
      for await (const chunk of rangeOf(path, from, to)) {
        last = chunk.at(-1) ?? last
        yield chunk
      }
    }
    if (last !== newline) throw new FormatError("format/malformed", `account ${stableId}: its rows of ${table.keptName} end within a row`)
  }

  readonly #places = new Map<string, Promise<ReadonlyMap<string, readonly Place[]>>>()

  /** Where an account's rows stand, by table: its files have the rows of several, and each says which. */
  async #findPlaces(stableId: string): Promise<ReadonlyMap<string, readonly Place[]>> {
    const folder = accountPath(stableId, "rows").toString("utf8")
    const places = new Map<string, Place[]>()
    let last: string | null = null
    for (const file of await this.#list(folder)) {
      const path = join(this.#root, folder, file)
      const bytes = await readFile(path)
      const continues = goesOn(file)
      const sections: readonly Section[] | null = continues && last === null ? null : sectionsIn(bytes, continues ? last : null)
      if (sections === null) throw new FormatError("format/malformed", `${folder}/${file}: rows of no table`)
      for (const { table, from, to } of sections) {
        const known = places.get(table) ?? []
        places.set(table, known)
        known.push({ path, from, to })
      }
      last = sections.at(-1)?.table ?? last
    }
    return places
  }

  /** Names in a directory, sorted by their bytes; none where it is not there. */
  async #list(path: string): Promise<readonly string[]> {
    try {
      return (await readdir(join(this.#root, path))).toSorted((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)))
    } catch (error) {
      if (errnoOf(error) === "ENOENT") return []
      throw new JobError("job/target", `${path}: ${reasonOf(error)}`, { cause: error })
    }
  }

  async #json<T>(path: string, schema: z.ZodType<T>): Promise<T | null> {
    const file = await this.file(path)
    if (file === null) return null
    if ((await stat(file)).size > listingBytesMax) throw new FormatError("format/too-large", `${path}: is larger than any description`)
    let json: unknown
    try {
      json = JSON.parse(await readFile(file, "utf8"))
    } catch (cause) {
      throw new FormatError("format/malformed", `${path}: ${reasonOf(cause)}`, { cause })
    }
    const parsed = schema.safeParse(json)
    if (parsed.success) return parsed.data
    const [issue] = parsed.error.issues
    throw new FormatError("format/malformed", `${path}: ${issue?.path.join(".") ?? ""}: ${issue?.message ?? "is not what it must be"}`)
  }
}

interface Place {
  readonly path: string
  readonly from: number
  readonly to: number
}

/** Part of a file, at most as much at once as a piece of rows is long. */
async function* rangeOf(path: string, from: number, to: number): AsyncGenerator<Uint8Array> {
  await using file = await open(path, "r")
  for (let at = from; at < to; ) {
    const { bytesRead, buffer } = await file.read({ buffer: Buffer.allocUnsafeSlow(Math.min(readBytes, to - at)), position: at })
    if (bytesRead === 0) throw new JobError("job/target", `${path}: became shorter while it was read`)
    yield buffer.subarray(0, bytesRead)
    at += bytesRead
  }
}

const readBytes = 256 * 1024
const newline = 0x0a
