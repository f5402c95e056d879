import { presenceListedPerKeyMax, presenceListMin } from "../limits.ts"
import type { CallOptions, ObjectInfo, Site } from "../site/site.ts"

export interface Presence {
  readonly present: ReadonlyMap<string, ObjectInfo>
  /** In the order asked for, each once; with those that are there, but in a storage class that answers no restore. */
  readonly missing: readonly string[]
}

/**
 * Which of the keys a site holds now, by asking the site: by listing where many keys share a folder, one by one where few do.
 * Rejects where the site cannot say: what could not be asked for is not missing.
 */
export async function heldAt(site: Site, keys: Iterable<string>, options: CallOptions): Promise<Presence> {
  const wanted = new Set(keys)
  const present = new Map<string, ObjectInfo>()
  const { folders, single } = byFolder(wanted)
  for (const [folder, inFolder] of folders) {
    const undecided = await findByListing(site, folder, inFolder, present, options)
    await findOneByOne(site, undecided, present, options)
  }
  await findOneByOne(site, single, present, options)
  return { present, missing: [...wanted].filter((key) => !present.has(key)) }
}

/** HEAD requests made at once; the site's own limit decides how many are in flight. */
const headBatch = 64

async function findOneByOne(site: Site, keys: readonly string[], present: Map<string, ObjectInfo>, options: CallOptions): Promise<void> {
  for (let start = 0; start < keys.length; start += headBatch) {
    const infos = await Promise.all(keys.slice(start, start + headBatch).map((key) => site.head(key, options)))
    for (const info of infos) if (info !== null && info.frozen === undefined) present.set(info.key, info)
  }
}

/** Resolves to the keys that were not decided, because listing turned out to cost more than asking. */
async function findByListing(
  site: Site,
  folder: string,
  keys: readonly string[],
  present: Map<string, ObjectInfo>,
  options: CallOptions,
): Promise<string[]> {
  const undecided = new Set(keys)
  const last = keys.reduce((a, b) => (a < b ? b : a))
  let listed = 0
  for await (const info of site.list(folder, options)) {
    if (undecided.delete(info.key) && info.frozen === undefined) present.set(info.key, info)
    if (undecided.size === 0 || info.key >= last) return []
    listed += 1
    // A listing is in key order: what comes before this key and was not met is not there.
    if (listed >= keys.length * presenceListedPerKeyMax) return [...undecided].filter((key) => key > info.key)
  }
  return []
}

/** Folders with enough keys to be listed; folders with fewer are counted to the one above, and at the top are asked for singly. */
function byFolder(keys: Iterable<string>): { folders: Map<string, string[]>; single: string[] } {
  const levels: Map<string, string[]>[] = []
  for (const key of keys) addTo(levelAt(levels, depthOf(key)), folderOf(key), [key])
  const folders = new Map<string, string[]>()
  const single: string[] = []
  for (let depth = levels.length - 1; depth >= 0; depth--) {
    for (const [folder, inFolder] of levelAt(levels, depth)) {
      if (inFolder.length >= presenceListMin) folders.set(folder, inFolder)
      // Above `v1/<agent>/` and `v1/keys/` a listing would go through what belongs to others.
      else if (depth <= 2) for (const key of inFolder) single.push(key)
      else addTo(levelAt(levels, depth - 1), folderOf(folder.slice(0, -1)), inFolder)
    }
  }
  return { folders, single }
}

/** Folders that are so many below the top, with the keys counted to them. */
function levelAt(levels: Map<string, string[]>[], depth: number): Map<string, string[]> {
  const level = levels[depth] ?? new Map<string, string[]>()
  levels[depth] = level
  return level
}

function addTo(groups: Map<string, string[]>, folder: string, keys: readonly string[]): void {
  const group = groups.get(folder)
  if (group === undefined) groups.set(folder, [...keys])
  else for (const key of keys) group.push(key)
}

function folderOf(key: string): string {
  return key.slice(0, key.lastIndexOf("/") + 1)
}

function depthOf(key: string): number {
  return key.split("/").length - 1
}
