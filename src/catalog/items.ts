import { z } from "zod"
import { type Digest, digestOf } from "../digest.ts"
import { digestSchema } from "../digest-schema.ts"
import { type InventoryPartition, inventoryPartitionSchema } from "../format/inventory.ts"
import type { Extent, ManifestItem } from "../format/manifest.ts"
import type { PackName } from "../format/names.ts"
import type { Catalog, Row } from "./catalog.ts"
import { bigintOf, blobOf, nullable, numberOf, textOf } from "./rows.ts"
import { forgetStretches } from "./stretches.ts"

/** An item as it was captured, and for whom. */
export interface CapturedItem extends ManifestItem {
  readonly account: string
  readonly epoch: string
  readonly day: string
  readonly class: string
  /** As the file was when it was read: what tells an unchanged one without opening it. */
  readonly ctimeNs: bigint | null
  readonly inode: bigint | null
}

/** What is remembered of a path. */
export interface KnownItem {
  readonly type: ItemType
  readonly link: Buffer | null
  readonly day: string
  readonly size: number
  readonly mtimeNs: bigint
  readonly ctimeNs: bigint | null
  readonly inode: bigint | null
  readonly mode: number
  readonly uid: number
  readonly gid: number
  readonly account: string
  readonly epoch: string
  readonly class: string
  readonly sha256: Digest | null
  readonly pending: boolean
}

/** What a commit is about to list: items of one account, key epoch and class, of one event day or one run. */
export interface Partition {
  readonly account: string
  readonly epoch: string
  readonly class: string
  readonly day: string
}

/** A partition of a whole as a run met it. */
export interface RunPartition extends Partition {
  readonly items: number
  /** Items of it that no commit lists yet. */
  readonly pending: number
}

/** What a commit said of a partition: its line in the inventory, and the data packs that its items are in. */
export interface KeptManifest {
  readonly line: InventoryPartition
  readonly packs: readonly Digest[]
}

export interface WrittenManifest extends KeptManifest {
  readonly partition: Partition
  readonly items: number
}

interface CommittedOptions {
  readonly run: number
  readonly mode: "archive" | "state"
  /** State mode: what was written of partitions, and the meta packs it is in. */
  readonly manifests: { readonly written: readonly WrittenManifest[]; readonly packs: readonly RecordedPack[] }
}

const pendingRows = "FROM item WHERE dataset = ? AND state = 0 AND account = ? AND epoch = ? AND class = ? AND day = ? ORDER BY path"
// SQLite would search by the dataset alone, and read all of it for each account.
const runRows =
  "FROM item INDEXED BY item_whole WHERE dataset = ? AND account = ? AND epoch = ? AND class = ? AND day = '' AND run = ? ORDER BY path"
// A path may need two characters a byte, and a location takes less in a manifest than here, where it repeats its pack's name.
const rowSize = "2 * length(path) + 300 + length(extents) AS size"

/** Rows that are read together: more might be more than fits in memory. */
const itemsAtOnce = 200

/** The items of one dataset. Every method is one statement or one transaction. */
export class Items {
  readonly dataset: string
  readonly #catalog: Catalog

  constructor(catalog: Catalog, dataset: string) {
    this.#catalog = catalog
    this.dataset = dataset
  }

