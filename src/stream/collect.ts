import { createHash, type Hash } from "node:crypto"
import { closeSync, constants, fstatSync, openSync, readSync } from "node:fs"
import { type Digest, digestOf, sha256 } from "../digest.ts"
import { BackupError, errnoOf, reasonOf } from "../errors.ts"
import { fileHeader, fileMember, pieceMember, sumLine, sumsHeader } from "../format/segment.ts"
import { paddingOf } from "../format/tar.ts"
import { ownFrameBytesMin } from "../limits.ts"
import { audioFlags } from "../source/audio.ts"
import type { ItemFlag, MissReason } from "../source/source.ts"
import type { FrameExtent, Layout } from "./layout.ts"
import type { FilePart, FileStamp, PackedPart, PartPlan, SegmentPlan } from "./task.ts"

/** A part as it lies in its segment; or why it does not. */
export type CollectedPart =
  | (Omit<PackedPart, "extents"> & { readonly extents: readonly FrameExtent[] })
  | { readonly id: number; readonly miss: MissReason; readonly detail: string }

export interface Collected {
  readonly plaintext: Uint8Array
  readonly parts: readonly CollectedPart[]
  /** Whether anything was read; a segment of nothing is not kept. */
  readonly empty: boolean
}

interface OpenFile {
  readonly descriptor: number | null
  readonly stamp: FileStamp | null
  /** Of a file whose pieces go into several packs, which is kept open. */
  readonly hash: Hash | null
  flags: readonly ItemFlag[]
}

class Miss extends Error {
  readonly reason: MissReason

  constructor(reason: MissReason, detail: string) {
    super(detail)
    this.reason = reason
  }
}

/**
 * Reads the files of a segment plan into a tar. A file that cannot be read, or that changes while it is read, is left out and said;
 * the tar never holds a part of it. One Collector per worker; pieces of one file must come to the same one, in order.
 */
export class Collector {
  readonly #open = new Map<number, OpenFile>()
  readonly #failed = new Set<number>()

  collect(plan: SegmentPlan, layout: Layout): Collected {
    layout.reset()
    const sums: Buffer[] = []
    const found: ((() => CollectedPart) | CollectedPart)[] = Array.from(plan.parts, (part) => this.#part(part, layout, sums))
    if (sums.length === 0) return { plaintext: new Uint8Array(0), parts: found.map(settle), empty: true }
    writeMember(layout, Buffer.concat(sums))
    return { plaintext: layout.finish(), parts: found.map(settle), empty: false }
  }

  /** Closes whatever a run that ended early left open. */
  abandon(): void {
    for (const { descriptor } of this.#open.values()) if (descriptor !== null) closeSync(descriptor)
    this.#open.clear()
    this.#failed.clear()
  }

  #part(part: PartPlan, layout: Layout, sums: Buffer[]): (() => CollectedPart) | CollectedPart {
    let begun = false
    try {
      if (this.#failed.has(part.id)) throw new Miss("torn", "an earlier piece could not be read")
      const member = part.piece === undefined ? fileMember(part.path) : pieceMember(part.path, part.piece.number)
      const file = this.#openFile(part)
      layout.begin(fileHeader(member, part.length, part), { ownFrame: part.length > ownFrameBytesMin })
      begun = true
      const sum = readContent(part, file, layout)
      const whole = this.#finishFile(part, file)
      const locations = layout.end(paddingOf(part.length))
      sums.push(sumLine(sum, member))
      const sha256 = part.piece === undefined ? sum : whole
      const piece = part.piece?.number ?? 1
      return () => ({ id: part.id, piece, extents: locations(), sha256, flags: file.flags })
    } catch (error) {
      if (begun) layout.rollback()
      this.#forget(part)
      return { id: part.id, ...missOf(error) }
    }
  }

  #openFile(part: PartPlan): OpenFile {
    const known = this.#open.get(part.id)
    if (known !== undefined) return known
    const opened = "bytes" in part.from ? { descriptor: null, stamp: null } : openExpected(part.from)
    const file: OpenFile = { ...opened, hash: part.piece === undefined ? null : createHash("sha256"), flags: [] }
    this.#open.set(part.id, file)
    return file
  }

  // The whole file's hash, once its last byte was read and the file still looks as it did.
  #finishFile(part: PartPlan, file: OpenFile): Digest | null {
    if (part.piece !== undefined && !part.piece.last) return null
    if (file.descriptor !== null && file.stamp !== null) refuseChanged(file.stamp, stampOf(file.descriptor))
    this.#close(part.id)
    return file.hash === null ? null : digestOf(file.hash.digest("hex"))
  }

  #forget(part: PartPlan): void {
    this.#close(part.id)
    if (part.piece !== undefined) this.#failed.add(part.id)
    if (part.piece?.last === true) this.#failed.delete(part.id)
  }

  #close(id: number): void {
    const file = this.#open.get(id)
    this.#open.delete(id)
    if (file?.descriptor != null) closeSync(file.descriptor)
  }
}

