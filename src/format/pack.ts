import { FormatError } from "../errors.ts"
import { packBytesMax, packMembersMax } from "../limits.ts"
import { blockBytes, paddingOf, readTar, tarHeader, trailer } from "./tar.ts"

/** What a pack's member holds once opened: a tar, or a tar cut into zstd frames. The member's suffix says so. */
export type SegmentKind = "tar" | "tar.zst"

export interface PackMember {
  readonly index: number
  readonly kind: SegmentKind
  /** Bytes from the start of the pack to the age file. */
  readonly offset: number
  readonly length: number
}

/** "0017.tar.zst.age" */
export function memberName(index: number, kind: SegmentKind): string {
  return `${String(index).padStart(4, "0")}.${kind}.age`
}

/** The tar header before a member (README §3): mode 0600, owner and time zero. */
export function packHeader(index: number, kind: SegmentKind, length: number): Uint8Array {
  return tarHeader({ name: Buffer.from(memberName(index, kind)), size: length, mode: 0o600, mtime: 0 })
}

/** What kind of segment the tar header before it says it is; refuses a header that is not that member's. */
export function kindFromHeader(block: Uint8Array, length: number): SegmentKind {
  const name = Buffer.from(block.subarray(0, 32)).toString("latin1")
  const [, index, kind] = /^(\d{4})\.(tar|tar\.zst)\.age\0/.exec(name) ?? []
  if (index !== undefined && (kind === "tar" || kind === "tar.zst")) {
    if (Buffer.compare(packHeader(Number(index), kind, length), block) === 0) return kind
  }
  throw new FormatError("format/malformed", "pack: no such member where the manifest says")
}

/** Bytes a pack takes for a member of `length` bytes. */
export function packedBytes(length: number): number {
  return blockBytes + length + paddingOf(length)
}

/** The index of a pack, from its tar headers. Refuses every pack that this format would not write. */
export function decodePack(bytes: Uint8Array): PackMember[] {
  if (bytes.length > packBytesMax) throw new FormatError("format/too-large", `pack of ${String(bytes.length)} bytes`)
  const entries = readTar(bytes, { what: "pack", membersMax: packMembersMax })
  if (entries.length === 0) throw new FormatError("format/malformed", "pack without members")
  return entries.map((entry, index) => {
    const name = Buffer.from(entry.name).toString("latin1")
    const kind: SegmentKind = name.endsWith(".tar.zst.age") ? "tar.zst" : "tar"
    if (name !== memberName(index, kind) || entry.mode !== 0o600 || entry.mtime !== 0) {
      throw new FormatError("format/malformed", `pack member ${String(index)}: unexpected header`)
    }
    return { index, kind, offset: entry.offset, length: entry.size }
  })
}

/** A pack of whole age files; decodePack's inverse. */
export function encodePack(segments: readonly { readonly kind: SegmentKind; readonly bytes: Uint8Array }[]): Uint8Array {
  if (segments.length === 0 || segments.length > packMembersMax) throw new FormatError("format/too-large", "pack: bad number of members")
  const parts: Uint8Array[] = []
  for (const [index, segment] of segments.entries()) {
    parts.push(packHeader(index, segment.kind, segment.bytes.length), segment.bytes, new Uint8Array(paddingOf(segment.bytes.length)))
  }
  parts.push(trailer)
  const pack = Buffer.concat(parts)
  if (pack.length > packBytesMax) throw new FormatError("format/too-large", `pack of ${String(pack.length)} bytes`)
  return pack
}
