import { hash } from "node:crypto"
import { type Digest, sha256 } from "../digest.ts"
import { FormatError } from "../errors.ts"
import { segmentMembersMax } from "../limits.ts"
import { padme } from "./padme.ts"
import { blockBytes, paddingOf, readTar, tarHeader } from "./tar.ts"

/** README §4. What the members of a data segment are called, and what follows them. */
export function fileMember(path: Uint8Array): Buffer {
  return Buffer.concat([Buffer.from("d/"), path])
}

/** A piece of a file above 16 MiB; pieces count from 1. */
export function pieceMember(path: Uint8Array, piece: number): Buffer {
  return Buffer.from(`p/${hash("sha256", path, "hex")}/${String(piece).padStart(7, "0")}`)
}

const sumsMember = Buffer.from("SHA256SUMS")
const padMember = Buffer.from(".pad")

/** A line of SHA256SUMS in the form of coreutils: a name with a backslash or a line break is escaped and the line says so. */
export function sumLine(sha256: Digest, member: Uint8Array): Buffer {
  const name = Buffer.from(member)
  if (!name.includes(0x5c) && !name.includes(0x0a) && !name.includes(0x0d)) {
    return Buffer.concat([Buffer.from(`${sha256}  `), name, Buffer.from("\n")])
  }
  const escaped = name.toString("latin1").replace(/\\/g, "\\\\").replace(/\n/g, "\\n").replace(/\r/g, "\\r")
  return Buffer.concat([Buffer.from(`\\${sha256}  `), Buffer.from(escaped, "latin1"), Buffer.from("\n")])
}

export function fileHeader(name: Uint8Array, size: number, item: { readonly mode: number; readonly mtimeNs: bigint }): Uint8Array {
  return tarHeader({ name, size, mode: item.mode & 0o777, mtime: tarTime(item.mtimeNs) })
}

// The manifest has the whole truth; a tar header holds 33 bits of seconds.
function tarTime(mtimeNs: bigint): number {
  return Math.min(Math.max(Number(mtimeNs / 1_000_000_000n), 0), 2 ** 33 - 1)
}

export function sumsHeader(size: number): Uint8Array {
  return tarHeader({ name: sumsMember, size, mode: 0o600, mtime: 0 })
}

/** The `.pad` member that makes a tar of `size` bytes, trailer included, a Padmé number of blocks; its content is zeros. */
export function padHeader(size: number): { readonly header: Uint8Array; readonly contentBytes: number } | null {
  const blocks = size / blockBytes
  const target = padme(blocks)
  if (target === blocks) return null
  const contentBytes = (target - blocks - 1) * blockBytes
  return { header: tarHeader({ name: padMember, size: contentBytes, mode: 0o600, mtime: 0 }), contentBytes }
}

/** Bytes that a member takes in a segment's tar, with its line in SHA256SUMS: what planning reckons with. */
export function memberBytes(pathBytes: number, size: number): number {
  const header = pathBytes > 98 ? blockBytes * 2 + pathBytes + 2 * blockBytes : blockBytes
  return header + size + paddingOf(size) + 2 * pathBytes + 80
}

/** Holds a data segment's tar against its own SHA256SUMS: every member is there, once, in order, and has its hash. */
export function auditSegment(tar: Uint8Array): void {
  const entries = readTar(tar, { what: "segment", membersMax: segmentMembersMax })
  const pad = entries.at(-1)
  if (pad !== undefined && padMember.equals(pad.name)) entries.pop()
  const sums = entries.pop()
  if (sums === undefined || !sumsMember.equals(sums.name))
    throw new FormatError("format/malformed", "segment: SHA256SUMS is not its last member")
  const lines = entries.map(({ name, offset, size }) => sumLine(sha256(tar.subarray(offset, offset + size)), name))
  if (Buffer.compare(Buffer.concat(lines), tar.subarray(sums.offset, sums.offset + sums.size)) !== 0) {
    throw new FormatError("format/mismatch", "segment: its members are not what its SHA256SUMS says")
  }
}
