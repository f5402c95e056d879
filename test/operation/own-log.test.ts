import { mkdirSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { expect, test } from "vitest"
import { Catalog } from "../../src/catalog/catalog.ts"
import { parseCommitKey } from "../../src/format/names.ts"
import type { RunReport } from "../../src/report/run.ts"
import type { VaultSite } from "../../src/vault/vault.ts"
import { type Fault, faultySite } from "../fault/faulty-site.ts"
import { nothingYet, Scene } from "../fault/scene.ts"
import { type Lab, openLab, type WorldOptions } from "./lab.ts"

const away: Fault[] = (["put", "get", "head", "list"] as const).map((operation) => ({ operation, effect: "failed-before-applied" }))

function failing(sites: readonly VaultSite[], plan: readonly Fault[]): VaultSite[] {
  return sites.map((site) => ({ ...site, opened: { ...site.opened, site: faultySite(site.opened.site, plan) } }))
}

interface Agent {
  readonly scene: Scene
  run(file: string, options: WorldOptions): Promise<RunReport>
}

/** An agent whose log has some commits, two customers' registers among them. */
async function agentIn(lab: Lab): Promise<Agent> {
  const path = join(lab.directory, "source")
  const source = { kind: "directory" as const, path, template: "{account}/{yyyy}/{MM}/{dd}/{name}", settle: 0 }
  const scene = new Scene(lab, nothingYet, "agent")
  const run = async (file: string, options: WorldOptions): Promise<RunReport> => {
    mkdirSync(join(path, file, "2031/03/01"), { recursive: true })
    writeFileSync(join(path, file, "2031/03/01/one.wav"), file)
    return await lab.run({}, source, options)
  }
  using catalog = Catalog.open(scene.catalogPath, () => undefined)
  for (const file of ["acme", "umbrella"]) expect(await run(file, { sites: scene.sites(), catalog })).toMatchObject({ outcome: "ok" })
  return { scene, run }
}

function logAt(scene: Scene): string[] {
  return [...scene.objects.values()].flatMap((objects) => [...objects.keys()].filter((key) => parseCommitKey(key) !== null))
}

test("a host that lost its memory, and cannot read a commit that is listed, writes none: it may register keys", async () => {
  await using lab = await openLab()
  const { scene, run } = await agentIn(lab)
  const before = logAt(scene)
  using catalog = Catalog.open(":memory:", () => undefined)
  const sites = failing(scene.sites(), [{ operation: "get", key: /log\/0+1-/, effect: "failed-before-applied" }])
  expect(await run("acme", { sites, catalog })).toMatchObject({ outcome: "failed", failure: { code: "vault/unreachable" }, commits: [] })
  expect(logAt(scene)).toEqual(before)
  expect(await run("acme", { sites: scene.sites(), catalog })).toMatchObject({ outcome: "ok" })
})

test("while no site answers, a memory that lacks part of the log is not taken for the log", async () => {
  await using lab = await openLab()
  const { scene, run } = await agentIn(lab)
  using catalog = Catalog.open(scene.catalogPath, () => undefined)
  const sites = failing(scene.sites(), away)
  expect(await run("acme", { sites, catalog })).toMatchObject({ outcome: "failed", commits: [{ held: [], waits: true }] })
  catalog.run("DELETE FROM commit_object WHERE seq = 1")
  expect(await run("acme", { sites, catalog })).toMatchObject({ outcome: "failed", failure: { code: "vault/unreachable" }, commits: [] })
  expect(await run("acme", { sites: scene.sites(), catalog })).toMatchObject({ outcome: "ok" })
})
