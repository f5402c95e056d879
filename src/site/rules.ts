import { sha256 } from "../digest.ts"
import { SiteError } from "../errors.ts"
import { keyBytesMax, packBytesMax } from "../limits.ts"
import type { ByteRange } from "./site.ts"

const segment = /^[A-Za-z0-9_=-][A-Za-z0-9._=-]{0,254}$/
const partialSegment = /^(?:[A-Za-z0-9_=-][A-Za-z0-9._=-]{0,254})?$/

/** Whether a name can be one part of a key. No part starts with a dot, so none is "." or "..", and sites may hide names of their own. */
export function isSegment(name: string): boolean {
  return segment.test(name)
}

/** Refuses, alike at every site, whatever is not a key: it could climb out of a directory, or mean different things to different sites. */
export function checkKey(site: string, key: string): void {
  if (key.length > keyBytesMax || !key.split("/").every(isSegment)) {
    throw new SiteError(site, "site/denied", `${JSON.stringify(key)}: not a key`)
  }
}

/** Refuses what no key can start with. A prefix may end within a segment. */
export function checkPrefix(site: string, prefix: string): void {
  const segments = prefix.split("/")
  const last = segments.pop() ?? ""
  if (prefix.length > keyBytesMax || !segments.every(isSegment) || !partialSegment.test(last)) {
    throw new SiteError(site, "site/denied", `${JSON.stringify(prefix)}: not the beginning of a key`)
  }
}

/** Refuses bytes that are too many, or are not what their digest says: better no object than a wrong one. */
export function checkBytes(site: string, key: string, bytes: Uint8Array, expected: string): void {
  checkSize(site, `put ${key}`, bytes.length)
  if (sha256(bytes) !== expected) {
    throw new SiteError(site, "site/corrupt", `put ${key}: the bytes given do not have the SHA-256 given`)
  }
}

/** Refuses an object, or a part of one, that is too large to be held in memory. */
function checkSize(site: string, what: string, size: number): void {
  if (size > packBytesMax) {
    throw new SiteError(site, "site/corrupt", `${what}: ${String(size)} bytes are more than the ${String(packBytesMax)} of any object`)
  }
}

/** The range to read of an object of `size` bytes; refused where it is not within the object. */
export function checkRange(site: string, key: string, size: number, range: ByteRange = { offset: 0, length: size }): ByteRange {
  const { offset, length } = range
  const sound = Number.isSafeInteger(offset) && Number.isSafeInteger(length) && offset >= 0 && length >= 0
  if (!sound || offset + length > size) {
    const asked = `${String(length)} bytes at ${String(offset)}`
    throw new SiteError(site, "site/corrupt", `get ${key}: ${asked} were asked for, the object has ${String(size)}`)
  }
  checkSize(site, `get ${key}`, length)
  return range
}

/** Key order. Keys are ASCII, so that JavaScript's order is the order of their bytes. */
export function compareKeys(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0
}
