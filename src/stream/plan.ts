import { packedBytes, type SegmentKind } from "../format/pack.ts"
import { memberBytes } from "../format/segment.ts"
import { packBytesTarget, packMembersMax, pieceBytes } from "../limits.ts"
import { isAudio } from "../source/audio.ts"
import type { SourceItem } from "../source/source.ts"
import type { PartPlan, SegmentPlan } from "./task.ts"

/** One item to send, and to whom it is encrypted. */
export interface Outgoing {
  readonly id: number
  readonly item: SourceItem
  readonly recipient: string
}

/** The segments of one pack. Pieces of one file carry the same affinity: they must be read by one worker, in order. */
export interface PackPlan {
  readonly segments: readonly SegmentPlan[]
  readonly affinity?: number
}

/** More files in one pack gain nothing, make progress jumpy, and wait in memory until it is placed. */
const partsMax = 2048
/** Header of an age file to a post-quantum recipient, SHA256SUMS, trailer, tar header of the pack. */
const segmentOverheadBytes = 5 * 1024

/**
 * Cuts a flow of items into packs: those of one account and kind of content share a segment, segments fill a pack. It holds back at
 * most one pack's worth of items.
 */
export class PackPlanner {
  #segments = new Segments()
  #bytes = 0
  #parts = 0

  /** Takes an item whose content is a file of known size, or bytes at hand; returns the packs that are full now. */
  add(outgoing: Outgoing, bytes?: Uint8Array): PackPlan[] {
    const size = bytes?.length ?? outgoing.item.size ?? 0
    if (bytes === undefined && size > pieceBytes) return pieces(outgoing, size)
    const kind = kindOf(outgoing.item)
    const isNew = this.#segments.find(outgoing.recipient, kind) === undefined
    const needed = memberBytes(outgoing.item.path.length, size) + (isNew ? packedBytes(segmentOverheadBytes) : 0)
    const full =
      this.#parts > 0 && (this.#bytes + needed > packBytesTarget || this.#parts >= partsMax || this.#segments.size >= packMembersMax)
    const plans = full ? this.flush() : []
    const segment = this.#segments.find(outgoing.recipient, kind) ?? this.#segments.begin(outgoing.recipient, kind)
    segment.parts.push(partOf(outgoing, { length: size, offset: 0 }, bytes))
    this.#bytes += needed
    this.#parts += 1
    return plans
  }

  /** The items held back, as a last pack. */
  flush(): PackPlan[] {
    if (this.#parts === 0) return []
    const segments = this.#segments.all
    this.#segments = new Segments()
    this.#bytes = 0
    this.#parts = 0
    return [{ segments }]
  }
}

interface GrowingSegment {
  readonly kind: SegmentKind
  readonly recipient: string
  readonly parts: PartPlan[]
}

/** Found by recipient and kind apart: one key of both would be a string of 2 KB to build and hash for every file. */
class Segments {
  readonly all: GrowingSegment[] = []
  readonly #byKind = { tar: new Map<string, GrowingSegment>(), "tar.zst": new Map<string, GrowingSegment>() }

  get size(): number {
    return this.all.length
  }

  find(recipient: string, kind: SegmentKind): GrowingSegment | undefined {
    return this.#byKind[kind].get(recipient)
  }

  begin(recipient: string, kind: SegmentKind): GrowingSegment {
    const segment = { kind, recipient, parts: [] }
    this.#byKind[kind].set(recipient, segment)
    this.all.push(segment)
    return segment
  }
}

function kindOf(item: SourceItem): SegmentKind {
  return item.compressible ? "tar.zst" : "tar"
}

function pieces(outgoing: Outgoing, size: number): PackPlan[] {
  const count = Math.ceil(size / pieceBytes)
  return Array.from({ length: count }, (_, index) => {
    const offset = index * pieceBytes
    const part = partOf(outgoing, { offset, length: Math.min(pieceBytes, size - offset) })
    return piecePlan(outgoing, { ...part, piece: { number: index + 1, last: index === count - 1 } })
  })
}

/** A pack of one piece of a stream, whose size nobody knows before its end. */
export function streamPiece(outgoing: Outgoing, bytes: Uint8Array, piece: { readonly number: number; readonly last: boolean }): PackPlan {
  return piecePlan(outgoing, { ...partOf(outgoing, { offset: 0, length: bytes.length }, bytes), piece })
}

function piecePlan(outgoing: Outgoing, part: PartPlan): PackPlan {
  const segment = { kind: kindOf(outgoing.item), recipient: outgoing.recipient, parts: [part] }
  return { segments: [segment], affinity: outgoing.id }
}

function partOf({ id, item }: Outgoing, range: { readonly offset: number; readonly length: number }, bytes?: Uint8Array): PartPlan {
  const common = { id, path: item.path, mode: item.mode, mtimeNs: item.mtimeNs, length: range.length }
  if (bytes !== undefined) return { ...common, from: item.content.kind === "bytes" ? { bytes, sha256: item.content.sha256 } : { bytes } }
  if (item.content.kind !== "file") throw new Error(`item ${String(id)} has no file to read`)
  const audio = isAudio(item.path)
  return { ...common, from: { file: item.content.path, offset: range.offset, expected: stampOf(item), audio } }
}

function stampOf(item: SourceItem) {
  if (item.identity === undefined) return { size: item.size ?? 0 }
  return { size: item.size ?? 0, identity: { mtimeNs: item.mtimeNs, ...item.identity } }
}
