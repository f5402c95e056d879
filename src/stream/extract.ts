import { createHash, type Hash } from "node:crypto"
import { closeSync, fstatSync, readSync } from "node:fs"
import { ConfinedTree } from "../confined.ts"
import type { NewFile } from "../confined-file.ts"
import { BackupError, errnoOf, FormatError, JobError, KeyError } from "../errors.ts"
import { kindFromHeader, type SegmentKind } from "../format/pack.ts"
import { auditSegment } from "../format/segment.ts"
import { blockBytes } from "../format/tar.ts"
import { type PreparedIdentity, prepareIdentity } from "../key/header.ts"
import { extractedBytesMax, packBytesMax } from "../limits.ts"
import { release } from "../memory.ts"
import { Secret } from "../secret.ts"
import { decompress, decompressAll } from "./compress.ts"
import { decrypt, type OpenedSegment } from "./encrypt.ts"
import type {
  CompareDone,
  CompareTask,
  ExtractDone,
  ExtractFile,
  ExtractResult,
  ExtractSegment,
  ExtractTask,
  FrameRange,
  OpenedRung,
  SegmentFailure,
} from "./task.ts"

/** A file on its way home: hashed as it is written. */
interface Incoming {
  readonly hash: Hash
  readonly out: NewFile | null
}

/** Something that was kept is not what it was: how far it could be opened. */
class Rot extends Error {
  readonly rung: OpenedRung
  readonly error: BackupError

  constructor(rung: OpenedRung, error: BackupError) {
    super(error.message)
    this.rung = rung
    this.error = error
  }
}

const compareBytes = 1024 * 1024

/**
 * collect's inverse: opens the ranges of segments that hold the files asked for, and writes each file whose bytes have the SHA-256
 * of its manifest. Nothing else ever gets a name in the target.
 */
export class Extractor {
  readonly #incoming = new Map<number, Incoming>()
  readonly #identities = new Map<string, PreparedIdentity>()
  #tree: { readonly root: string; readonly tree: ConfinedTree } | null = null

