import { mkdtempSync, rmSync } from "node:fs"
import { join } from "node:path"
import { sha256 } from "../../src/digest.ts"
import {
  type Commit,
  type ControlCommit,
  decodeCommit,
  isBackup,
  isControl,
  isKeyRecord,
  lostKeysOf,
  packNameOf,
} from "../../src/format/commit.ts"
import { packKey, parseCommitKey } from "../../src/format/names.ts"
import { restore } from "../../src/operation/restore.ts"
import type { MemoryObjects } from "../../src/site/memory.ts"
import { filesOf } from "../operation/trees.ts"
import type { Scene } from "./scene.ts"

/** What a source looked like at one time: every path with what a restore must bring back, as treeOf gives it. */
export type Tree = ReadonlyMap<string, string>

/**
 * What a site lists and cannot deliver, as sentences; none where every commit has its packs and key objects there, byte for byte, and
 * its snapshot can be restored from this site alone, to nothing but what `versions` of the source held. Snapshots named in `restored`
 * were restored before and are not again.
 */
export async function breachesAt(scene: Scene, site: string, versions: readonly Tree[], restored = new Set<string>()): Promise<string[]> {
  const breaches: string[] = []
  const commits = commitsAt(scene, site)
  const registered: string[] = []
  const lost = lostKeysOf(commits)
  for (const commit of commits) {
    if (isControl(commit)) registered.push(...keysOf(commit).filter((key) => !lost.has(key)))
    const packs = commit.body.packs.map((pack) => packKey(packNameOf(commit.body.agent, pack)))
    for (const key of [...packs, ...registered]) breaches.push(...flawOf(scene, site, key).map((flaw) => `${nameOf(commit)}: ${flaw}`))
  }
  for (const commit of commits.filter(isBackup)) {
    if (restored.has(commit.sha256)) continue
    restored.add(commit.sha256)
    const { files, failures } = await restoredFrom(scene, site, { dataset: commit.body.dataset, only: commit.sha256 })
    // A run that found nothing new commits too, and from its commit alone there is nothing to bring.
    const all = failures.filter((failure) => !failure.endsWith("the chosen snapshot holds nothing"))
    breaches.push(...all.map((failure) => `${nameOf(commit)}: ${failure}`))
    for (const [path, looks] of files) {
      if (!versions.some((tree) => tree.get(path) === looks)) breaches.push(`${nameOf(commit)}: ${path} is ${looks}, as it never was`)
    }
  }
  return breaches.map((breach) => `${site}: ${breach}`)
}

/** The sites without those that hold the same as one before: to who has but one site, byte for byte the same is the same site. */
export function unlike(scene: Scene, sites: readonly string[]): string[] {
  return sites.filter((site, index) => {
    const objects = scene.objectsAt(site)
    return !sites.slice(0, index).some((other) => holdSame(objects, scene.objectsAt(other)))
  })
}

function holdSame(some: MemoryObjects, others: MemoryObjects): boolean {
  if (some.size !== others.size) return false
  for (const [key, { bytes, sha256 }] of some) {
    const other = others.get(key)
    if (other?.sha256 !== sha256 || Buffer.compare(other.bytes, bytes) !== 0) return false
  }
  return true
}

function keysOf(commit: Commit<ControlCommit>): string[] {
  return commit.body.records.filter(isKeyRecord).map(({ object }) => object)
}

export function commitsAt(scene: Scene, site: string): Commit[] {
  const entries = [...scene.objectsAt(site)].filter(([key]) => parseCommitKey(key) !== null).sort(([a], [b]) => (a < b ? -1 : 1))
  return entries.map(([, { bytes }]) => decodeCommit(bytes, () => [scene.lab.agentKey.publicKey]))
}

function flawOf(scene: Scene, site: string, key: string): string[] {
  const kept = scene.objectsAt(site).get(key)
  if (kept === undefined) return [`${key} is not there`]
  const digest = sha256(kept.bytes)
  return key.includes(digest.slice(0, 32)) ? [] : [`${key} has other bytes`]
}

function nameOf({ body }: Commit): string {
  return `commit ${String(body.seq)} (${body.kind})`
}

/** A restore that has one site and nothing else. */
export async function restoredFrom(
  scene: Scene,
  site: string,
  choice: { readonly dataset: string; readonly only?: string },
  look: (path: string) => Tree = filesOf,
): Promise<{ readonly files: Tree; readonly failures: string[] }> {
  const target = mkdtempSync(join(scene.lab.directory, "home-"))
  const reader = scene.reader(site)
  try {
    const report = await restore({ ...choice, identities: [scene.lab.escrow] }, { path: target, owners: false }, reader.world)
    const problems = [...report.lost, ...report.refused].map(({ path, detail }) => `${path}: ${detail}`)
    return { files: look(target), failures: report.outcome === "ok" ? problems : [`restore ${report.outcome}`, ...problems] }
  } catch (error) {
    return { files: new Map(), failures: [`restore: ${error instanceof Error ? error.message : String(error)}`] }
  } finally {
    reader.end()
    rmSync(target, { recursive: true, force: true })
  }
}
