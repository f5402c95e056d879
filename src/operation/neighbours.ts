import { hash } from "node:crypto"
import type { Found, SourceItem } from "../source/source.ts"

/** What is looked at together: files that stand side by side, of one account and day; or anything else by itself. */
export type Met = Found | { readonly stretch: readonly SourceItem[] }

const stretchItemsMax = 256
/** Fewer are asked about one by one. */
const stretchItemsMin = 8

/**
 * Gathers an archive's files into stretches. Where one ends follows from the files alone, so that the next run meets the same
 * stretches, except on a day to which files were added.
 */
export class Neighbours {
  #files: SourceItem[] = []

  /** Takes what the source says next, and puts what is complete by now into `met`. */
  next(found: Found, met: Met[]): void {
    if (!("item" in found) || found.item.type !== "file" || found.item.identity === undefined) {
      met.push(found)
      return
    }
    const [first] = this.#files
    const { item } = found
    const fits = first === undefined || (first.day === item.day && first.stableId === item.stableId)
    if (!fits || this.#files.length >= stretchItemsMax) this.end(met)
    this.#files.push(item)
  }

  /** Nothing more belongs to the stretch that was begun. */
  end(met: Met[]): void {
    const files = this.#files
    if (files.length >= stretchItemsMin) met.push({ stretch: files })
    else for (const item of files) met.push({ item })
    this.#files = []
  }
}

// Of each file eight bytes for each of: length of its path, size, mode, owner, group; then, as integers, its times and inode.
const numbers = 5
const integers = 3

/** Over all that tells an unchanged file, of every file of a stretch, and where they belong. */
export function sealOf(stretch: readonly SourceItem[]): Buffer {
  const fixed = new ArrayBuffer(stretch.length * (numbers + integers) * 8)
  const asNumbers = new Float64Array(fixed, 0, stretch.length * numbers)
  const asIntegers = new BigInt64Array(fixed, stretch.length * numbers * 8)
  const paths: Uint8Array[] = []
  let at = 0
  let place = 0
  for (const { path, size, mode, uid, gid, mtimeNs, identity } of stretch) {
    paths.push(path)
    asNumbers[at++] = path.length
    asNumbers[at++] = size ?? -1
    asNumbers[at++] = mode
    asNumbers[at++] = uid
    asNumbers[at++] = gid
    asIntegers[place++] = mtimeNs
    asIntegers[place++] = identity?.ctimeNs ?? 0n
    asIntegers[place++] = identity?.inode ?? 0n
  }
  const [first] = stretch
  const belongs = Buffer.from(JSON.stringify([first?.stableId, first?.day]))
  return hash("sha256", Buffer.concat([new Uint8Array(fixed), ...paths, belongs]), "buffer")
}
