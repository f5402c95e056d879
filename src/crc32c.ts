/** CRC-32C (Castagnoli) of the bytes, as an unsigned number. */
export type Crc32c = (bytes: Uint8Array) => number

/**
 * The quickest implementation this host has. The native one does gigabytes a second, the table below 400 MB: enough where the
 * optional package has no binary for the platform.
 */
export async function loadCrc32c(): Promise<Crc32c> {
  try {
    const { crc32c } = await import("@node-rs/crc32")
    return (bytes) => crc32c(bytes)
  } catch {
    // Missing, or without a binary for this platform: the result is the same either way, so there is nothing to report.
    return crc32cByTable
  }
}

/** Castagnoli's polynomial, bits reversed. */
const polynomial = 0x82f63b78

/** tables[n][byte] is the CRC of `byte` followed by n zero bytes, so that eight bytes are taken in one step. */
const tables = Array.from({ length: 8 }, () => new Uint32Array(256))
for (let byte = 0; byte < 256; byte++) {
  let crc = byte
  for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ polynomial : crc >>> 1
  set(0, byte, crc)
}
for (let table = 1; table < 8; table++) {
  for (let byte = 0; byte < 256; byte++) {
    const before = at(table - 1, byte)
    set(table, byte, (before >>> 8) ^ at(0, before & 0xff))
  }
}

export function crc32cByTable(bytes: Uint8Array): number {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  let crc = 0xffffffff
  let index = 0
  for (; index + 8 <= bytes.length; index += 8) {
    const low = crc ^ view.getUint32(index, true)
    const high = view.getUint32(index + 4, true)
    crc =
      at(7, low & 0xff) ^
      at(6, (low >>> 8) & 0xff) ^
      at(5, (low >>> 16) & 0xff) ^
      at(4, low >>> 24) ^
      at(3, high & 0xff) ^
      at(2, (high >>> 8) & 0xff) ^
      at(1, (high >>> 16) & 0xff) ^
      at(0, high >>> 24)
  }
  for (; index < bytes.length; index++) crc = at(0, (crc ^ view.getUint8(index)) & 0xff) ^ (crc >>> 8)
  return ~crc >>> 0
}

function at(table: number, byte: number): number {
  return tables[table]?.[byte] ?? 0
}

function set(table: number, byte: number, crc: number): void {
  const row = tables[table]
  if (row !== undefined) row[byte] = crc
}