  extract(task: ExtractTask): ExtractDone {
    const files: ExtractResult[] = []
    const failures: SegmentFailure[] = []
    for (const segment of task.segments) {
      try {
        files.push(...this.#segment(segment, task))
      } catch (error) {
        if (!(error instanceof Rot)) throw error
        failures.push({ offset: segment.offset, rung: error.rung, detail: error.message })
        files.push(...segment.files.map(({ id }) => rotten(id, error)))
      }
    }
    return { type: "extracted", files, failures }
  }

  compare(task: CompareTask): CompareDone {
    const tree = this.#confined(task.target)
    return { type: "compared", equal: task.files.filter((file) => isThere(tree, file)).map(({ id }) => id) }
  }

  abandon(): void {
    for (const { out } of this.#incoming.values()) out?.discard()
    this.#incoming.clear()
    this.#tree?.tree.close()
    this.#tree = null
    this.#identities.clear()
  }

  #segment(segment: ExtractSegment, task: ExtractTask): ExtractResult[] {
    const runs = new Runs(task.fetched)
    const kind = climbing("decoded", () => kindFromHeader(runs.need(segment.offset - blockBytes, blockBytes), segment.length))
    const opened = climbing("decrypted", () => this.#open(segment, runs))
    try {
      if (task.audit) audit(opened, kind)
      const frames = new FrameReader(opened, kind)
      return segment.files.map((file) => this.#file(file, frames, task))
    } finally {
      opened.close()
    }
  }

  #open({ offset, length, identities }: ExtractSegment, runs: Runs): OpenedSegment {
    const sealed = { length, head: runs.from(offset, length), bytes: (at: number, size: number) => runs.find(offset + at, size) }
    let wrong: unknown
    for (const identity of identities) {
      try {
        return decrypt(sealed, this.#identity(identity))
      } catch (error) {
        if (!(error instanceof KeyError)) throw error
        wrong = error
      }
    }
    if (wrong === undefined) throw new KeyError("key/missing", "no identity of this account was given")
    throw new FormatError("format/mismatch", "age file: none of the account's identities opens its header: it is damaged, or another's", {
      cause: wrong,
    })
  }

  #file(file: ExtractFile, frames: FrameReader, task: ExtractTask): ExtractResult {
    try {
      // Every byte of this segment is opened before the first is written: what is rotten can be fetched again elsewhere.
      const bytes = readBounded(file.extents, frames)
      const incoming = this.#begin(file, task)
      for (const part of bytes) incoming.hash.update(part)
      incoming.out?.write(...bytes)
      // Not before the last is written: two of a manifest's extents may be the same bytes.
      for (const part of bytes) release(part)
      if (file.last) this.#settle(file, incoming, task)
      return { id: file.id, outcome: "done" }
    } catch (error) {
      if (error instanceof Rot && error.rung !== "matched") return rotten(file.id, error)
      this.#discard(file.id)
      return error instanceof Rot ? rotten(file.id, error) : refused(file.id, error)
    }
  }

  #begin(file: ExtractFile, task: ExtractTask): Incoming {
    if (!file.first) {
      const known = this.#incoming.get(file.id)
      if (known === undefined) throw new JobError("job/target", "an earlier part of this file could not be restored")
      return known
    }
    const out = task.target === null ? null : this.#confined(task.target).create(Buffer.from(file.path))
    const incoming = { hash: createHash("sha256"), out }
    this.#incoming.set(file.id, incoming)
    return incoming
  }

  #settle(file: ExtractFile, incoming: Incoming, task: ExtractTask): void {
    if (incoming.hash.digest("hex") !== file.sha256) {
      throw new Rot("matched", new FormatError("format/mismatch", "its bytes do not have the SHA-256 of the manifest"))
    }
    const owner = task.owners ? { owner: { uid: file.uid, gid: file.gid } } : {}
    this.#incoming.delete(file.id)
    incoming.out?.settle({ mode: file.mode, mtimeNs: file.mtimeNs, ...owner })
  }

  #discard(id: number): void {
    const incoming = this.#incoming.get(id)
    this.#incoming.delete(id)
    incoming?.out?.discard()
  }

  #confined(root: string): ConfinedTree {
    if (this.#tree?.root !== root) {
      this.#tree?.tree.close()
      this.#tree = { root, tree: new ConfinedTree(root) }
    }
    return this.#tree.tree
  }

  #identity(text: string): PreparedIdentity {
    const known = this.#identities.get(text) ?? prepareIdentity(new Secret(text))
    if (this.#identities.size > 1000) this.#identities.clear()
    this.#identities.set(text, known)
    return known
  }
}

function climbing<T>(rung: OpenedRung, work: () => T): T {
  try {
    return work()
  } catch (error) {
    if (error instanceof Rot || !(error instanceof BackupError)) throw error
    throw new Rot(rung, error)
  }
}

// Every byte decrypts, every frame inflates, the tar is the one this format writes, and its own sums hold.
function audit(segment: OpenedSegment, kind: SegmentKind): void {
  const plaintext = climbing("decrypted", () => segment.read(0, segment.plaintextBytes))
  climbing("decoded", () => {
    auditSegment(kind === "tar" ? plaintext : decompressAll(plaintext, packBytesMax))
  })
}

/** The runs of a pack's bytes that were fetched. */
class Runs {
  readonly #runs: ExtractTask["fetched"]

  constructor(runs: ExtractTask["fetched"]) {
    this.#runs = runs
  }

  find(offset: number, length: number): Uint8Array | undefined {
    const run = this.#runs.find(({ offset: start, bytes }) => start <= offset && offset + length <= start + bytes.length)
    return run?.bytes.subarray(offset - run.offset, offset - run.offset + length)
  }

  need(offset: number, length: number): Uint8Array {
    const bytes = this.find(offset, length)
    if (bytes === undefined) throw new FormatError("format/malformed", "pack: the bytes asked for were not fetched")
    return bytes
  }

