import type { SourceMemory } from "../../src/source/source.ts"

/** Remembers everything until it is asked to forget, as a catalog does whose items were all captured. */
export function memory(names: ReadonlyMap<string, string> = new Map()): SourceMemory {
  const collections = new Map<string, Map<string, { readonly value: Uint8Array; readonly day: string }>>()
  const of = (collection: string) => {
    const known = collections.get(collection) ?? new Map<string, { readonly value: Uint8Array; readonly day: string }>()
    collections.set(collection, known)
    return known
  }
  const text = (bytes: Uint8Array) => Buffer.from(bytes).toString("latin1")
  return {
    recall: (collection, keys) => keys.map((key) => of(collection).get(text(key))?.value ?? null),
    entries: (collection, prefix) =>
      [...of(collection)]
        .filter(([key]) => key.startsWith(text(prefix)))
        .toSorted(([a], [b]) => (a < b ? -1 : 1))
        .map(([key, { value }]) => [Buffer.from(key, "latin1"), value] as const),
    remember(collection, entries, { day }) {
      for (const [key, value] of entries) of(collection).set(text(key), { value, day })
    },
    forgetBefore(collection, day) {
      for (const [key, entry] of of(collection)) if (entry.day < day) of(collection).delete(key)
    },
    accountNamed: (name) => names.get(name),
  }
}
