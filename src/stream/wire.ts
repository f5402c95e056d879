import { type Digest, digestOf } from "../digest.ts"
import type { ItemFlag } from "../source/source.ts"
import type { MissedPart, PackDone, PackedPart, PackTask, PartExtent, PartPlan, PartResult, SegmentPlan } from "./task.ts"

/**
 * Plans and results of thousands of files as they cross the border between threads: rows of bytes instead of objects, each read when
 * it is its turn. Objects would be cloned one by one, and live long enough to be copied about by the collector of either thread.
 */
export interface WirePackTask extends Omit<PackTask, "segments"> {
  readonly segments: readonly WireSegment[]
}

interface WireSegment extends Omit<SegmentPlan, "parts"> {
  readonly parts: number
  readonly rows: Uint8Array
  /** Contents that are bytes, in the order of their rows. */
  readonly contents: readonly Uint8Array[]
}

export interface WirePackDone extends Omit<PackDone, "parts"> {
  readonly packed: number
  readonly rows: Uint8Array
  /** By number of the row; few have any. */
  readonly flags: ReadonlyMap<number, readonly ItemFlag[]>
  readonly missed: readonly MissedPart[]
}

export function encodePackTask(task: PackTask): WirePackTask {
  return {
    ...task,
    segments: task.segments.map(({ recipient, kind, parts }) => {
      const rows = new RowWriter()
      const contents: Uint8Array[] = []
      let count = 0
      for (const part of parts) {
        writePlan(rows, part)
        if ("bytes" in part.from) contents.push(part.from.bytes)
        count += 1
      }
      return { recipient, kind, parts: count, rows: rows.finish(), contents }
    }),
  }
}

export function decodePackTask(task: WirePackTask): PackTask {
  return { ...task, segments: task.segments.map(({ recipient, kind, ...wire }) => ({ recipient, kind, parts: plans(wire) })) }
}

export function encodePackDone({ parts, ...done }: PackDone): WirePackDone {
  const rows = new RowWriter()
  const flags = new Map<number, readonly ItemFlag[]>()
  const missed: MissedPart[] = []
  let packed = 0
  for (const part of parts) {
    if ("miss" in part) {
      missed.push(part)
      continue
    }
    writePacked(rows, part)
    if (part.flags.length > 0) flags.set(packed, part.flags)
    packed += 1
  }
  return { ...done, packed, rows: rows.finish(), flags, missed }
}

export function decodePackDone(wire: WirePackDone): PackDone {
  const { type, buffer, bytes, sha256 } = wire
  return { type, buffer, bytes, sha256, parts: results(wire) }
}

const isPiece = 1
const isLast = 2
const isBytes = 4
const isAudio = 8
const hasIdentity = 16
const isHashed = 32

function writePlan(rows: RowWriter, { id, path, mode, mtimeNs, length, from, piece }: PartPlan): void {
  const file = "bytes" in from ? null : from
  const sha256 = "bytes" in from ? from.sha256 : undefined
  const identity = file?.expected.identity
  rows.number(
    (piece === undefined ? 0 : isPiece | (piece.last ? isLast : 0)) |
      (file === null ? isBytes : file.audio ? isAudio : 0) |
      (identity === undefined ? 0 : hasIdentity) |
      (sha256 === undefined ? 0 : isHashed),
  )
  for (const value of [id, mode, length, piece?.number ?? 0]) rows.number(value)
  rows.bigint(mtimeNs)
  rows.bytes(path)
  if (sha256 !== undefined) rows.bytes(Buffer.from(sha256, "latin1"))
  if (file === null) return
  rows.bytes(file.file)
  rows.number(file.offset)
  rows.number(file.expected.size)
  if (identity === undefined) return
  for (const value of [identity.mtimeNs, identity.ctimeNs, identity.inode, identity.device]) rows.bigint(value)
}

