import type { Digest } from "../digest.ts"

/**
 * A Source is where data is read. It says what is there and how to read it; it reads no content itself: workers do, or, for
 * streams, the stage that cuts them into pieces. It knows nothing of packs, keys or sites.
 *
 * What every Source promises:
 *  - Complete: whatever it was asked to capture is yielded, as an item or as a miss with its reason; nothing is dropped in silence.
 *  - Ordered: items of one account and partition come together where the source can do so cheaply.
 *  - Confined: it never follows a symbolic link and never leaves its root or its filesystem.
 *  - Fails whole: a source that cannot be read at all rejects with a JobError; it never looks empty instead.
 */
export interface Source {
  /** One line for reports, such as "directory /etc/freeswitch". */
  readonly description: string
  capture(options: CaptureOptions): AsyncIterable<Found>
}

/** archive: the source only gains things, each run takes what is new. state: the source is a whole, each run takes all of it. */
export type SourceMode = "archive" | "state"

export interface CaptureOptions {
  readonly now: Date
  /** An empty private directory for copies the source must make; the run removes it at its end. */
  readonly scratch: string
  readonly signal: AbortSignal
  readonly memory: SourceMemory
  /** When a person last said that tables which held rows may hold none; absent: never. */
  readonly emptyAccepted?: Date
}

export type Found =
  | { readonly item: SourceItem }
  | { readonly miss: SourceMiss }
  | { readonly note: SourceNote }
  | { readonly account: AccountNames }
  | ToldOfMedia

/** What a platform calls an account: the id that never changes, and the names that paths and people use today. */
export interface AccountNames {
  readonly stableId: string
  readonly names: readonly string[]
}

/**
 * What a source of rows says of media elsewhere: that a row points at one, or that a row was captured again, so that what it pointed at
 * before counts no more; what it points at now is said after that.
 */
export type ToldOfMedia = { readonly reference: MediaReference } | { readonly unreferenced: Buffer }

/** A row that points at a recording, voicemail or fax. */
export interface MediaReference {
  /** The entry of the profile's `files` that holds the medium. */
  readonly files: string
  /** What tells the row apart among all of its dataset; empty where only its content does, so that it is never captured again. */
  readonly row: Buffer
  readonly stableId: string
  /** Event day of the row, yyyy-mm-dd. */
  readonly day: string
  /** Path of the medium below the root of the job that captures media, as the row has it. */
  readonly path: Buffer
  /** When the call ended, as far as the row says. */
  readonly ended: Date
}

/**
 * What an archive source remembers between runs: which rows, and which ranges of files, the pieces captured so far hold. A cache: an entry
 * counts only while its piece is captured or kept, and where all is lost more is captured again, and nothing is missed.
 */
export interface SourceMemory {
  /** The remembered values of these keys of a collection, in the same order; null where there is none. */
  recall(collection: string, keys: readonly Uint8Array[]): (Uint8Array | null)[]
  /** Every entry of a collection whose key begins so, by key. */
  entries(collection: string, prefix: Uint8Array): Iterable<readonly [key: Uint8Array, value: Uint8Array]>
  /** Remembers entries as held by the piece with this path; the item of that path must be yielded after this call. */
  remember(
    collection: string,
    entries: Iterable<readonly [key: Uint8Array, value: Uint8Array]>,
    held: { readonly path: Buffer; readonly day: string },
  ): void
  /** Forgets the entries of a collection whose day is before this one. */
  forgetBefore(collection: string, day: string): void
  /** The stable id of the account that a name stands for, as the last capture of the platform's accounts said. */
  accountNamed(name: string): string | undefined
}