  /** An item that was captured, whether its commit is written or not; not one that was missing. */
  known(path: Buffer): KnownItem | undefined {
    const row = this.#catalog.get(
      `SELECT type, size, mtime_ns, ctime_ns, inode, mode, uid, gid, link, sha256, account, epoch, day, class, state
       FROM item WHERE dataset = ? AND path = ? AND missing IS NULL`,
      this.dataset,
      path,
    )
    return row === undefined ? undefined : knownOf(row)
  }

  /** How many files are remembered, and their bytes; not what was missing. */
  amount(): { readonly files: number; readonly bytes: number } {
    const row = this.#catalog.get(
      "SELECT count(*) AS files, coalesce(sum(size), 0) AS bytes FROM item WHERE dataset = ? AND type = 'file' AND missing IS NULL",
      this.dataset,
    )
    return row === undefined ? { files: 0, bytes: 0 } : { files: numberOf(row, "files"), bytes: numberOf(row, "bytes") }
  }

  /** Records items of packs that at least one site holds, as pending: the next commit lists them. */
  record(items: readonly CapturedItem[], packs: readonly RecordedPack[], run: number): void {
    this.#catalog.transaction(() => {
      for (const pack of packs) addPack(this.#catalog, pack)
      for (const item of items) this.#upsert(item, run)
    })
  }

  /** Items as a snapshot lists them, read back from the sites: committed, and recognised by size and time alone. */
  recall(items: readonly CapturedItem[], packs: readonly RecordedPack[], commit: Digest): void {
    forgetStretches(this.#catalog, this.dataset)
    this.record(items, packs, 0)
    this.#catalog.transaction(() => {
      const sql = "UPDATE item SET state = 1, commit_sha = ? WHERE dataset = ? AND path = ?"
      for (const { path } of items) this.#catalog.run(sql, commit, this.dataset, path)
      this.#restOn(commit)
    })
  }

  /** State mode: these paths are still there and unchanged. */
  keep(paths: readonly Buffer[], run: number): void {
    this.#catalog.transaction(() => {
      for (const path of paths) this.#catalog.run("UPDATE item SET run = ? WHERE dataset = ? AND path = ?", run, this.dataset, path)
    })
  }

  /** The partitions of what no commit lists yet. */
  pendingPartitions(): Partition[] {
    const sql = "SELECT DISTINCT account, epoch, class, day FROM item WHERE dataset = ? AND state = 0 ORDER BY account, epoch, class, day"
    return this.#catalog.all(sql, this.dataset).map(partitionOf)
  }

  /** State mode: the partitions of everything this run met, captured now or before. */
  runPartitions(run: number): RunPartition[] {
    const sql = `SELECT account, epoch, class, '' AS day, count(*) AS items, sum(state = 0) AS pending FROM item
                 WHERE dataset = ? AND run = ? GROUP BY account, epoch, class ORDER BY account, epoch, class`
    return this.#catalog
      .all(sql, this.dataset, run)
      .map((row) => ({ ...partitionOf(row), items: numberOf(row, "items"), pending: numberOf(row, "pending") }))
  }

  /** State mode: what the last durable commit says of a partition, if the run met all of it again and nothing else. */
  keptManifest({ account, epoch, class: className, items, pending }: RunPartition): KeptManifest | undefined {
    if (pending > 0) return undefined
    const sql = "SELECT line, packs, items FROM manifest WHERE dataset = ? AND account = ? AND epoch = ? AND class = ?"
    const row = this.#catalog.get(sql, this.dataset, account, epoch, className)
    return row === undefined || numberOf(row, "items") !== items ? undefined : keptManifestOf(row)
  }

  /** Pending items of a partition, by path. */
  *pending(partition: Partition): Generator<CapturedItem> {
    for (const row of this.#catalog.each(`SELECT * ${pendingRows}`, ...this.#pendingValues(partition))) yield itemOf(row)
  }

  /** State mode: a run's items of a partition, by path. */
  *ofRun(partition: RunPartition, run: number): Generator<CapturedItem> {
    for (const row of this.#runRows(`SELECT * ${runRows}`, partition, run)) yield itemOf(row)
  }

  /** About how long the items that `pending` gives are in a manifest, one by one; without reading them. */
  *pendingSizes(partition: Partition): Generator<number> {
    for (const row of this.#catalog.each(`SELECT ${rowSize} ${pendingRows}`, ...this.#pendingValues(partition))) yield numberOf(row, "size")
  }

  /** The same for what `ofRun` gives. */
  *runSizes(partition: RunPartition, run: number): Generator<number> {
    for (const row of this.#runRows(`SELECT ${rowSize} ${runRows}`, partition, run)) yield numberOf(row, "size")
  }

  // A whole of thousands of accounts has few items in each: one by one, asking costs more than the answer.
  #runRows(sql: string, partition: RunPartition, run: number): Iterable<Row> {
    const values = this.#runValues(partition, run)
    return partition.items <= itemsAtOnce ? this.#catalog.all(sql, ...values) : this.#catalog.each(sql, ...values)
  }

  #pendingValues({ account, epoch, class: className, day }: Partition): string[] {
    return [this.dataset, account, epoch, className, day]
  }

  #runValues({ account, epoch, class: className }: Partition, run: number): (string | number)[] {
    return [this.dataset, account, epoch, className, run]
  }

  /** After a durable commit: what it lists is committed; what was missing must be tried again; in state mode, what is gone is forgotten. */
  committed(commit: Digest, packs: readonly Digest[], options: CommittedOptions): void {
    this.#catalog.transaction(() => {
      this.#rememberManifests(options.manifests)
      this.#catalog.run("DELETE FROM item INDEXED BY item_missing WHERE dataset = ? AND missing IS NOT NULL", this.dataset)
      this.#restOn(commit)
      if (options.mode === "state") {
        this.#catalog.run("DELETE FROM item_commit WHERE dataset = ? AND commit_sha <> ?", this.dataset, commit)
        this.#catalog.run("DELETE FROM item WHERE dataset = ? AND run <> ?", this.dataset, options.run)
        this.#catalog.run(
          "DELETE FROM item_pack WHERE dataset = ? AND path NOT IN (SELECT path FROM item WHERE dataset = ?)",
          this.dataset,
          this.dataset,
        )
      }
      // What an archive has committed is never listed again, so where it lies need not be found by its pack.
      if (options.mode === "archive") {
        const pending = "SELECT path FROM item WHERE dataset = ? AND state = 0"
        this.#catalog.run(`DELETE FROM item_pack WHERE dataset = ? AND path IN (${pending})`, this.dataset, this.dataset)
      }
      // Of an archive's items few are pending, and SQLite would look through all of them.
      const [rows, where] = options.mode === "state" ? ["item", "run = ?"] : ["item INDEXED BY item_pending", "state = 0 AND run <= ?"]
      this.#catalog.run(`UPDATE ${rows} SET state = 1, commit_sha = ? WHERE dataset = ? AND ${where}`, commit, this.dataset, options.run)
      for (const pack of packs) this.#catalog.run("UPDATE pack SET listed = 1 WHERE sha256 = ?", pack)
    }, "durable")
  }

  #rememberManifests({ written, packs }: CommittedOptions["manifests"]): void {
    for (const pack of packs) addPack(this.#catalog, pack)
    for (const { partition, line, packs: inUse, items } of written) {
      this.#catalog.run(
        "INSERT OR REPLACE INTO manifest (dataset, account, epoch, class, line, packs, items) VALUES (?, ?, ?, ?, ?, ?, ?)",
        this.dataset,
        partition.account,
        partition.epoch,
        partition.class,
        JSON.stringify(line),
        JSON.stringify(inUse),
        items,
      )
    }
  }

  /** State mode: the packs of manifests that may be listed again. */
  manifestPacks(): RecordedPack[] {
    const rows = this.#catalog.all("SELECT line, packs, items FROM manifest WHERE dataset = ?", this.dataset)
    const packs = new Set(rows.map(keptManifestOf).flatMap(({ line }) => line.manifests.map(([pack]) => pack)))
    return [...packs].flatMap((pack) => findPack(this.#catalog, pack) ?? [])
  }

  /** Packs whose items this dataset would list without reading them again. (One captured again stays linked to its old packs, and has no bytes there.) */
  packsInUse(options: { readonly pendingOnly: boolean }): RecordedPack[] {
    const filter = options.pendingOnly ? "AND item.state = 0" : ""
    return this.#catalog
      .all(
        `SELECT DISTINCT pack.* FROM item_pack JOIN pack ON pack.sha256 = item_pack.pack
         JOIN item ON item.dataset = item_pack.dataset AND item.path = item_pack.path
         WHERE item_pack.dataset = ? AND instr(item.extents, item_pack.pack) > 0 ${filter}`,
        this.dataset,
      )
      .map(packOf)
  }

  /** Forgets every item that has bytes in one of these packs: it will be captured again. */
  forgetPacks(packs: readonly Digest[]): void {
    this.#catalog.transaction(() => {
      for (const pack of packs) {
        this.#catalog.run(
          "DELETE FROM item WHERE dataset = ?2 AND path IN (SELECT path FROM item_pack WHERE pack = ?1 AND dataset = ?2) AND instr(extents, ?1) > 0",
          pack,
          this.dataset,
        )
        this.#catalog.run("DELETE FROM item_pack WHERE pack = ? AND dataset = ?", pack, this.dataset)
        this.#catalog.run("DELETE FROM manifest WHERE dataset = ? AND instr(line, ?) > 0", this.dataset, pack)
        this.#catalog.run(
          "DELETE FROM pack WHERE sha256 = ? AND NOT EXISTS (SELECT 1 FROM item_pack WHERE item_pack.pack = pack.sha256)",
          pack,
        )
      }
    })
  }

  #restOn(commit: Digest): void {
    this.#catalog.run("INSERT OR IGNORE INTO item_commit (dataset, commit_sha) VALUES (?, ?)", this.dataset, commit)
  }

  /** The commits that items of this dataset rest on; perhaps more, whose items were captured again. */
  commitsInUse(): Digest[] {
    const rows = this.#catalog.all("SELECT commit_sha FROM item_commit WHERE dataset = ?", this.dataset)
    return rows.map((row) => digestOf(textOf(row, "commit_sha")))
  }

  /** When a commit says it was written; undefined where the catalog does not know it. */
  committedAt(commit: Digest): string | undefined {
    const row = this.#catalog.get("SELECT time FROM commit_object WHERE sha256 = ?", commit)
    return row === undefined ? undefined : textOf(row, "time")
  }

  /** Forgets what rests on a commit that no site lists any more: it will be captured again. Says whether anything did. */
  forgetCommit(commit: Digest): boolean {
    return this.#catalog.transaction(() => {
      const resting = this.#catalog.get("SELECT 1 FROM item WHERE dataset = ? AND commit_sha = ? LIMIT 1", this.dataset, commit)
      this.#catalog.run("DELETE FROM item WHERE dataset = ? AND commit_sha = ?", this.dataset, commit)
      this.#catalog.run("DELETE FROM item_commit WHERE dataset = ? AND commit_sha = ?", this.dataset, commit)
      return resting !== undefined
    })
  }

  #upsert(item: CapturedItem, run: number): void {
    this.#catalog.run(
      `INSERT OR REPLACE INTO item (dataset, path, account, epoch, day, class, type, size, mtime_ns, ctime_ns, inode, mode, uid, gid, link,
         sha256, extents, flags, missing, state, run) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 0, ?)`,
      this.dataset,
      item.path,
      item.account,
      item.epoch,
      item.day,
      item.class,
      item.type,
      item.size,
      item.mtimeNs,
      item.ctimeNs,
      item.inode,
      item.mode,
      item.uid,
      item.gid,
      item.link ?? null,
      item.sha256 ?? null,
      encodeExtents(item.at),
      item.flags.length === 0 ? "[]" : JSON.stringify(item.flags),
      item.missing === undefined ? null : JSON.stringify(item.missing),
      run,
    )
    for (const pack of packsOf(item.at)) {
      this.#catalog.run("INSERT OR IGNORE INTO item_pack (pack, dataset, path) VALUES (?, ?, ?)", pack, this.dataset, item.path)
    }
  }
}

