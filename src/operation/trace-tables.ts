import { mkdtemp, readFile, rm } from "node:fs/promises"
import { join } from "node:path"
import { BackupError, errnoOf } from "../errors.ts"
import { parseDescriptionPath } from "../source/cdr-pieces.ts"
import { type ChosenItem, itemsOf } from "./contents.ts"
import type { Snapshot } from "./history.ts"
import { type CallPiece, type CallTable, parseDescription } from "./trace-piece.ts"
import type { TracePlaces } from "./trace-places.ts"

type Bring = (items: readonly ChosenItem[], directory: string) => Promise<void>

/**
 * What the tables of a dataset are, as its captures kept it. A description is captured when it is new, which may be years before the pieces
 * that name it, so snapshots are looked through from both ends: most tables were there from the beginning, or changed lately.
 */
export class TableDescriptions {
  readonly #places: TracePlaces
  readonly #bring: Bring
  readonly #scratch: string
  readonly #unread: Snapshot[]
  readonly #known = new Map<string, CallTable>()
  #fromEnd = false

  constructor(places: TracePlaces, snapshots: readonly Snapshot[], bring: Bring, scratch: string) {
    this.#places = places
    this.#bring = bring
    this.#scratch = scratch
    this.#unread = [...snapshots]
  }

  /** The table that a piece is of; null where nothing that is kept describes it. */
  get({ description }: CallPiece): CallTable | null {
    return this.#known.get(description) ?? null
  }

  /** Looks for descriptions by the beginnings of their digests, until all are found or all snapshots are read. */
  async learn(digests: ReadonlySet<string>): Promise<void> {
    const missing = () => [...digests].some((digest) => !this.#known.has(digest))
    while (missing() && this.#unread.length > 0) {
      const snapshot = this.#fromEnd ? this.#unread.pop() : this.#unread.shift()
      this.#fromEnd = !this.#fromEnd
      if (snapshot !== undefined) await this.#read(snapshot)
    }
  }

  async #read(snapshot: Snapshot): Promise<void> {
    const contents = this.#places.contents()
    const items: ChosenItem[] = []
    for (const partition of await this.#places.partitions(snapshot)) {
      if (this.#places.customerOf(partition.line.account) !== "platform") continue
      for await (const item of itemsOf(contents, partition)) {
        if (item.missing === undefined && parseDescriptionPath(item.path) !== null) items.push({ item, partition })
      }
    }
    if (items.length === 0) return
    const directory = await mkdtemp(join(this.#scratch, "tables-"))
    try {
      await this.#bring(items, directory)
      for (const { item } of items)
        await this.#learn(join(directory, item.path.toString()), parseDescriptionPath(item.path)?.description ?? "")
    } finally {
      await rm(directory, { recursive: true, force: true })
    }
  }

  // What cannot be read or understood leaves its table undescribed: every field of it is looked at then.
  async #learn(file: string, digest: string): Promise<void> {
    try {
      this.#known.set(digest, parseDescription(await readFile(file)))
    } catch (error) {
      if (!(error instanceof BackupError) && errnoOf(error) !== "ENOENT") throw error
    }
  }
}