/** One thing to keep. */
export interface SourceItem {
  /** The platform's own stable id of the customer, or "platform" or "mixed". Never leaves the agent in clear. */
  readonly stableId: string
  /** The event day, yyyy-mm-dd, in archive mode; "" in state mode. */
  readonly day: string
  /** Relative to the source's root, "/" between components, raw bytes; a directory comes before what is in it. */
  readonly path: Buffer
  readonly type: ItemType
  /** Bytes; null where only the end of the stream tells. 0 for directories and links. */
  readonly size: number | null
  readonly mtimeNs: bigint
  readonly mode: number
  readonly uid: number
  readonly gid: number
  /** Target of a symbolic link, raw bytes. */
  readonly link?: Buffer
  /** What tells an unchanged file without opening it, beside size and mtime; absent where the content must be read each time. */
  readonly identity?: { readonly ctimeNs: bigint; readonly inode: bigint; readonly device: bigint }
  /** Whether zstd pays: text and databases, not audio. */
  readonly compressible: boolean
  readonly flags: readonly ItemFlag[]
  readonly content: Content
}

const reserved: ReadonlySet<string> = new Set(["platform", "mixed", "catalog"])

/** Whether an account name belongs to Holdline and can be no customer's. */
export function isReservedAccount(stableId: string): boolean {
  return reserved.has(stableId)
}

export type ItemType = "file" | "directory" | "symlink"

/** What a reader of the manifest should know about an item. */
export type ItemFlag =
  | "unmatched" // the path does not fit the template; kept under the account `mixed`
  | "truncated-header" // audio whose header says nothing was closed: a crash or a call in progress
  | "header-only" // audio with a header and no sound; valid
  | "hard-link" // one of several names of the same file; each is kept as a file of its own
  | "sparse" // has holes; they are kept as zeros

export type Content =
  /**
   * Opened by a worker, without following a link, as this absolute path. A directory above it may have been swapped for a link since
   * it was listed, so the worker must compare the opened file's device and inode with `identity` and refuse another file.
   */
  | { readonly kind: "file"; readonly path: Buffer }
  /** Rejects where its producer failed: the item is then missing, not short. Read before the source is asked for what comes next. */
  | { readonly kind: "stream"; open(signal: AbortSignal): AsyncIterable<Uint8Array> }
  /** At most `packBytesTarget`. Unchanged where an item of the same path was kept with this SHA-256. */
  | { readonly kind: "bytes"; readonly bytes: Uint8Array; readonly sha256: Digest }
  | { readonly kind: "none" }

/** Something asked for that this run does not capture. */
export interface SourceMiss {
  readonly stableId: string
  readonly day: string
  readonly path: Buffer
  readonly reason: MissReason
  readonly detail: string
}

export type MissReason =
  | "unreadable" // permission or I/O error
  | "torn" // changed while it was read, each time it was tried; or a directory that something else took the place of
  | "vanished" // gone between listing and reading
  | "refused" // a socket, device or pipe; or another filesystem
  | "failed" // the command or the database copy failed

/** A run that has such a miss did not capture everything it was asked to. */
export const partialReasons: ReadonlySet<MissReason> = new Set(["unreadable", "torn", "failed"])

/** Counted and reported, never a miss: files that are not due yet, for instance. */
export interface SourceNote {
  readonly kind: NoteKind
  /** Of the item the note is about; empty where it is about the whole source. */
  readonly path: Buffer
  readonly detail?: string
}

export type NoteKind =
  | "settling" // too young to be finished; a later run takes it
  | "unmatched" // does not fit the template; kept under `mixed`, and the run is partial for it
  | "excluded" // a pattern of the job leaves it, and all below it, out
  | "hard-link" // one of several names of the same file
  | "extended-attributes" // has attributes or access lists, which are not kept; the detail names them
  | "attributes-not-examined" // nothing on this host could say which files have them; the detail says why
  | "empty" // the command or the database succeeded and holds nothing
  | "unattributed" // rows of no known account; kept under `mixed`, and the run is partial for it
  | "large-objects" // objects outside all tables, which only a whole holds; the run is partial where none is captured
  | "snapshot" // something about the moment a database was read at; the detail says what
  | "emptied" // a table that held rows holds none; the run is partial for it
  | "not-covered" // rows or tables that the profile leaves out, with its reason
  | "foreign-keys" // the database is intact but breaks its own references; the detail counts them

/** A run that met one of these captured all there was, and someone must look at it. */
export const partialNotes: readonly NoteKind[] = ["unmatched", "unattributed", "emptied", "large-objects"]
