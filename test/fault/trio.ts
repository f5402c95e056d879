import { cpSync, mkdirSync, mkdtempSync, rmSync, utimesSync, writeFileSync } from "node:fs"
import { dirname, join } from "node:path"
import { sha256 } from "../../src/digest.ts"
import { backup } from "../../src/operation/backup.ts"
import { type RestoreRequest, restore } from "../../src/operation/restore.ts"
import { systemRandom } from "../../src/random.ts"
import type { RestoreReport } from "../../src/report/restore.ts"
import type { RunReport } from "../../src/report/run.ts"
import { directorySite } from "../../src/site/directory.ts"
import type { MemoryObjects } from "../../src/site/memory.ts"
import { openedRetrying } from "../../src/site/retry.ts"
import type { OpenedSite } from "../../src/site/site.ts"
import { openSource } from "../../src/source/open.ts"
import type { VaultSite } from "../../src/vault/vault.ts"
import { jobOf, type Lab, vaultSites } from "../operation/lab.ts"
import { filesOf } from "../operation/trees.ts"
import { connect } from "./clients.ts"
import type { Tree } from "./closure.ts"
import type { Client } from "./matrix.ts"
import { nothingYet, Scene } from "./scene.ts"

export const siteNames = ["dir", "s3", "gcs"] as const

type Opened = Readonly<Record<string, OpenedSite>>

type Deadlines = Readonly<Record<string, number>>

export interface RunOptions {
  /** Milliseconds that a call to a site may take; 30 s where none are given. */
  readonly deadlines?: Deadlines
  /** By an agent that has lost its memory. */
  readonly forgetful?: boolean
  /** The sites there are, in this order. */
  readonly names?: readonly string[]
  /** What is done to them before the run. */
  readonly wrap?: (sites: Opened) => Opened
}

const same = (sites: Opened): Opened => sites

function chosen(sites: Opened, names: readonly string[]): VaultSite[] {
  return vaultSites(Object.fromEntries(names.flatMap((name) => (sites[name] === undefined ? [] : [[name, sites[name]]]))))
}

/** An agent whose three sites are a directory, a bucket of S3's and one of GCS's, each spoken to by its real client. */
export class Trio {
  readonly lab: Lab
  readonly path: string
  readonly directory: string
  readonly #endpoints: Readonly<Record<Client, string>>
  readonly #agent: Scene

  /** `from`: another whose source, directory site and memory this one begins with. */
  constructor(lab: Lab, endpoints: Readonly<Record<Client, string>>, from?: Trio) {
    const root = mkdtempSync(join(lab.directory, "trio-"))
    this.lab = lab
    this.path = join(root, "source")
    this.directory = join(root, "site")
    this.#endpoints = endpoints
    this.#agent = new Scene(lab, from === undefined ? nothingYet : from.#agent.past(), `${root.slice(-6)}-agent`)
    if (from !== undefined) {
      cpSync(from.path, this.path, { recursive: true, preserveTimestamps: true })
      cpSync(from.directory, this.directory, { recursive: true })
      return
    }
    mkdirSync(this.directory)
    this.write("acme/2031/03/01/one.wav", "one".repeat(2000))
    this.write("acme/2031/03/01/two.json", '{"call":2}')
    this.write("umbrella/2031/03/02/three.wav", "three".repeat(2000))
  }

  write(name: string, text: string): void {
    const path = join(this.path, name)
    mkdirSync(dirname(path), { recursive: true })
    writeFileSync(path, text)
    utimesSync(path, 1_930_000_000, 1_930_000_000)
  }

  get tree(): Tree {
    return filesOf(this.path)
  }

  async run({ deadlines = {}, forgetful = false, names = siteNames, wrap = same }: RunOptions = {}): Promise<RunReport> {
    const sites = chosen(wrap(await this.sites(deadlines)), names)
    const { world, end } = forgetful ? this.#agent.forgetful({ sites }) : this.#agent.begin({ sites })
    const settings = { kind: "directory" as const, path: this.path, template: "{account}/{yyyy}/{MM}/{dd}/{name}", settle: 0 }
    try {
      return await backup(jobOf({ mode: "archive" }), openSource(settings, "archive", {}), world)
    } finally {
      end()
      this.lab.clock.advance(3_600_000)
    }
  }

  /** A restore by someone who has nothing but these sites, in this order. */
  async restore(names: readonly string[], deadlines: Deadlines = {}): Promise<{ readonly files: Tree; readonly report: RestoreReport }> {
    const target = mkdtempSync(join(this.lab.directory, "home-"))
    const { world, end } = this.#agent.forgetful({ sites: chosen(await this.sites(deadlines), names) })
    const request: RestoreRequest = { dataset: "call-recordings", identities: [this.lab.escrow] }
    try {
      const report = await restore(request, { path: target, owners: false }, world)
      return { files: filesOf(target), report }
    } finally {
      end()
      rmSync(target, { recursive: true, force: true })
    }
  }

  async sites(deadlines: Deadlines = {}): Promise<Opened> {
    function retrying(opened: OpenedSite): OpenedSite {
      const callTimeoutMs = deadlines[opened.site.name] ?? 30_000
      const policy = { attempts: 3, firstDelayMs: 1, maxDelayMs: 1, callTimeoutMs, patienceMs: 600_000, retryAfterMaxMs: 0 }
      return openedRetrying(opened, policy, { sleep: () => Promise.resolve(), random: systemRandom })
    }
    return {
      dir: retrying(await directorySite({ name: "dir", path: this.directory }, systemRandom)),
      s3: retrying(await connect("s3", "s3", this.#endpoints.s3)),
      gcs: retrying(await connect("gcs", "gcs", this.#endpoints.gcs)),
    }
  }

  /** What lies at the sites now, byte by byte, as a scene that holds it. */
  async look(): Promise<Scene> {
    const sites = new Map<string, MemoryObjects>()
    for (const [name, { site }] of Object.entries(await this.sites())) {
      const objects: MemoryObjects = new Map()
      for await (const { key, storedAt } of site.list("v1/")) {
        const bytes = await site.get(key)
        objects.set(key, { bytes, sha256: sha256(bytes), storedAt })
      }
      sites.set(name, objects)
    }
    return new Scene(this.lab, { sites, catalog: null }, "look")
  }
}
