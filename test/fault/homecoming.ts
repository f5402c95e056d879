import { mkdtempSync, rmSync } from "node:fs"
import { join } from "node:path"
import { BackupError } from "../../src/errors.ts"
import { type RestoreRequest, restore } from "../../src/operation/restore.ts"
import type { RestoreReport } from "../../src/report/restore.ts"
import { filesOf } from "../operation/trees.ts"
import type { Tree } from "./closure.ts"
import type { Scene } from "./scene.ts"

/** How a restore from damaged sites ended: with files and a report, or with a refusal. Anything else it threw is a bug, and thrown. */
export interface Homecoming {
  readonly files: Tree
  readonly report: RestoreReport | null
  readonly refusal: BackupError | null
  /** Everything it said of sites, objects and files on the way. */
  readonly said: readonly string[]
}

export async function comeHome(scene: Scene, sites: readonly string[], request: Partial<RestoreRequest> = {}): Promise<Homecoming> {
  const target = mkdtempSync(join(scene.lab.directory, "home-"))
  const reader = scene.reader(...sites)
  const before = scene.lab.events.length
  const whole = { dataset: "call-recordings", identities: [scene.lab.escrow], ...request }
  let report: RestoreReport | null = null
  let refusal: BackupError | null = null
  try {
    report = await restore(whole, { path: target, owners: false }, reader.world)
  } catch (error) {
    if (!(error instanceof BackupError)) throw error
    refusal = error
  } finally {
    reader.end()
  }
  const said = scene.lab.events
    .slice(before)
    .flatMap((event) => ("message" in event ? [event.message] : "detail" in event ? [event.detail] : []))
  const files = filesOf(target)
  rmSync(target, { recursive: true, force: true })
  return { files, report, refusal, said }
}

/** What came home and is not what it was; and what is missing without a word. None is the promise. */
export function untruths({ files, report, refusal, said }: Homecoming, truth: Tree, older: readonly Tree[] = []): string[] {
  const wrong = [...files]
    .filter(([path, looks]) => ![truth, ...older].some((tree) => tree.get(path) === looks))
    .map(([path, looks]) => `${path} came home as ${looks}`)
  const missing = [...truth.keys()].filter((path) => files.get(path) !== truth.get(path))
  const confessed =
    refusal !== null || report?.outcome !== "ok" || (report.warnings.length + report.failovers.length > 0 && said.length > 0)
  return [...wrong, ...(missing.length > 0 && !confessed ? missing.map((path) => `${path} is missing and nobody says so`) : [])]
}
