import { FormatError } from "../errors.ts"
import { pathBytesMax } from "../limits.ts"

/** Every header and every member's padding is a multiple of this (POSIX.1-2017, pax, "ustar Interchange Format"). */
export const blockBytes = 512
/** A path and what a segment puts before it, "d/". */
const nameBytesMax = pathBytesMax + 2
/** Two zero blocks end an archive. */
export const trailer = new Uint8Array(2 * blockBytes)

export interface TarMember {
  /** Raw bytes; ustar where it fits, a pax header where it does not. */
  readonly name: Uint8Array
  readonly size: number
  readonly mode: number
  /** Seconds since 1970. */
  readonly mtime: number
}

/** Bytes that pad `size` to a whole block. */
export function paddingOf(size: number): number {
  return (blockBytes - (size % blockBytes)) % blockBytes
}

/** The header block of a member, preceded by a pax header where its name needs one. Owner is always 0:0 (README §3). */
export function tarHeader(member: TarMember): Uint8Array {
  const split = splitName(member.name)
  if (split !== null) return ustarBlock(member, split, "0")
  const record = paxRecord("path", member.name)
  // A short name that ends in a slash means a directory to readers older than pax.
  const cut = member.name[99] === 0x2f ? 99 : 100
  const pax = { name: Buffer.from("pax"), size: record.length, mode: 0o600, mtime: 0 }
  const short = { prefix: Buffer.alloc(0), name: member.name.subarray(0, cut) }
  return Buffer.concat([
    ustarBlock(pax, { prefix: Buffer.alloc(0), name: pax.name }, "x"),
    record,
    new Uint8Array(paddingOf(record.length)),
    ustarBlock(member, short, "0"),
  ])
}

interface SplitName {
  readonly prefix: Uint8Array
  readonly name: Uint8Array
}

// ustar keeps 100 bytes of name and, before a slash, 155 bytes of prefix.
function splitName(name: Uint8Array): SplitName | null {
  if (name.length === 0 || name.length > nameBytesMax) throw new FormatError("format/malformed", "tar member name: empty or too long")
  if (name.includes(0)) throw new FormatError("format/malformed", "tar member name: contains a zero byte")
  if (name.length <= 100) return { prefix: name.subarray(0, 0), name }
  for (let slash = Math.min(155, name.length - 2); slash > 0; slash--) {
    if (name[slash] === 0x2f && name.length - slash - 1 <= 100) return { prefix: name.subarray(0, slash), name: name.subarray(slash + 1) }
  }
  return null
}

// "LENGTH path=NAME\n", where LENGTH counts itself.
function paxRecord(keyword: string, value: Uint8Array): Uint8Array {
  const rest = keyword.length + value.length + 3
  let length = rest + String(rest).length
  if (String(length).length + rest !== length) length = rest + String(length).length
  return Buffer.concat([Buffer.from(`${String(length)} ${keyword}=`), value, Buffer.from("\n")])
}

function ustarBlock(member: TarMember, split: SplitName, type: "0" | "x"): Uint8Array {
  // From node's pool: a buffer of its own for each header would cost more than what is written into it.
  const block = Buffer.allocUnsafe(blockBytes).fill(0)
  block.set(split.name, 0)
  block.write(octal(member.mode & 0o7777, 7), 100, "latin1")
  block.write(octal(0, 7), 108, "latin1")
  block.write(octal(0, 7), 116, "latin1")
  block.write(octal(member.size, 11), 124, "latin1")
  block.write(octal(member.mtime, 11), 136, "latin1")
  block.write("        ", 148, "latin1")
  block.write(type, 156, "latin1")
  block.write("ustar\u000000", 257, "latin1")
  block.set(split.prefix, 345)
  let sum = 0
  for (let i = 0; i < blockBytes; i++) sum += block[i] ?? 0
  block.write(`${octal(sum, 6)}\u0000 `, 148, "latin1")
  return block
}

function octal(value: number, digits: number): string {
  const text = value.toString(8)
  if (value < 0 || text.length > digits) throw new FormatError("format/too-large", `tar header field: ${String(value)} does not fit`)
  return text.padStart(digits, "0")
}

