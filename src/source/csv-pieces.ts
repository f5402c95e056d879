import { sha256 } from "../digest.ts"
import { accountPath, parseAccountPath } from "./account-path.ts"

/**
 * Where rows of files of call detail records stand: `accounts/<account>/<file>/<day>/<cut>-<origin>-<from>-<to>-<description>.csv`, the
 * raw lines that one account and day have in the bytes from `from` up to `to` of a file. The file's name is without what rotation adds;
 * the origin tells files of that name apart, by what they begin with, and is the same for a copy. The description is
 * `tables/<file>/<description>.json` of the account `platform`: the names of the fields, delimiter and quote.
 */
export interface CsvPieceName {
  readonly stableId: string
  readonly file: string
  readonly day: string
  readonly cut: string
  readonly origin: string
  readonly from: number
  readonly to: number
  readonly description: string
}

const fileName = /^(\d{8}T\d{6}Z)-([0-9a-f]{16})-(\d{15})-(\d{15})-([0-9a-f]{16})\.csv$/

export function csvPiecePath({ stableId, file, day, cut, origin, from, to, description }: CsvPieceName): Buffer {
  return accountPath(stableId, file, day, `${cut}-${origin}-${offset(from)}-${offset(to)}-${description}.csv`)
}

/** Null for a path that is no piece's. */
export function parseCsvPiecePath(path: Uint8Array): CsvPieceName | null {
  const parsed = parseAccountPath(path)
  const [file, day, name, ...more] = parsed?.rest ?? []
  const match = fileName.exec(name ?? "")
  if (parsed === null || file === undefined || day === undefined || match === null || more.length > 0) return null
  const [, cut = "", origin = "", from, to, description = ""] = match
  return { stableId: parsed.stableId, file, day, cut, origin, from: Number(from), to: Number(to), description }
}

/** A file's name without what rotation and compression add: a number, a date, both with what separates them. */
export function fileFamily(name: string): string {
  return name.replace(/\.gz$/, "").replace(/(?<=.)(?:[.-]\d[\d.T:_-]*)$/, "")
}

function offset(bytes: number): string {
  return String(bytes).padStart(15, "0")
}

/** Names a file by what it is: its source, its name without rotation, what it begins with, and how often it was written anew since. */
export function originOf(name: string, family: string, head: Uint8Array, life: number): Buffer {
  return Buffer.from(sha256(Buffer.concat([Buffer.from(`${name}\0${family}\0${String(life)}\0`), head])), "hex").subarray(0, 16)
}
