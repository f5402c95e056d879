import { rmSync } from "node:fs"
import { join } from "node:path"
import { Catalog } from "../../src/catalog/catalog.ts"
import { VaultError } from "../../src/errors.ts"
import { type BackupJob, backup } from "../../src/operation/backup.ts"
import { repair } from "../../src/operation/repair.ts"
import type { AgentWorld } from "../../src/operation/world.ts"
import type { RepairReport } from "../../src/report/repair.ts"
import type { RunReport } from "../../src/report/run.ts"
import type { Source } from "../../src/source/source.ts"
import { PackBuffers } from "../../src/stream/pool.ts"
import type { VaultSite } from "../../src/vault/vault.ts"
import { everything, Mortal } from "../fault/mortal.ts"
import type { Lab } from "../operation/lab.ts"
import { type Death, siteNames } from "./plan.ts"

/** No pack of this little world is larger: a buffer that a slow site may still read is replaced, and large ones are slow to make. */
const bufferBytes = 8 * 1024 * 1024

/** The machine that the agent runs on: its catalog and its spool outlive processes, and may be lost. */
export class Host {
  readonly #lab: Lab
  readonly #sites: readonly VaultSite[]
  readonly #catalogPath: string
  #catalog: Catalog
  #buffers = new PackBuffers(4, bufferBytes)

  constructor(lab: Lab, sites: readonly VaultSite[]) {
    this.#lab = lab
    this.#sites = sites
    this.#catalogPath = join(lab.directory, "agent.sqlite")
    this.#catalog = this.#open()
  }

  #open(): Catalog {
    return Catalog.open(this.#catalogPath, (reason) => {
      throw new Error(`the catalog did not survive: ${reason}`)
    })
  }

  #world(): AgentWorld {
    const world = this.#lab.world({ sites: this.#sites, catalog: this.#catalog })
    return { ...world, buffers: this.#buffers, tell: () => undefined }
  }

  async run(job: BackupJob, source: Source): Promise<RunReport> {
    return await backup(job, source, this.#world())
  }

  /** A run that dies there, and may take with it what the host remembers; a report where it ended before that. */
  async runUntil(death: Pick<Death, "kind" | "call" | "applied">, job: BackupJob, source: Source): Promise<RunReport | null> {
    const mortal = new Mortal(death, everything)
    const report = await mortal.outlive(backup(job, source, mortal.world(this.#world())))
    if (!mortal.met) return report
    // What the dead process was building lies in buffers of its own, and with its worker.
    this.#buffers = new PackBuffers(4, bufferBytes)
    await this.#lab.pool.abandon()
    this.#catalog.close()
    if (death.kind !== "killed") for (const suffix of ["", "-wal", "-shm"]) rmSync(this.#catalogPath + suffix, { force: true })
    if (death.kind === "killed, host lost") rmSync(join(this.#lab.directory, "spool"), { recursive: true, force: true })
    this.#catalog = this.#open()
    return null
  }

  /** null: no site answers. */
  async repair(full: boolean): Promise<RepairReport | null> {
    try {
      return await repair({ dryRun: false, full }, { ...this.#world(), homesOf: () => [...siteNames] })
    } catch (error) {
      if (error instanceof VaultError && error.code === "vault/unreachable") return null
      throw error
    }
  }

  close(): void {
    this.#catalog.close()
  }
}
