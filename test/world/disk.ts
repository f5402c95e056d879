import { createHash } from "node:crypto"
import { chmodSync, lchownSync, mkdirSync, readFileSync, rmSync, symlinkSync, utimesSync, writeFileSync } from "node:fs"

/** One file as it must come back. */
export interface WorldFile {
  /** Relative to its tree, raw bytes. */
  readonly path: Buffer
  readonly tree: Tree
  readonly sha256: string
  readonly size: number
  readonly mode: number
  readonly mtimeMs: number
}

export type Tree = "recordings" | "cdr" | "config"

/** A place for files that remembers what was written where. */
export class Disk {
  readonly root: string
  readonly #files = new Map<string, WorldFile>()
  readonly #directories = new Set<string>()
  readonly #isRoot = process.getuid?.() === 0

  constructor(root: string) {
    this.root = root
  }

  /** By tree and path, one character per byte: "recordings/maple-dental.example/…". */
  get files(): ReadonlyMap<string, WorldFile> {
    return this.#files
  }

  write(tree: Tree, path: Buffer | string, bytes: Uint8Array, how: { readonly mode?: number; readonly mtimeMs: number }): string {
    const relative = Buffer.from(path)
    const absolute = this.#absolute(tree, relative)
    this.#parent(absolute)
    const mode = how.mode ?? 0o660
    writeFileSync(absolute, bytes)
    this.#dress(absolute, mode)
    utimesSync(absolute, how.mtimeMs / 1000, how.mtimeMs / 1000)
    const key = keyOf(tree, relative)
    const sha256 = createHash("sha256").update(bytes).digest("hex")
    this.#files.set(key, { path: relative, tree, sha256, size: bytes.length, mode, mtimeMs: how.mtimeMs })
    return key
  }

  read(key: string): Buffer {
    return readFileSync(this.#locate(key))
  }

  remove(key: string): void {
    rmSync(this.#locate(key))
    this.#files.delete(key)
  }

  link(tree: Tree, path: string, target: string): void {
    const absolute = this.#absolute(tree, Buffer.from(path))
    this.#parent(absolute)
    symlinkSync(target, absolute)
    if (this.#isRoot) lchownSync(absolute, ownerId, ownerId)
  }

  directory(tree: Tree, path: string, mode: number): void {
    const absolute = this.#absolute(tree, Buffer.from(path))
    mkdirSync(absolute, { recursive: true })
    this.#dress(absolute, mode)
  }

  #locate(key: string): Buffer {
    return Buffer.concat([Buffer.from(`${this.root}/`), Buffer.from(key, "latin1")])
  }

  #absolute(tree: Tree, path: Buffer): Buffer {
    return Buffer.concat([Buffer.from(`${this.root}/${tree}/`), path])
  }

  #parent(absolute: Buffer): void {
    const parent = absolute.subarray(0, absolute.lastIndexOf("/"))
    const known = parent.toString("latin1")
    if (this.#directories.has(known)) return
    mkdirSync(parent, { recursive: true, mode: 0o770 })
    this.#directories.add(known)
  }

  #dress(absolute: Buffer, mode: number): void {
    if (this.#isRoot) lchownSync(absolute, ownerId, ownerId)
    chmodSync(absolute, mode)
  }
}

/** www-data on Debian; owners are set only where the process may. */
const ownerId = 33

function keyOf(tree: Tree, path: Buffer): string {
  return `${tree}/${path.toString("latin1")}`
}