function settle(part: (() => CollectedPart) | CollectedPart): CollectedPart {
  return typeof part === "function" ? part() : part
}

// Without O_NONBLOCK, opening a pipe that took a file's place would wait for ever.
const openFlags = constants.O_RDONLY | (constants.O_NOFOLLOW ?? 0) | (constants.O_NONBLOCK ?? 0)

// Reading must leave no trace where it can: without this, the first backup of a file writes its time of access.
const noTraceFlag = constants.O_NOATIME ?? 0

function openQuietly(path: Buffer): number {
  try {
    return openSync(path, openFlags | noTraceFlag)
  } catch (error) {
    // Only a file's owner, or root, may ask for it.
    if (noTraceFlag === 0 || errnoOf(error) !== "EPERM") throw error
    return openSync(path, openFlags)
  }
}

function openExpected(from: FilePart): Pick<OpenFile, "descriptor" | "stamp"> {
  const descriptor = openQuietly(Buffer.from(from.file))
  try {
    const stamp = stampOf(descriptor)
    refuseChanged(from.expected, stamp)
    return { descriptor, stamp }
  } catch (error) {
    closeSync(descriptor)
    throw error
  }
}

function stampOf(descriptor: number): FileStamp {
  const stat = fstatSync(descriptor, { bigint: true })
  if (!stat.isFile()) throw new Miss("torn", "no longer a regular file")
  const { mtimeNs, ctimeNs, ino, dev } = stat
  return { size: Number(stat.size), identity: { mtimeNs, ctimeNs, inode: ino, device: dev } }
}

function refuseChanged(before: FileStamp, after: FileStamp): void {
  const same = before.size === after.size && (before.identity === undefined || sameIdentity(before.identity, after.identity))
  if (!same) throw new Miss("torn", `changed while it was read: ${String(before.size)} bytes, then ${String(after.size)}`)
}

function sameIdentity(before: NonNullable<FileStamp["identity"]>, after: FileStamp["identity"]): boolean {
  return (
    before.mtimeNs === after?.mtimeNs && before.ctimeNs === after.ctimeNs && before.inode === after.inode && before.device === after.device
  )
}

/**
 * Gives the part's SHA-256. What one read brings whole, as it does nearly every file, is hashed in one call: a hash object for each of
 * many small files keeps the collector busy for longer than hashing them takes. What came with its digest is not hashed again.
 */
function readContent(part: PartPlan, file: OpenFile, layout: Layout): Digest {
  const known = "bytes" in part.from ? part.from.sha256 : undefined
  let hashed: Hash | null = null
  let done = 0
  while (done < part.length) {
    const space = layout.space(part.length - done)
    const read = fill(part, file, space, done)
    const bytes = space.subarray(0, read)
    file.hash?.update(bytes)
    if (done === 0 && isFirst(part) && "file" in part.from && part.from.audio) {
      file.flags = audioFlags(Buffer.from(part.path), bytes, part.from.expected.size)
    }
    layout.filled(read)
    done += read
    if (known !== undefined) continue
    if (read === part.length) return sha256(bytes)
    hashed ??= createHash("sha256")
    hashed.update(bytes)
  }
  if (known !== undefined) return known
  return hashed === null ? sha256("") : digestOf(hashed.digest("hex"))
}

function isFirst(part: PartPlan): boolean {
  return part.piece === undefined || part.piece.number === 1
}

function fill(part: PartPlan, file: OpenFile, space: Uint8Array, done: number): number {
  if ("bytes" in part.from) {
    space.set(part.from.bytes.subarray(done, done + space.length))
    return space.length
  }
  if (file.descriptor === null) throw new Miss("failed", "not open")
  const read = readSync(file.descriptor, space, 0, space.length, part.from.offset + done)
  if (read === 0) throw new Miss("torn", `ended at ${String(part.from.offset + done)} bytes while it was read`)
  return read
}

function writeMember(layout: Layout, content: Uint8Array): void {
  layout.begin(sumsHeader(content.length), { ownFrame: false })
  let rest = content
  while (rest.length > 0) {
    const space = layout.space(rest.length)
    space.set(rest.subarray(0, space.length))
    layout.filled(space.length)
    rest = rest.subarray(space.length)
  }
  layout.end(paddingOf(content.length))
}

function missOf(error: unknown): { readonly miss: MissReason; readonly detail: string } {
  if (error instanceof Miss) return { miss: error.reason, detail: error.message }
  if (error instanceof BackupError) throw error
  const code = errnoOf(error)
  if (code === undefined) throw error
  if (code === "ENOENT" || code === "ENOTDIR") return { miss: "vanished", detail: reasonOf(error) }
  if (code === "ELOOP") return { miss: "torn", detail: "a symbolic link took its place" }
  return { miss: "unreadable", detail: code }
}
