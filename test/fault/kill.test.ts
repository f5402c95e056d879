import { type ChildProcess, spawn } from "node:child_process"
import { once } from "node:events"
import { mkdirSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { setTimeout as pause } from "node:timers/promises"
import { fileURLToPath } from "node:url"
import { expect, test } from "vitest"
import { sha256 } from "../../src/digest.ts"
import { systemRandom } from "../../src/random.ts"
import { directorySite } from "../../src/site/directory.ts"
import type { MemoryObjects } from "../../src/site/memory.ts"
import { type Lab, openLab } from "../operation/lab.ts"
import { treeOf } from "../operation/trees.ts"
import { Dice } from "../world/dice.ts"
import { buildTree } from "../world/tree.ts"
import { breachesAt, restoredFrom } from "./closure.ts"
import { Scene } from "./scene.ts"
import type { VictimOrders } from "./victim.ts"

const names = ["a", "b", "c"]
const deaths = 10

function start(lab: Lab, orders: VictimOrders): ChildProcess {
  const file = join(lab.directory, "orders.json")
  writeFileSync(file, JSON.stringify(orders))
  return spawn(process.execPath, [fileURLToPath(new URL("./victim.ts", import.meta.url)), file], { stdio: ["ignore", "pipe", "inherit"] })
}

/** Lets it run for so long after it began its work; gives the outcome it printed, or null where it had to be killed. */
async function run(lab: Lab, orders: VictimOrders, forMs: number): Promise<string | null> {
  const child = start(lab, orders)
  const closed = once(child, "close")
  let printed = ""
  const begun = new Promise<void>((resolve) => {
    child.stdout?.on("data", (chunk) => {
      printed += String(chunk)
      resolve()
    })
  })
  await Promise.race([begun, closed])
  if (Number.isFinite(forMs)) await Promise.race([closed, pause(forMs)])
  const killed = Number.isFinite(forMs) && child.exitCode === null && child.kill("SIGKILL")
  await closed
  return killed ? null : (printed.split("\n")[1] ?? "")
}

/** What lies in the directories, as a scene whose sites hold it. */
async function sceneOf(lab: Lab, orders: VictimOrders): Promise<Scene> {
  const sites = new Map<string, MemoryObjects>()
  for (const [name, path] of Object.entries(orders.sites)) {
    const { site } = await directorySite({ name, path, readOnly: true }, systemRandom)
    const objects: MemoryObjects = new Map()
    for await (const { key, storedAt } of site.list("v1/")) {
      const bytes = await site.get(key)
      objects.set(key, { bytes, sha256: sha256(bytes), storedAt })
    }
    sites.set(name, objects)
  }
  return new Scene(lab, { sites, catalog: null }, "look")
}

test("a process killed with SIGKILL ten times, whenever it was, leaves only what can be restored, and then finishes", async () => {
  await using lab = await openLab({ now: new Date("2026-01-01T00:00:00Z") })
  const source = join(lab.directory, "source")
  await buildTree(source, { seed: "kill", files: 80, bytes: 8_000_000, perDirectory: 20 })
  const tree = treeOf(source)
  const sites = Object.fromEntries(names.map((name) => [name, join(lab.directory, "sites", name)]))
  for (const path of Object.values(sites)) mkdirSync(path, { recursive: true })
  const scratch = join(lab.directory, "scratch")
  mkdirSync(scratch)
  const orders: VictimOrders = {
    root: lab.root.fingerprint,
    signingKey: lab.agentKey.exportPrivate(),
    rootObjects: lab.rootObjects.map(({ key, bytes }) => ({ key, bytes: Buffer.from(bytes).toString("base64") })),
    source: { kind: "directory", path: source, account: "platform" },
    sites,
    catalog: join(lab.directory, "victim.sqlite"),
    scratch,
  }
  const dice = new Dice("moments")
  const versions = [tree]
  const restored = new Map(names.map((name) => [name, new Set<string>()]))
  let killed = 0
  for (let attempt = 0; killed < deaths && attempt < 3 * deaths; attempt++) {
    if ((await run(lab, orders, dice.between(0, 500))) === null) killed += 1
    else {
      // It was done before its end came: give the next one something to do.
      await buildTree(join(source, String(attempt)), { seed: String(attempt), files: 40, bytes: 4_000_000 })
      versions.push(treeOf(source))
    }
    const scene = await sceneOf(lab, orders)
    for (const name of names) expect(await breachesAt(scene, name, versions, restored.get(name))).toEqual([])
  }
  expect(killed).toBe(deaths)
  expect(await run(lab, orders, Number.POSITIVE_INFINITY)).toBe("ok")
  const scene = await sceneOf(lab, orders)
  for (const name of names) {
    const { files, failures } = await restoredFrom(scene, name, { dataset: "switch-config" }, treeOf)
    expect(failures).toEqual([])
    expect(files).toEqual(treeOf(source))
  }
}, 180_000)
