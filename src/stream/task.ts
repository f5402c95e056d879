import type { Digest } from "../digest.ts"
import type { SegmentKind } from "../format/pack.ts"
import type { ItemFlag, MissReason } from "../source/source.ts"
import type { Listing } from "./listing.ts"
import type { WirePackDone, WirePackTask } from "./wire.ts"

/** What the main thread and the workers tell one another. Only plain values and transferable buffers cross. */

/** One pack to build: which files of which accounts, in which segments. */
export interface PackTask {
  readonly type: "pack"
  readonly segments: readonly SegmentPlan[]
  /** Written into by the worker and handed back with the result. */
  readonly buffer: ArrayBuffer
  /** How much of every segment is opened again with the key it was sealed with, before that key is forgotten. */
  readonly reopen: "all" | "sample"
}

export interface SegmentPlan {
  readonly recipient: string
  readonly kind: SegmentKind
  /** Can be gone through once. */
  readonly parts: Iterable<PartPlan>
}

export interface PartPlan {
  /** The plan's own number for the item. */
  readonly id: number
  /** Path below the source's root: what members and sums are named by. */
  readonly path: Uint8Array
  readonly mode: number
  readonly mtimeNs: bigint
  /** Bytes of this part. */
  readonly length: number
  readonly from: FilePart | BytesPart
  /** Absent where the part is the whole file. */
  readonly piece?: { readonly number: number; readonly last: boolean }
}

export interface FilePart {
  readonly file: Uint8Array
  readonly offset: number
  /** What an unchanged file still looks like when it is opened. */
  readonly expected: FileStamp
  readonly audio: boolean
}

export interface FileStamp {
  readonly size: number
  /** Absent for copies that the source made itself, in a directory of the run's own. */
  readonly identity?: { readonly mtimeNs: bigint; readonly ctimeNs: bigint; readonly inode: bigint; readonly device: bigint }
}

export interface BytesPart {
  readonly bytes: Uint8Array
  /** Of these bytes, where whoever gave them had to hash them already: they are not hashed a second time. */
  readonly sha256?: Digest
}

export type PartResult = PackedPart | MissedPart

export interface MissedPart {
  readonly id: number
  readonly miss: MissReason
  readonly detail: string
}

export interface PackedPart {
  readonly id: number
  /** Counts from 1; 1 for a whole file. */
  readonly piece: number
  readonly extents: readonly PartExtent[]
  /** Of the whole file, with its last piece. */
  readonly sha256: Digest | null
  readonly flags: readonly ItemFlag[]
}

/** An Extent of the manifest whose pack is the one being built. */
export interface PartExtent {
  readonly segmentOffset: number
  readonly segmentLength: number
  readonly frameOffset: number
  readonly frameLength: number
  readonly skip: number
  readonly length: number
}

export interface PackDone {
  readonly type: "packed"
  /** Of every part of the plan; can be gone through once. */
  readonly parts: Iterable<PartResult>
  readonly buffer: ArrayBuffer
  /** 0 where nothing of the plan could be read: there is no pack then. */
  readonly bytes: number
  readonly sha256: Digest | null
}

/** Bytes of one pack that were fetched, and what to take out of them. */
export interface ExtractTask {
  readonly type: "extract"
  /** Runs of the pack's bytes: offsets in the pack, ascending. */
  readonly fetched: readonly { readonly offset: number; readonly bytes: Uint8Array }[]
  readonly segments: readonly ExtractSegment[]
  /** Where files are written; null: they are hashed only. */
  readonly target: string | null
  readonly owners: boolean
  /** Whether every segment, fetched whole, is also decoded to its last member and held against its own SHA256SUMS. */
  readonly audit: boolean
}

export interface ExtractSegment {
  /** Of the age file, in the pack. */
  readonly offset: number
  readonly length: number
  /** Identities of its account, as age writes them: any one may open it. */
  readonly identities: readonly string[]
  readonly files: readonly ExtractFile[]
}

export interface ExtractFile {
  readonly id: number
  readonly path: Uint8Array
  readonly sha256: string
  readonly mode: number
  readonly mtimeNs: bigint
  readonly uid: number
  readonly gid: number
  /** Of this segment, in file order. */
  readonly extents: readonly FrameRange[]
  /** Where a file lies in several segments, they come in order and to one worker. */
  readonly first: boolean
  readonly last: boolean
}

export interface FrameRange {
  readonly frameOffset: number
  readonly frameLength: number
  readonly skip: number
  readonly length: number
}

/** The rungs of the ladder that opening a segment climbs; a failure names the one it could not reach. */
export type OpenedRung = "decrypted" | "decoded" | "matched"

/** `rotten`: the bytes are not what was kept, another site may have better; `refused`: the target cannot take it. */
export type ExtractResult =
  | { readonly id: number; readonly outcome: "done" }
  | { readonly id: number; readonly outcome: "rotten"; readonly rung: OpenedRung; readonly detail: string; readonly code: string }
  | { readonly id: number; readonly outcome: "refused"; readonly detail: string; readonly code: string }

/** A segment that failed its audit. */
export interface SegmentFailure {
  readonly offset: number
  readonly rung: OpenedRung
  readonly detail: string
}

export interface ExtractDone {
  readonly type: "extracted"
  readonly files: readonly ExtractResult[]
  readonly failures: readonly SegmentFailure[]
}

/** Which of these files are in the target already, whole. */
export interface CompareTask {
  readonly type: "compare"
  readonly target: string
  readonly files: readonly { readonly id: number; readonly path: Uint8Array; readonly size: number; readonly sha256: string }[]
}

export interface CompareDone {
  readonly type: "compared"
  readonly equal: readonly number[]
}

/** Manifests to compress and seal. */
export interface SealTask {
  readonly type: "seal"
  readonly listings: readonly Listing[]
}

export interface SealDone {
  readonly type: "sealed"
  /** Their age files, in the same order. */
  readonly files: readonly Uint8Array[]
}

/** Forgets files half read or half written by a run that ended early. */
export interface AbandonTask {
  readonly type: "abandon"
}

export type Task = WirePackTask | SealTask | ExtractTask | CompareTask | AbandonTask
export type Reply = WirePackDone | SealDone | ExtractDone | CompareDone | { readonly type: "abandoned" } | TaskFailed

export interface TaskFailed {
  readonly type: "failed"
  readonly name: string
  readonly message: string
  readonly code?: string
  readonly hint?: string
  readonly stack?: string
}
