import { type Digest, sha256 } from "../digest.ts"
import { accountPath, parseAccountPath, pieceNumber } from "./account-path.ts"
import type { SourceItem } from "./source.ts"

/**
 * Where rows of call detail records stand: `accounts/<account>/<schema>.<table>/<day>/<cut>-<number>-<description>-<content>.tsv`. The
 * cut is the moment of the run, later in each run; description and content are the first 16 characters of the SHA-256 of the table's
 * description (`tables/<schema>.<table>/<description>.json`, of the account `platform`) and of the piece itself. So a path stands for one
 * content, and what is remembered as held by it is held.
 */
export interface CdrPieceName {
  readonly stableId: string
  /** "schema.table". */
  readonly table: string
  readonly day: string
  readonly cut: string
  readonly number: number
  readonly description: string
  readonly content: string
}

const fileName = /^(\d{8}T\d{6}Z)-(\d{6,})-([0-9a-f]{16})-([0-9a-f]{16})\.tsv$/

export function cdrPiecePath({ stableId, table, day, cut, number, description, content }: CdrPieceName): Buffer {
  return accountPath(stableId, table, day, `${cut}-${pieceNumber(number)}-${description}-${content}.tsv`)
}

/** Null for a path that is no piece's. */
export function parseCdrPiecePath(path: Uint8Array): CdrPieceName | null {
  const parsed = parseAccountPath(path)
  const [table, day, file, ...more] = parsed?.rest ?? []
  const match = fileName.exec(file ?? "")
  if (parsed === null || table === undefined || day === undefined || match === null || more.length > 0) return null
  const [, cut = "", number, description = "", content = ""] = match
  return { stableId: parsed.stableId, table, day, cut, number: Number(number), description, content }
}

/** Where the description of a table's pieces stands. */
export function descriptionPath(table: string, description: string): Buffer {
  return Buffer.from(`tables/${inPath(table)}/${description}.json`)
}

/** Table and description of such a path; null for another. */
export function parseDescriptionPath(path: Uint8Array): { readonly table: string; readonly description: string } | null {
  const match = /^tables\/([^/]+)\/([0-9a-f]{16})\.json$/.exec(Buffer.from(path).toString("utf8"))
  const [, table, description] = match ?? []
  return table === undefined || description === undefined ? null : { table: decodeURIComponent(table), description }
}

/** Where the record of a run over a table stands. */
export function runRecordPath(table: string, cut: string): Buffer {
  return Buffer.from(`tables/${inPath(table)}/runs/${cut}.json`)
}

function inPath(table: string): string {
  return encodeURIComponent(table).replace(/^\.+/, (dots) => "%2E".repeat(dots.length))
}

/** The moment of a run as names of pieces have it; in the order of time. */
export function cutOf(moment: Date): string {
  return `${moment.toISOString().slice(0, 19).replace(/[-:]/g, "")}Z`
}

/** Bytes as one item, of a run at `now`. */
export function bytesItem(
  bytes: Uint8Array,
  at: { readonly stableId: string; readonly day: string; readonly path: Buffer; readonly now: Date },
) {
  const { stableId, day, path, now } = at
  const digest: Digest = sha256(bytes)
  return {
    ...{ stableId, day, path, type: "file", size: bytes.length, mtimeNs: BigInt(now.getTime()) * 1_000_000n },
    ...{ mode: 0o600, uid: 0, gid: 0, compressible: true, flags: [] },
    content: { kind: "bytes", bytes, sha256: digest },
  } as const satisfies SourceItem
}