  /** As much as there is in one run, from `offset` on. */
  from(offset: number, lengthMax: number): Uint8Array {
    const run = this.#runs.find(({ offset: start, bytes }) => start <= offset && offset < start + bytes.length)
    if (run === undefined) throw new FormatError("format/malformed", "pack: the start of a segment was not fetched")
    return run.bytes.subarray(offset - run.offset, offset - run.offset + lengthMax)
  }
}

/** Ranges of a segment's plaintext; the last frame inflated is kept, since small files share one. */
class FrameReader {
  readonly #segment: OpenedSegment
  readonly #framed: boolean
  #last: { readonly offset: number; readonly raw: Uint8Array } | null = null

  constructor(segment: OpenedSegment, kind: SegmentKind) {
    this.#segment = segment
    this.#framed = kind === "tar.zst"
  }

  read(range: FrameRange): readonly Uint8Array[] {
    if (!this.#framed) return climbing("decrypted", () => this.#segment.pieces(range.frameOffset + range.skip, range.length))
    const raw = this.#frame(range)
    if (range.skip + range.length > raw.length) {
      throw new Rot("decoded", new FormatError("format/malformed", "manifest: location past the end of its frame"))
    }
    return [raw.subarray(range.skip, range.skip + range.length)]
  }

  #frame({ frameOffset, frameLength }: FrameRange): Uint8Array {
    // A frame given out whole was released by whoever wrote it.
    if (this.#last?.offset !== frameOffset || this.#last.raw.length === 0) {
      const sealed = climbing("decrypted", () => this.#segment.read(frameOffset, frameLength))
      this.#last = { offset: frameOffset, raw: climbing("decoded", () => decompress(sealed)) }
    }
    return this.#last.raw
  }
}

/**
 * The bytes of one file in one segment, all at once. What they keep in memory counts, not only how many they are: a manifest may name
 * one byte of each of a thousand frames.
 */
function readBounded(extents: readonly FrameRange[], frames: FrameReader): Uint8Array[] {
  const bytes: Uint8Array[] = []
  const kept = new Set<ArrayBufferLike>()
  let length = 0
  let keptBytes = 0
  for (const extent of extents) {
    length += extent.length
    refuseBeyond(length)
    for (const part of frames.read(extent)) {
      bytes.push(part)
      if (!kept.has(part.buffer)) keptBytes += part.buffer.byteLength
      kept.add(part.buffer)
    }
    refuseBeyond(keptBytes)
  }
  return bytes
}

function refuseBeyond(bytes: number): void {
  if (bytes <= extractedBytesMax) return
  throw new Rot("decoded", new FormatError("format/malformed", "manifest: locates more of one file than a segment holds of it"))
}

function isThere(tree: ConfinedTree, file: CompareTask["files"][number]): boolean {
  const descriptor = tree.openExisting(Buffer.from(file.path))
  if (descriptor === null) return false
  try {
    const stat = fstatSync(descriptor)
    if (!stat.isFile() || stat.size !== file.size) return false
    const digest = createHash("sha256")
    const buffer = Buffer.allocUnsafe(Math.min(compareBytes, file.size + 1))
    for (let read = readSync(descriptor, buffer); read > 0; read = readSync(descriptor, buffer)) digest.update(buffer.subarray(0, read))
    return digest.digest("hex") === file.sha256
  } catch (error) {
    // Whoever restores the file is told that it is there and cannot be read.
    if (errnoOf(error) === undefined) throw error
    return false
  } finally {
    closeSync(descriptor)
  }
}

function rotten(id: number, { rung, error }: Rot): ExtractResult {
  return { id, outcome: "rotten", rung, detail: error.message, code: error.code }
}

function refused(id: number, error: unknown): ExtractResult {
  if (error instanceof BackupError) return { id, outcome: "refused", detail: error.message, code: error.code }
  const code = errnoOf(error)
  if (code === undefined || !(error instanceof Error)) throw error
  return { id, outcome: "refused", detail: error.message, code }
}
