import { z } from "zod"
import { sha256 } from "../digest.ts"
import type { Commit } from "../format/commit.ts"
import { parseCommitKey } from "../format/names.ts"
import type { Catalog } from "./catalog.ts"
import { blobOf, numberOf, textOf } from "./rows.ts"

// A process that goes on for long reads its log again and again.
const checkedHere = new WeakMap<Catalog, Map<string, Commit>>()

/** The commits read so far, so that only new ones are fetched. Whoever recalls one checks again that it is signed. */
export function rememberedCommits(catalog: Catalog): {
  recall(key: string): Uint8Array | undefined
  remember(key: string, bytes: Uint8Array): void
  readonly checked: Map<string, Commit>
} {
  const checked = checkedHere.get(catalog) ?? new Map<string, Commit>()
  checkedHere.set(catalog, checked)
  return {
    checked,
    recall(key) {
      const row = catalog.get("SELECT bytes FROM commit_object WHERE key = ?", key)
      return row === undefined ? undefined : blobOf(row, "bytes")
    },
    remember(key, bytes) {
      const name = parseCommitKey(key)
      if (name === null) return
      catalog.run(
        "INSERT OR IGNORE INTO commit_object (sha256, key, agent, seq, time, bytes) VALUES (?, ?, ?, ?, ?, ?)",
        sha256(bytes),
        key,
        name.agent,
        name.seq,
        timeOf(bytes),
        bytes,
      )
    },
  }
}

/** The commits of an agent that are remembered, as a site would list them. */
export function rememberedKeys(
  catalog: Catalog,
  agent: string,
): { readonly key: string; readonly bytes: number; readonly storedAt: Date }[] {
  return catalog
    .all("SELECT key, length(bytes) AS bytes, time FROM commit_object WHERE agent = ? ORDER BY key", agent)
    .map((row) => ({ key: textOf(row, "key"), bytes: numberOf(row, "bytes"), storedAt: new Date(textOf(row, "time")) }))
}

function timeOf(bytes: Uint8Array): string {
  const [line = ""] = Buffer.from(bytes).toString("utf8").split("\n", 1)
  return z.object({ time: z.string() }).parse(JSON.parse(line)).time
}

/** The highest place in an agent's log that the catalog knows; 0 where it knows none. */
export function highestRemembered(catalog: Catalog, agent: string): number {
  const row = catalog.get("SELECT coalesce(max(seq), 0) AS seq FROM commit_object WHERE agent = ?", agent)
  return row === undefined ? 0 : numberOf(row, "seq")
}
