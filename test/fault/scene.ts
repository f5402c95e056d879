import { copyFileSync, existsSync } from "node:fs"
import { join } from "node:path"
import { Catalog } from "../../src/catalog/catalog.ts"
import type { AgentWorld } from "../../src/operation/world.ts"
import { type MemoryObjects, memorySite } from "../../src/site/memory.ts"
import type { VaultSite } from "../../src/vault/vault.ts"
import { type Lab, vaultSites, type WorldOptions } from "../operation/lab.ts"

/** What survives a process: the objects at the sites and the catalog's file. Copied, so that one past can have many futures. */
export interface Past {
  readonly sites: ReadonlyMap<string, MemoryObjects>
  /** null: the agent has not run yet. */
  readonly catalog: string | null
}

export const nothingYet: Past = { sites: new Map(["a", "b", "c"].map((name) => [name, new Map()])), catalog: null }

/** One future of a past: its own sites and its own catalog file, opened by one process after the other. */
export class Scene {
  readonly lab: Lab
  readonly objects: ReadonlyMap<string, MemoryObjects>
  readonly catalogPath: string

  constructor(lab: Lab, past: Past, name: string) {
    this.lab = lab
    this.objects = new Map([...past.sites].map(([site, objects]) => [site, new Map(objects)]))
    this.catalogPath = join(lab.directory, `${name}.sqlite`)
    if (past.catalog !== null) copyFileSync(past.catalog, this.catalogPath)
  }

  /** The sites, or some of them, in the order of their names or as `first` begins it. */
  sites(names: readonly string[] = [...this.objects.keys()]): VaultSite[] {
    return vaultSites(Object.fromEntries(names.map((name) => [name, memorySite(name, this.lab.clock, this.objectsAt(name))])))
  }

  objectsAt(site: string): MemoryObjects {
    const objects = this.objects.get(site)
    if (objects === undefined) throw new Error(`no site ${site}`)
    return objects
  }

  /** A new process on the same state directory. */
  begin(options: Omit<WorldOptions, "catalog"> = {}): { readonly world: AgentWorld; end(): void } {
    const catalog = Catalog.open(this.catalogPath, (reason) => {
      throw new Error(`the catalog did not survive: ${reason}`)
    })
    return { world: this.lab.world({ sites: this.sites(), ...options, catalog }), end: () => catalog.close() }
  }

  /** Someone who has nothing but these sites, and keeps no memory. */
  reader(...sites: readonly string[]): { readonly world: AgentWorld; end(): void } {
    return this.forgetful({ sites: this.sites(sites) })
  }

  /** A process that remembers nothing, and will not. */
  forgetful(options: Omit<WorldOptions, "catalog">): { readonly world: AgentWorld; end(): void } {
    const catalog = Catalog.open(":memory:", () => undefined)
    return { world: this.lab.world({ spool: null, ...options, catalog }), end: () => catalog.close() }
  }

  past(): Past {
    if (existsSync(`${this.catalogPath}-wal`)) throw new Error("a process still has the catalog open")
    return { sites: this.objects, catalog: this.catalogPath }
  }
}