function packsOf(extents: readonly Extent[]): Iterable<Digest> {
  const packs = extents.map(({ pack }) => pack)
  return packs.length < 2 ? packs : new Set(packs)
}

/** A pack as this agent made it. */
export interface RecordedPack extends PackName {
  readonly bytes: number
  /** Whether a durable commit lists it. */
  readonly listed: boolean
}

function addPack(catalog: Catalog, { sha256, agent, class: className, kind, date, bytes, listed }: RecordedPack): void {
  catalog.run(
    "INSERT OR IGNORE INTO pack (sha256, agent, class, kind, date, bytes, listed) VALUES (?, ?, ?, ?, ?, ?, ?)",
    sha256,
    agent,
    className,
    kind,
    date,
    bytes,
    listed ? 1 : 0,
  )
}

export function findPack(catalog: Catalog, sha256: Digest): RecordedPack | undefined {
  const row = catalog.get("SELECT * FROM pack WHERE sha256 = ?", sha256)
  return row === undefined ? undefined : packOf(row)
}

function packOf(row: Row): RecordedPack {
  return {
    sha256: digestOf(textOf(row, "sha256")),
    agent: textOf(row, "agent"),
    class: textOf(row, "class"),
    kind: textOf(row, "kind") === "meta" ? "meta" : "pack",
    date: textOf(row, "date"),
    bytes: numberOf(row, "bytes"),
    listed: numberOf(row, "listed") === 1,
  }
}

