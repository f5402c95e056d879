import { lstatSync, mkdirSync, rmSync, utimesSync, writeFileSync } from "node:fs"
import { dirname, join } from "node:path"
import { sha256 } from "../../src/digest.ts"
import type { SourceItem } from "../../src/source/source.ts"

/** A file of a source: how it is captured, and how a restore must bring it back, as filesOf gives it. */
export interface SourceFile {
  readonly item: SourceItem
  readonly looks: string
}

export interface FileOptions {
  readonly stableId: string
  /** "" in state mode. */
  readonly day: string
  readonly path: string
  readonly changed: Date
  readonly compressible: boolean
}

/** Writes a file of a source; one that is there already is written over. */
export function writeSourceFile(root: string, bytes: Uint8Array, { stableId, day, path, changed, compressible }: FileOptions): SourceFile {
  const whole = join(root, path)
  mkdirSync(dirname(whole), { recursive: true })
  writeFileSync(whole, bytes)
  utimesSync(whole, changed, changed)
  const stat = lstatSync(whole, { bigint: true })
  const mode = Number(stat.mode & 0o7777n)
  const item: SourceItem = {
    ...{ stableId, day, compressible, mode, type: "file", size: bytes.length, mtimeNs: stat.mtimeNs, flags: [] },
    ...{ uid: Number(stat.uid), gid: Number(stat.gid), path: Buffer.from(path), content: { kind: "file", path: Buffer.from(whole) } },
    identity: { ctimeNs: stat.ctimeNs, inode: stat.ino, device: stat.dev },
  }
  return { item, looks: `${sha256(bytes)} ${mode.toString(8)} ${String(stat.mtimeNs / 1000n)}` }
}

export function removeSourceFile(root: string, path: string): void {
  rmSync(join(root, path))
}
