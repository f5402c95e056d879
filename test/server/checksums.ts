import { createHash } from "node:crypto"
import { crc32 } from "node:zlib"

/** Lower-case hex, as the server computed them from the bytes it received. */
export interface Checksums {
  readonly md5: string
  readonly sha1: string
  readonly sha256: string
  readonly crc32: string
  readonly crc32c: string
}

export function checksumsOf(bytes: Uint8Array): Checksums {
  const digest = (algorithm: string) => createHash(algorithm).update(bytes).digest("hex")
  return { md5: digest("md5"), sha1: digest("sha1"), sha256: digest("sha256"), crc32: hex32(crc32(bytes)), crc32c: hex32(crc32c(bytes)) }
}

const castagnoli = Uint32Array.from({ length: 256 }, (_, byte) => {
  let value = byte
  for (let bit = 0; bit < 8; bit++) value = (value & 1) === 1 ? (value >>> 1) ^ 0x82f63b78 : value >>> 1
  return value >>> 0
})

/** CRC-32C of RFC 3720, which both clouds store. */
export function crc32c(bytes: Uint8Array): number {
  let value = 0xffffffff
  for (let index = 0; index < bytes.length; index++) value = (castagnoli[(value ^ (bytes[index] ?? 0)) & 0xff] ?? 0) ^ (value >>> 8)
  return (value ^ 0xffffffff) >>> 0
}

export function hexToBase64(hex: string): string {
  return Buffer.from(hex, "hex").toString("base64")
}

function hex32(value: number): string {
  return (value >>> 0).toString(16).padStart(8, "0")
}
