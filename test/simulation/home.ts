import { mkdtempSync, rmSync } from "node:fs"
import { join } from "node:path"
import { Catalog } from "../../src/catalog/catalog.ts"
import { JobError } from "../../src/errors.ts"
import type { Identity } from "../../src/key/recipient.ts"
import { restore } from "../../src/operation/restore.ts"
import { type MemoryObjects, memorySite } from "../../src/site/memory.ts"
import type { Tree } from "../fault/closure.ts"
import { type Lab, vaultSites } from "../operation/lab.ts"
import { filesOf } from "../operation/trees.ts"
import type { SiteName } from "./plan.ts"

export interface Homecoming {
  readonly dataset: string
  readonly identity: Identity
  readonly moment: number
  /** What the sites hold that are left. */
  readonly sites: ReadonlyMap<SiteName, MemoryObjects>
}

/** A restore of everything, by someone who has nothing but these sites and one identity, and what the restore says is wrong. */
export async function bringHome(
  lab: Lab,
  { dataset, identity, moment, sites }: Homecoming,
): Promise<{ readonly files: Tree; readonly problems: readonly string[] }> {
  using catalog = Catalog.open(":memory:", () => undefined)
  const opened = Object.fromEntries([...sites].map(([name, objects]) => [name, memorySite(name, lab.clock, objects)]))
  const world = { ...lab.world({ sites: vaultSites(opened), catalog, spool: null }), tell: () => undefined }
  const target = mkdtempSync(join(lab.directory, "home-"))
  try {
    const request = { dataset, identities: [identity], asOf: new Date(moment) }
    const { lost, unreachable, refused } = await restore(request, { path: target, owners: false }, world)
    // What could not be read at the source by then is missing and no problem, though the restore is partial for it.
    return { files: filesOf(target), problems: [...lost, ...unreachable, ...refused].map(({ path, detail }) => `${path}: ${detail}`) }
  } catch (error) {
    // Whether there should have been something is for the caller to say.
    if (error instanceof JobError && error.code === "job/not-found") return { files: new Map(), problems: [] }
    throw error
  } finally {
    rmSync(target, { recursive: true, force: true })
  }
}
