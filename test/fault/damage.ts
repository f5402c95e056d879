import { parseCommitKey, parseKeyObjectKey, parsePackKey } from "../../src/format/names.ts"
import type { MemoryObjects } from "../../src/site/memory.ts"

/** The kinds of object that lie at a site, by their names. */
export const kinds = ["repository", "trust", "key object", "commit", "data pack", "meta pack"] as const
export type ObjectKind = (typeof kinds)[number]

export function kindOf(key: string): ObjectKind {
  if (key.startsWith("v1/repository-")) return "repository"
  if (key.startsWith("v1/trust/")) return "trust"
  if (parseKeyObjectKey(key) !== null) return "key object"
  if (parseCommitKey(key) !== null) return "commit"
  const pack = parsePackKey(key)
  if (pack === null) throw new Error(`${key}: what is this?`)
  return pack.kind === "meta" ? "meta pack" : "data pack"
}

export function keysOf(objects: MemoryObjects, kind: ObjectKind): string[] {
  return [...objects.keys()].filter((key) => kindOf(key) === kind).sort()
}

/** Puts other bytes under a name, as rot or an intruder does: what the site remembers of the object stays as it was. */
export function put(objects: MemoryObjects, key: string, bytes: Uint8Array): void {
  const kept = objects.get(key)
  if (kept === undefined) throw new Error(`${key} is not there`)
  objects.set(key, { ...kept, bytes })
}

export function bytesAt(objects: MemoryObjects, key: string): Uint8Array {
  const kept = objects.get(key)
  if (kept === undefined) throw new Error(`${key} is not there`)
  return kept.bytes
}

export function flipped(bytes: Uint8Array, index: number): Uint8Array {
  const copy = Uint8Array.from(bytes)
  copy[index] = (copy[index] ?? 0) ^ 1
  return copy
}
