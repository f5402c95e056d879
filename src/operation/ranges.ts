import { FormatError } from "../errors.ts"
import { chunkBytes, tagBytes } from "../format/age.ts"
import type { Extent, ManifestItem } from "../format/manifest.ts"
import { blockBytes } from "../format/tar.ts"
import { fetchGapBytesMax, segmentHeaderBytesMax, wholeSegmentBytesMax } from "../limits.ts"
import type { ExtractFile, ExtractSegment } from "../stream/task.ts"
import type { PackNames } from "./select.ts"

/** A file to bring home, and what opens it. */
export interface Wanted {
  readonly id: number
  readonly item: ManifestItem
  readonly packs: PackNames
  /** Identities of its account. */
  readonly identities: readonly string[]
}

/** What of one segment a file needs. */
export interface Need {
  readonly wanted: Wanted
  readonly extents: readonly Extent[]
  readonly first: boolean
  readonly last: boolean
}

export interface SegmentNeeds {
  readonly offset: number
  readonly length: number
  readonly needs: Need[]
}

export function isWithin(run: Run, range: Run): boolean {
  return range.offset <= run.offset && run.offset < range.offset + range.length
}

/** What lies in the first and in the second half of the segments; nothing in the second where there is only one. */
export function halves(needs: readonly Need[]): readonly [readonly Need[], readonly Need[]] {
  const segments = segmentsFor(needs)
  const middle = segments.length >> 1
  if (middle === 0) return [needs, []]
  return [segments.slice(0, middle).flatMap((segment) => segment.needs), segments.slice(middle).flatMap((segment) => segment.needs)]
}

export function segmentsIn(extents: readonly Extent[]): number {
  return inSegments(extents).length
}

/** A file's extents, grouped by the segments they lie in, in file order. */
export function inSegments(extents: readonly Extent[]): Extent[][] {
  const groups: Extent[][] = []
  for (const extent of extents) {
    const last = groups.at(-1)
    const before = last?.[0]
    if (last !== undefined && before?.pack === extent.pack && before.segmentOffset === extent.segmentOffset) last.push(extent)
    else groups.push([extent])
  }
  return groups
}

export function segmentsFor(needs: readonly Need[]): SegmentNeeds[] {
  const segments = new Map<string, SegmentNeeds>()
  for (const need of needs) {
    const [extent] = need.extents
    if (extent === undefined) continue
    // By its length too: a manifest that lies about one file's segment must not take along the others in it.
    const id = `${String(extent.segmentOffset)} ${String(extent.segmentLength)}`
    const segment = segments.get(id) ?? { offset: extent.segmentOffset, length: extent.segmentLength, needs: [] }
    segments.set(id, segment)
    segment.needs.push(need)
  }
  return [...segments.values()].toSorted((a, b) => a.offset - b.offset)
}

export function extractSegment({ offset, length, needs }: SegmentNeeds): ExtractSegment {
  return { offset, length, identities: needs[0]?.wanted.identities ?? [], files: needs.map(extractFile) }
}

function extractFile({ wanted, extents, first, last }: Need): ExtractFile {
  const { item, id } = wanted
  if (item.sha256 === undefined) throw new FormatError("format/malformed", "manifest: a file without SHA-256")
  const { path, mode, mtimeNs, uid, gid } = item
  return { id, path, sha256: item.sha256, mode, mtimeNs, uid, gid, extents: extents.map(frameRange), first, last }
}

function frameRange({ frameOffset, frameLength, skip, length }: Extent) {
  return { frameOffset, frameLength, skip, length }
}

export interface Run {
  readonly offset: number
  readonly length: number
}

/** The runs of a pack's bytes that hold what is needed of its segments, each with the tar header before its segment. */
export function rangesFor(segments: readonly SegmentNeeds[]): Run[] {
  const runs = segments.flatMap(runsOf).toSorted((a, b) => a.offset - b.offset)
  const merged: { offset: number; length: number }[] = []
  for (const run of runs) {
    const last = merged.at(-1)
    if (last !== undefined && run.offset <= last.offset + last.length + fetchGapBytesMax) {
      last.length = Math.max(last.length, run.offset + run.length - last.offset)
    } else merged.push({ ...run })
  }
  return merged
}

const sealedChunkBytes = chunkBytes + tagBytes

export function runsOf({ offset, length, needs }: SegmentNeeds): Run[] {
  const whole = [{ offset: offset - blockBytes, length: length + blockBytes }]
  if (length <= wholeSegmentBytesMax) return whole
  const head = { offset: offset - blockBytes, length: blockBytes + segmentHeaderBytesMax }
  const chunks = needs.flatMap(({ extents }) => extents.map((extent) => chunksOf(extent, offset, length)))
  const bytes = chunks.reduce((sum, run) => sum + run.length, 0)
  return bytes * 4 > length * 3 ? whole : [head, ...chunks]
}

// The header's length is not known yet, so the run is widened by as much as it can be.
function chunksOf({ frameOffset, frameLength }: Extent, segmentOffset: number, segmentLength: number): Run {
  const first = Math.floor(frameOffset / chunkBytes)
  const last = Math.floor((frameOffset + Math.max(1, frameLength) - 1) / chunkBytes)
  const start = Math.min(first * sealedChunkBytes, segmentLength)
  const end = Math.min((last + 1) * sealedChunkBytes + segmentHeaderBytesMax, segmentLength)
  return { offset: segmentOffset + start, length: end - start }
}
