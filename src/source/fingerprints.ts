import { RowSum } from "../database/rows.ts"
import { isReservedAccount } from "./source.ts"

/** Rows and their sum of one table, as `fingerprint.json` says them. */
export interface TableFingerprint {
  readonly table: string
  readonly rows: number
  readonly sum: string
}

/**
 * What each account has in each table. Thousands of accounts in tens of tables are hundreds of thousands of fingerprints: they are kept as
 * bytes, 44 for each.
 */
export class Fingerprints {
  readonly #tables: string[] = []
  readonly #numbers = new Map<string, number>()
  readonly #byAccount = new Map<string, Entries>()
  readonly #totals = new Map<string, RowSum>()
  /** What belongs to `platform` and `mixed` comes in several parts. */
  readonly #reserved = new Map<string, Map<string, RowSum>>()

  add(stableId: string, table: string, sum: RowSum): void {
    if (!this.#totals.has(table)) {
      this.#totals.set(table, new RowSum())
      this.#numbers.set(table, this.#tables.push(table) - 1)
    }
    this.#totals.get(table)?.join(sum)
    if (isReservedAccount(stableId)) this.#addReserved(stableId, table, sum)
    else this.#addEntry(stableId, table, sum)
  }

  #addReserved(stableId: string, table: string, sum: RowSum): void {
    const tables = this.#reserved.get(stableId) ?? new Map<string, RowSum>()
    this.#reserved.set(stableId, tables)
    const known = tables.get(table) ?? new RowSum()
    tables.set(table, known)
    known.join(sum)
  }

  #addEntry(stableId: string, table: string, sum: RowSum): void {
    const entries = this.#byAccount.get(stableId) ?? { bytes: Buffer.allocUnsafeSlow(entriesAtFirst * entryBytes), used: 0 }
    this.#byAccount.set(stableId, entries)
    if (entries.used === entries.bytes.length) {
      const larger = Buffer.allocUnsafeSlow(2 * entries.used)
      larger.set(entries.bytes)
      entries.bytes = larger
    }
    const { bytes, used } = entries
    bytes.writeUInt32LE(this.#numbers.get(table) ?? 0, used)
    bytes.writeDoubleLE(sum.rows, used + 4)
    sum.write(bytes, used + 12)
    entries.used += entryBytes
  }

  /** Of a whole table, whosever its rows are. */
  total(table: string): RowSum {
    return this.#totals.get(table) ?? new RowSum()
  }

  /** Account by account; the tables of each by name. */
  *accounts(): Generator<{ readonly stableId: string; readonly tables: readonly TableFingerprint[] }> {
    for (const [stableId, sums] of this.#reserved) {
      const tables = [...sums].map(([table, sum]) => ({ table, rows: sum.rows, sum: sum.digest() }))
      yield { stableId, tables: tables.toSorted((a, b) => (a.table < b.table ? -1 : 1)) }
    }
    for (const [stableId, { bytes, used }] of this.#byAccount) {
      const tables = Array.from({ length: used / entryBytes }, (_, index) => this.#read(bytes, index * entryBytes))
      yield { stableId, tables: tables.toSorted((a, b) => (a.table < b.table ? -1 : 1)) }
    }
  }

  #read(bytes: Buffer, at: number): TableFingerprint {
    const table = this.#tables[bytes.readUInt32LE(at)] ?? ""
    return { table, rows: bytes.readDoubleLE(at + 4), sum: bytes.toString("hex", at + 12, at + entryBytes) }
  }
}

/** One after the other in one buffer: as buffers of their own they would take ten times as much. */
interface Entries {
  bytes: Buffer
  used: number
}

const entriesAtFirst = 8
const entryBytes = 4 + 8 + 32
