import { createHash } from "node:crypto"
import { type Dirent, lstatSync, readdirSync, readFileSync, readlinkSync } from "node:fs"
import { DatabaseSync } from "node:sqlite"
import { setImmediate as nextTurn } from "node:timers/promises"
import { databaseDigest } from "../world/database.ts"
import type { Expected } from "./provider.ts"

export interface Comparison {
  readonly equal: number
  readonly bytes: number
  /** At most a few, for a person to start with. */
  readonly wrong: readonly string[]
  readonly missing: readonly string[]
  readonly tooMany: readonly string[]
}

/** Compares what was restored with what the provider wrote: SHA-256, size, time, permissions, links; nothing less and nothing more. */
export async function compareTree(restored: string, { files, links }: Expected): Promise<Comparison> {
  const wrong: string[] = []
  const seen = new Set<string>()
  let bytes = 0
  for (const [index, path] of filesOf(restored).entries()) {
    if (index % 64 === 63) await nextTurn()
    seen.add(path)
    const file = files.get(path)
    if (file === undefined) continue
    const absolute = below(restored, path)
    const content = readFileSync(absolute)
    const stat = lstatSync(absolute)
    const isEqual =
      createHash("sha256").update(content).digest("hex") === file.sha256 &&
      (stat.mode & 0o7777) === file.mode &&
      Math.abs(stat.mtimeMs - file.mtimeMs) < 1
    if (isEqual) bytes += content.length
    else wrong.push(path)
  }
  const restoredLinks = linksOf(restored)
  for (const [path, target] of links) if (restoredLinks.get(path) !== target) wrong.push(path)
  return {
    equal: [...seen].filter((path) => files.has(path)).length - wrong.filter((path) => files.has(path)).length,
    bytes,
    wrong,
    missing: [...files.keys()].filter((path) => !seen.has(path)),
    tooMany: [...[...seen].filter((path) => !files.has(path)), ...[...restoredLinks.keys()].filter((path) => !links.has(path))],
  }
}

export function isWhole({ equal, wrong, missing, tooMany }: Comparison, { files }: Expected): boolean {
  return equal === files.size && wrong.length + missing.length + tooMany.length === 0
}

export function differences({ wrong, missing, tooMany }: Comparison): string {
  const part = (what: string, paths: readonly string[]): string[] =>
    paths.length === 0 ? [] : [`${String(paths.length)} ${what}, such as ${JSON.stringify(paths[0])}`]
  return [...part("wrong", wrong), ...part("missing", missing), ...part("too many", tooMany)].join("; ")
}

/** Whether SQLite itself finds the database whole, and whether its rows are those of this digest. */
export function compareDatabase(path: string, digest: string): { readonly integrity: string; readonly rowsEqual: boolean } {
  using database = new DatabaseSync(path, { readOnly: true })
  const row = database.prepare("PRAGMA integrity_check").get()
  return { integrity: String(row?.integrity_check), rowsEqual: databaseDigest(path) === digest }
}

/** Every path below a directory that is a regular file, one character per byte. */
export function filesOf(root: string): string[] {
  return entriesOf(root).flatMap(([path, entry]) => (entry.isFile() ? [path] : []))
}

/** Every symbolic link below a directory, and what it points to. */
export function linksOf(root: string): Map<string, string> {
  const links = entriesOf(root).filter(([, entry]) => entry.isSymbolicLink())
  return new Map(links.map(([path]) => [path, readlinkSync(below(root, path))]))
}

function entriesOf(root: string): [string, Dirent<Buffer>][] {
  const walk = (prefix: string): [string, Dirent<Buffer>][] => {
    return readdirSync(below(root, prefix), { withFileTypes: true, encoding: "buffer" }).flatMap((entry) => {
      const path = `${prefix}${entry.name.toString("latin1")}`
      const own: [string, Dirent<Buffer>] = [path, entry]
      return entry.isDirectory() ? [own, ...walk(`${path}/`)] : [own]
    })
  }
  return walk("")
}

function below(root: string, path: string): Buffer {
  return Buffer.concat([Buffer.from(`${root}/`), Buffer.from(path, "latin1")])
}