function* plans({ parts, rows, contents }: Omit<WireSegment, "recipient" | "kind">): Generator<PartPlan> {
  const reader = new RowReader(rows)
  let content = 0
  for (let i = 0; i < parts; i++) {
    const flags = reader.number()
    const [id, mode, length, number] = [reader.number(), reader.number(), reader.number(), reader.number()]
    const common = { id, mode, length, mtimeNs: reader.bigint(), path: reader.bytes() }
    const piece = (flags & isPiece) === 0 ? {} : { piece: { number, last: (flags & isLast) !== 0 } }
    const hashed = (flags & isHashed) === 0 ? {} : { sha256: readDigest(reader) }
    if ((flags & isBytes) === 0) yield { ...common, ...piece, from: readFile(reader, flags) }
    else yield { ...common, ...piece, from: { bytes: contents[content++] ?? new Uint8Array(), ...hashed } }
  }
}

function readFile(reader: RowReader, flags: number) {
  const file = { file: reader.bytes(), offset: reader.number(), audio: (flags & isAudio) !== 0 }
  const size = reader.number()
  if ((flags & hasIdentity) === 0) return { ...file, expected: { size } }
  const [mtimeNs, ctimeNs, inode, device] = [reader.bigint(), reader.bigint(), reader.bigint(), reader.bigint()]
  return { ...file, expected: { size, identity: { mtimeNs, ctimeNs, inode, device } } }
}

function writePacked(rows: RowWriter, { id, piece, extents, sha256 }: PackedPart): void {
  for (const value of [id, piece, extents.length, sha256 === null ? 0 : 1]) rows.number(value)
  for (const { segmentOffset, segmentLength, frameOffset, frameLength, skip, length } of extents) {
    for (const value of [segmentOffset, segmentLength, frameOffset, frameLength, skip, length]) rows.number(value)
  }
  if (sha256 !== null) rows.bytes(Buffer.from(sha256, "latin1"))
}

function* results({ packed, rows, flags, missed }: WirePackDone): Generator<PartResult> {
  const reader = new RowReader(rows)
  for (let row = 0; row < packed; row++) yield { ...readPacked(reader), flags: flags.get(row) ?? [] }
  yield* missed
}

function readPacked(reader: RowReader): Omit<PackedPart, "flags"> {
  const [id, piece, count, digests] = [reader.number(), reader.number(), reader.number(), reader.number()]
  const extents = Array.from({ length: count }, (): PartExtent => {
    const [segmentOffset, segmentLength, frameOffset] = [reader.number(), reader.number(), reader.number()]
    return { segmentOffset, segmentLength, frameOffset, frameLength: reader.number(), skip: reader.number(), length: reader.number() }
  })
  return { id, piece, extents, sha256: digests === 0 ? null : readDigest(reader) }
}

function readDigest(reader: RowReader): Digest {
  return digestOf(reader.bytes().toString("latin1"))
}

class RowWriter {
  #rows = Buffer.allocUnsafeSlow(64 * 1024)
  #length = 0

  number(value: number): void {
    this.#length = this.#room(8).writeDoubleLE(value, this.#length)
  }

  bigint(value: bigint): void {
    this.#length = this.#room(8).writeBigUInt64LE(BigInt.asUintN(64, value), this.#length)
  }

  bytes(value: Uint8Array): void {
    this.number(value.length)
    this.#room(value.length).set(value, this.#length)
    this.#length += value.length
  }

  /** In a buffer of its own, which can be moved to another thread. */
  finish(): Uint8Array {
    return new Uint8Array(this.#rows.buffer.transfer(this.#length))
  }

  #room(bytes: number): Buffer<ArrayBuffer> {
    if (this.#length + bytes > this.#rows.length) {
      const capacity = Math.max(2 * this.#rows.length, this.#length + bytes)
      this.#rows = Buffer.from(this.#rows.buffer.transfer(capacity))
    }
    return this.#rows
  }
}

class RowReader {
  readonly #rows: Buffer
  #position = 0

  constructor(rows: Uint8Array) {
    this.#rows = Buffer.from(rows.buffer, rows.byteOffset, rows.length)
  }

  number(): number {
    this.#position += 8
    return this.#rows.readDoubleLE(this.#position - 8)
  }

  /** Signed, as times before 1970 are. */
  bigint(): bigint {
    this.#position += 8
    return this.#rows.readBigInt64LE(this.#position - 8)
  }

  bytes(): Buffer {
    const length = this.number()
    this.#position += length
    return this.#rows.subarray(this.#position - length, this.#position)
  }
}
