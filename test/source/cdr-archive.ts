import type { Found, MediaReference, Source, SourceItem, SourceMemory, SourceMiss, SourceNote } from "../../src/source/source.ts"
import { signal, text } from "./captured.ts"

/** What a run over a source gave; `failed` is what it rejected with. */
export interface ArchiveRun {
  readonly items: SourceItem[]
  /** Of these, those that went to an account or `mixed`. */
  readonly pieces: SourceItem[]
  readonly notes: SourceNote[]
  readonly misses: SourceMiss[]
  readonly references: MediaReference[]
  /** Rows that were captured again. */
  readonly unreferenced: Buffer[]
  readonly failed: unknown
}

type Mutable<T> = { -readonly [Key in keyof T]: T[Key] }

interface Remembered {
  readonly value: Uint8Array
  readonly path: string
  readonly day: string
}

/**
 * What a run, its catalog and its sites are to an archive source: items are kept or lost, and what is remembered counts only while the
 * item that holds it is kept.
 */
export class Archive {
  readonly names = new Map<string, string>()
  /** When a person last said that tables may hold nothing. */
  emptyAccepted: Date | undefined
  readonly kept = new Map<string, SourceItem>()
  readonly #collections = new Map<string, Map<string, Remembered>>()

  /** Runs a source; an item for which `loses` holds is never kept, and the run ends without it. */
  async run(source: Source, now: Date, scratch: string, loses: (item: SourceItem) => boolean = () => false): Promise<ArchiveRun> {
    const accepted = this.emptyAccepted === undefined ? {} : { emptyAccepted: this.emptyAccepted }
    const run: Mutable<ArchiveRun> = { items: [], pieces: [], notes: [], misses: [], references: [], unreferenced: [], failed: undefined }
    try {
      const arrived: SourceItem[] = []
      for await (const found of source.capture({ now, scratch, signal, memory: this.memory, ...accepted })) {
        sort(found, run)
        if ("item" in found && !loses(found.item)) arrived.push(found.item)
      }
      this.#keep(arrived)
    } catch (error) {
      run.failed = error
      // What came before the failure had been sent.
      this.#keep(run.items.filter((item) => !loses(item)))
    }
    run.pieces.push(...run.items.filter(({ path }) => text(path).startsWith("accounts/")))
    return run
  }

  #keep(items: readonly SourceItem[]): void {
    for (const item of items) this.kept.set(text(item.path), item)
  }

  /** An item that was kept is gone, with all that is remembered as held by it. */
  lose(path: string): void {
    this.kept.delete(path)
  }

  /** The catalog is gone. */
  forgetAll(): void {
    this.#collections.clear()
  }

  /** Some entries are gone. */
  forgetSome(drops: (index: number) => boolean): void {
    let index = 0
    for (const entries of this.#collections.values()) {
      for (const key of [...entries.keys()]) if (drops(index++)) entries.delete(key)
    }
  }

  get remembered(): number {
    return [...this.#collections.values()].reduce((sum, entries) => sum + entries.size, 0)
  }

  /** What was kept, for whoever reads it back. */
  get items(): { path: Buffer; bytes: Uint8Array }[] {
    return [...this.kept.values()].flatMap(({ path, content }) => (content.kind === "bytes" ? [{ path, bytes: content.bytes }] : []))
  }

  get memory(): SourceMemory {
    const of = (collection: string) => {
      const known = this.#collections.get(collection) ?? new Map<string, Remembered>()
      this.#collections.set(collection, known)
      return known
    }
    const id = (bytes: Uint8Array) => Buffer.from(bytes).toString("latin1")
    const counts = (entry: Remembered | undefined) => (entry !== undefined && this.kept.has(entry.path) ? entry.value : null)
    return {
      recall: (collection, keys) => keys.map((key) => counts(of(collection).get(id(key)))),
      entries: (collection, prefix) =>
        [...of(collection)]
          .filter(([key, entry]) => key.startsWith(id(prefix)) && counts(entry) !== null)
          .toSorted(([a], [b]) => (a < b ? -1 : 1))
          .map(([key, { value }]) => [Buffer.from(key, "latin1"), value] as const),
      remember(collection, entries, { path, day }) {
        for (const [key, value] of entries) of(collection).set(id(key), { value, path: text(path), day })
      },
      forgetBefore(collection, day) {
        for (const [key, entry] of of(collection)) if (entry.day < day) of(collection).delete(key)
      },
      accountNamed: (name) => this.names.get(name),
    }
  }
}

function sort(found: Found, run: ArchiveRun): void {
  if ("item" in found) run.items.push(found.item)
  else if ("note" in found) run.notes.push(found.note)
  else if ("miss" in found) run.misses.push(found.miss)
  else if ("reference" in found) run.references.push(found.reference)
  else if ("unreferenced" in found) run.unreferenced.push(found.unreferenced)
}

/** The text of an item's bytes. */
export function contentOf(item: SourceItem | undefined): string {
  return item?.content.kind === "bytes" ? Buffer.from(item.content.bytes).toString("utf8") : ""
}