const packsSchema = z.array(digestSchema)

function keptManifestOf(row: Row): KeptManifest {
  return {
    line: inventoryPartitionSchema.parse(JSON.parse(textOf(row, "line"))),
    packs: packsSchema.parse(JSON.parse(textOf(row, "packs"))),
  }
}

function partitionOf(row: Row): Partition {
  return { account: textOf(row, "account"), epoch: textOf(row, "epoch"), class: textOf(row, "class"), day: textOf(row, "day") }
}

const itemType = z.enum(["file", "directory", "symlink"])
type ItemType = z.infer<typeof itemType>

function knownOf(row: Row): KnownItem {
  return {
    type: itemType.parse(textOf(row, "type")),
    link: nullable(row, "link", blobOf),
    day: textOf(row, "day"),
    size: numberOf(row, "size"),
    mtimeNs: bigintOf(row, "mtime_ns"),
    ctimeNs: nullable(row, "ctime_ns", bigintOf),
    inode: nullable(row, "inode", bigintOf),
    mode: numberOf(row, "mode"),
    uid: numberOf(row, "uid"),
    gid: numberOf(row, "gid"),
    account: textOf(row, "account"),
    epoch: textOf(row, "epoch"),
    class: textOf(row, "class"),
    sha256: nullable(row, "sha256", (of, column) => digestOf(textOf(of, column))),
    pending: numberOf(row, "state") === 0,
  }
}

