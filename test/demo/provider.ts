import { mkdir, writeFile } from "node:fs/promises"
import { stringify } from "yaml"
import type { Tree, WorldFile } from "../world/disk.ts"
import { advance, buildWorld, cdrTemplate, recordingsTemplate, type World } from "../world/world.ts"
import { linksOf } from "./compare.ts"
import { firstSites as sites } from "./sites.ts"

export const jobs = ["call-recordings", "cdr-files", "voicemail-db", "switch-config"] as const
export type JobName = (typeof jobs)[number]

/** What must come back, as the invented provider wrote it. */
export interface Expected {
  /** By path, one character per byte; of an archive every file that was ever there, in its newest form. */
  readonly files: ReadonlyMap<string, WorldFile>
  readonly links: ReadonlyMap<string, string>
}

const treeOf: Readonly<Partial<Record<JobName, Tree>>> = { "call-recordings": "recordings", "cdr-files": "cdr", "switch-config": "config" }

/** An invented voice provider, and the memory of all it ever had on its disks. */
export class Provider {
  readonly world: World
  readonly #ever = new Map<string, WorldFile>()
  #databaseDigest = ""

  private constructor(world: World) {
    this.world = world
    this.#remember()
  }

  static async build(root: string, seed: string, now: Date): Promise<Provider> {
    return new Provider(await buildWorld(root, { seed, now, ...size }))
  }

  /** One day of a provider's life; gives how many recordings and call record files are new or changed. */
  async day(): Promise<Readonly<Record<Tree, number>>> {
    const { added, changed } = await advance(this.world, 1)
    this.#remember()
    const touched = [...added, ...changed]
    const of = (tree: Tree): number => touched.filter((key) => key.startsWith(`${tree}/`)).length
    return { recordings: of("recordings"), cdr: of("cdr"), config: of("config") }
  }

  count(tree: Tree): number {
    return [...this.world.files.values()].filter((file) => file.tree === tree).length
  }

  get bytes(): number {
    return [...this.world.files.values()].reduce((sum, file) => sum + file.size, 0)
  }

  /** Rows of every table, as they were at the last backup. */
  get databaseDigest(): string {
    return this.#databaseDigest
  }

  /** To be asked while the source is still there. */
  expected(job: JobName): Expected {
    const tree = treeOf[job]
    const all = job === "switch-config" ? this.world.files : this.#ever
    const files = [...all.values()].filter((file) => file.tree === tree)
    return {
      files: new Map(files.map((file) => [file.path.toString("latin1"), file])),
      links: job === "switch-config" ? linksOf(this.world.config) : new Map(),
    }
  }

  #remember(): void {
    for (const [key, file] of this.world.files) this.#ever.set(key, file)
    this.#databaseDigest = this.world.databaseDigest()
  }
}

const size = { accounts: 12, recordings: 400, bytes: 36_000_000, days: 7 } as const

/** Files that no call made; the first run finds them and says so. */
export const strays = ["upload.wav", "*/welcome.wav", "*/archive/*/Feb/30/*"]

export async function writeJobs(directory: string, world: World, options: { readonly exclude?: readonly string[] } = {}): Promise<void> {
  await mkdir(directory, { recursive: true })
  // One second, because the demo cannot wait five minutes for a call to be over.
  const calls = { kind: "directory", timezone: world.timezone, settle: "1s" }
  const recordings = { ...calls, path: world.recordings, template: recordingsTemplate, ...options }
  const written: Readonly<Partial<Record<JobName, object>>> = {
    "call-recordings": { version: 1, mode: "archive", source: recordings, class: "recordings-90", sites },
    "cdr-files": { version: 1, mode: "archive", source: { ...calls, path: world.cdr, template: cdrTemplate }, class: "cdrs-400", sites },
    "voicemail-db": {
      version: 1,
      mode: "state",
      source: { kind: "sqlite", path: world.database, account: "mixed", name: "voicemail.db" },
      class: "mixed-28",
      sites,
    },
  }
  for (const [name, job] of Object.entries(written)) await writeFile(`${directory}/${name}.yaml`, stringify(job))
}
