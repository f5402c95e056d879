import type { Row } from "./catalog.ts"

/** Fields of rows, checked as they are read: a catalog is a file that anyone may have touched. */
export function textOf(row: Row, column: string): string {
  const value = row[column]
  if (typeof value === "string") return value
  throw new TypeError(`catalog: ${column} is not text`)
}

export function bigintOf(row: Row, column: string): bigint {
  const value = row[column]
  if (typeof value === "bigint") return value
  throw new TypeError(`catalog: ${column} is not an integer`)
}

export function numberOf(row: Row, column: string): number {
  return Number(bigintOf(row, column))
}

export function blobOf(row: Row, column: string): Buffer {
  const value = row[column]
  if (value instanceof Uint8Array) return Buffer.from(value.buffer, value.byteOffset, value.byteLength)
  throw new TypeError(`catalog: ${column} is not bytes`)
}

/** Null stays null. */
export function nullable<T>(row: Row, column: string, read: (row: Row, column: string) => T): T | null {
  return row[column] === null ? null : read(row, column)
}