export interface TarEntry extends TarMember {
  /** Bytes from the start of the archive to the member's content. */
  readonly offset: number
}

/**
 * The members of an archive as this project writes it, and nothing else: every header is rebuilt and compared, so one archive has
 * one encoding. Bounded by `membersMax`; anything after the two zero blocks is refused.
 */
export function readTar(bytes: Uint8Array, options: { readonly what: string; readonly membersMax: number }): TarEntry[] {
  const entries: TarEntry[] = []
  let position = 0
  for (;;) {
    if (isTrailer(bytes, position)) break
    if (entries.length >= options.membersMax) {
      throw new FormatError("format/too-large", `${options.what}: more than ${String(options.membersMax)} members`)
    }
    const entry = readMember(bytes, position, options.what)
    entries.push(entry)
    position = entry.offset + entry.size + paddingOf(entry.size)
  }
  if (position + trailer.length !== bytes.length)
    throw new FormatError("format/malformed", `${options.what}: bytes after the end of the tar`)
  return entries
}

function isTrailer(bytes: Uint8Array, position: number): boolean {
  const end = bytes.subarray(position, position + trailer.length)
  return end.length === trailer.length && Buffer.compare(end, trailer) === 0
}

function readMember(bytes: Uint8Array, position: number, what: string): TarEntry {
  const first = headerAt(bytes, position, what)
  let name = first.name
  let header = first
  let content = position + blockBytes
  if (first.type === "x") {
    const record = bytes.subarray(content, content + first.size)
    name = paxPath(record, what)
    content += first.size + paddingOf(first.size)
    header = headerAt(bytes, content, what)
    content += blockBytes
  }
  const member = { name, size: header.size, mode: header.mode, mtime: header.mtime }
  const end = content + header.size + paddingOf(header.size)
  if (end > bytes.length) throw new FormatError("format/malformed", `${what}: cut inside a tar member`)
  if (header.type !== "0" || Buffer.compare(tarHeader(member), bytes.subarray(position, content)) !== 0) {
    throw new FormatError("format/malformed", `${what}: tar header is not as this format writes it`)
  }
  for (let i = content + header.size; i < end; i++) {
    if (bytes[i] !== 0) throw new FormatError("format/malformed", `${what}: tar padding is not zero`)
  }
  return { ...member, offset: content }
}

interface Header extends TarMember {
  readonly type: string
}

function headerAt(bytes: Uint8Array, position: number, what: string): Header {
  if (position + blockBytes > bytes.length) throw new FormatError("format/malformed", `${what}: cut inside a tar header`)
  const block = Buffer.from(bytes.buffer, bytes.byteOffset + position, blockBytes)
  const prefix = untilZero(block.subarray(345, 500))
  const short = untilZero(block.subarray(0, 100))
  return {
    name: prefix.length === 0 ? short : Buffer.concat([prefix, Buffer.from("/"), short]),
    mode: octalAt(block, 100, 7, what),
    size: octalAt(block, 124, 11, what),
    mtime: octalAt(block, 136, 11, what),
    type: String.fromCharCode(block[156] ?? 0),
  }
}

function untilZero(field: Buffer): Buffer {
  const zero = field.indexOf(0)
  return zero === -1 ? field : field.subarray(0, zero)
}

function octalAt(block: Buffer, offset: number, digits: number, what: string): number {
  const text = block.toString("latin1", offset, offset + digits)
  if (!/^[0-7]+$/.test(text)) throw new FormatError("format/malformed", `${what}: tar header with a bad number`)
  return Number.parseInt(text, 8)
}

function paxPath(record: Uint8Array, what: string): Uint8Array {
  const text = Buffer.from(record.buffer, record.byteOffset, record.length)
  const start = text.indexOf(" path=")
  if (start < 0 || start > 5 || text.at(-1) !== 0x0a) throw new FormatError("format/malformed", `${what}: bad pax header`)
  return text.subarray(start + 6, text.length - 1)
}
