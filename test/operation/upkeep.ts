import { mkdirSync, utimesSync, writeFileSync } from "node:fs"
import { dirname, join } from "node:path"
import { Catalog } from "../../src/catalog/catalog.ts"
import { backup } from "../../src/operation/backup.ts"
import type { UpkeepWorld } from "../../src/operation/world.ts"
import type { RunReport } from "../../src/report/run.ts"
import { openSource } from "../../src/source/open.ts"
import { breachesAt, commitsAt, restoredFrom, type Tree, unlike } from "../fault/closure.ts"
import { nothingYet, type Past, Scene } from "../fault/scene.ts"
import { Dice } from "../world/dice.ts"
import { jobOf, type Lab, type WorldOptions } from "./lab.ts"
import { filesOf } from "./trees.ts"

export const names = ["a", "b", "c"]
const datasets = ["call-recordings", "switch-config"]

/** Two customers' recordings and a switch's configuration, after two runs of each, at three sites. */
export interface Kept {
  readonly past: Past
  /** What a restore of each dataset brings back. */
  readonly truth: Readonly<Record<string, Tree>>
  /** What either source held at some time. */
  readonly versions: readonly Tree[]
}

/** One past of the lab. */
export async function keptIn(lab: Lab): Promise<Kept> {
  const scene = new Scene(lab, nothingYet, "made")
  const recordings = join(lab.directory, "recordings")
  const config = join(lab.directory, "config")
  const dice = new Dice("upkeep")
  const versions: Tree[] = []
  const write = (root: string, name: string, bytes: Uint8Array): void => {
    mkdirSync(dirname(join(root, name)), { recursive: true })
    writeFileSync(join(root, name), bytes)
    utimesSync(join(root, name), 1_930_000_000, 1_930_000_000)
  }
  const run = async (): Promise<void> => {
    const { world, end } = scene.begin()
    const template = "{account}/{yyyy}/{MM}/{dd}/{name}"
    const reports: RunReport[] = [
      await backup(jobOf({}), openSource({ kind: "directory", path: recordings, template, settle: 0 }, "archive", {}), world),
      await backup(jobOf({ mode: "state" }), openSource({ kind: "directory", path: config, account: "platform" }, "state", {}), world),
    ]
    end()
    for (const { outcome, failure } of reports) if (outcome !== "ok") throw new Error(`a run ended ${outcome}: ${failure?.message ?? ""}`)
    versions.push(filesOf(recordings), filesOf(config))
    lab.clock.advance(3_600_000)
  }
  write(recordings, "acme/2031/03/01/one.wav", dice.bytes(9000))
  write(recordings, "umbrella/2031/03/01/two.wav", dice.bytes(7000))
  write(config, "switch.xml", Buffer.from("<first/>".repeat(500)))
  await run()
  write(recordings, "acme/2031/03/02/three.wav", dice.bytes(5000))
  write(config, "routes.xml", Buffer.from("<routes/>".repeat(300)))
  await run()
  const truth = { "call-recordings": filesOf(recordings), "switch-config": filesOf(config) }
  return { past: scene.past(), truth, versions }
}

export interface UpkeepOptions extends WorldOptions {
  /** Sites of the datasets, where this host's jobs say so; null: of another host's. */
  readonly homes?: readonly string[] | null
}

/** A keeper's world on a catalog of its own. */
export function upkeepWorld(lab: Lab, { homes = names, ...options }: UpkeepOptions): UpkeepWorld & Disposable {
  const catalog = options.catalog ?? Catalog.open(":memory:", () => undefined)
  const world = lab.world({ ...options, catalog })
  return { ...world, homesOf: () => homes, [Symbol.dispose]: () => (options.catalog === undefined ? catalog.close() : undefined) }
}

/** Everything that is not as it must be: closure at each site, and a restore of every dataset from each of `whole` alone. */
export async function wrongs(scene: Scene, { versions, truth }: Kept, whole: readonly string[] = names): Promise<string[]> {
  const found: string[] = []
  for (const site of unlike(scene, whole)) {
    // Each snapshot alone is restored where closure itself is at stake; here the newest of each dataset will do.
    const known = new Set(commitsAt(scene, site).map(({ sha256 }) => sha256))
    found.push(...(await breachesAt(scene, site, versions, known)))
    for (const dataset of datasets) {
      const { files, failures } = await restoredFrom(scene, site, { dataset }, filesOf)
      found.push(...failures.map((failure) => `${site}: ${dataset}: ${failure}`))
      const expected = truth[dataset] ?? new Map<string, string>()
      const same = files.size === expected.size && [...expected].every(([path, looks]) => files.get(path) === looks)
      if (!same) found.push(`${site}: ${dataset}: other files came home`)
    }
  }
  return found
}

/** Every key at a site. */
export function keysAt(scene: Scene, site: string): string[] {
  return [...scene.objectsAt(site).keys()].sort()
}