const flagsSchema = z.array(z.string())
const missingSchema = z.object({ reason: z.string(), detail: z.string() })

function itemOf(row: Row): CapturedItem {
  const { type, link, day, mtimeNs, ctimeNs, inode, mode, uid, gid, size, sha256, account, epoch, class: className } = knownOf(row)
  const missing = nullable(row, "missing", textOf)
  return {
    ...{ type, day, mtimeNs, ctimeNs, inode, mode, uid, gid, size, account, epoch, class: className },
    path: blobOf(row, "path"),
    at: decodeExtents(textOf(row, "extents")),
    flags: flagsOf(textOf(row, "flags")),
    ...(link === null ? {} : { link }),
    ...(sha256 === null ? {} : { sha256 }),
    ...(missing === null ? {} : { missing: missingSchema.parse(JSON.parse(missing)) }),
  }
}

function flagsOf(text: string): string[] {
  return text === "[]" ? [] : flagsSchema.parse(JSON.parse(text))
}

/** "pack segOff segLen frameOff frameLen skip len" joined by commas: a third of the time and space of JSON for millions of rows. */
function encodeExtents(extents: readonly Extent[]): string {
  const [only] = extents
  return extents.length === 1 && only !== undefined ? encodeExtent(only) : extents.map(encodeExtent).join(",")
}

function encodeExtent({ pack, segmentOffset, segmentLength, frameOffset, frameLength, skip, length }: Extent): string {
  return `${pack} ${String(segmentOffset)} ${String(segmentLength)} ${String(frameOffset)} ${String(frameLength)} ${String(skip)} ${String(length)}`
}

function decodeExtents(text: string): Extent[] {
  if (text === "") return []
  return text.split(",").map((extent) => {
    const [pack, ...numbers] = extent.split(" ")
    const [segmentOffset, segmentLength, frameOffset, frameLength, skip, length] = numbers.map(Number)
    if (length === undefined || skip === undefined || frameLength === undefined || frameOffset === undefined)
      throw new TypeError("catalog: bad extent")
    if (segmentLength === undefined || segmentOffset === undefined || pack === undefined) throw new TypeError("catalog: bad extent")
    return { pack: digestOf(pack), segmentOffset, segmentLength, frameOffset, frameLength, skip, length }
  })
}
