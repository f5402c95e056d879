import { mkdirSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { expect, test } from "vitest"
import { SiteError } from "../../src/errors.ts"
import { type Promised, witness } from "../../src/operation/witness.ts"
import type { WitnessReport } from "../../src/report/witness.ts"
import { memorySite } from "../../src/site/memory.ts"
import type { OpenedSite } from "../../src/site/site.ts"
import { type Lab, labClock, openLab, vaultSites } from "./lab.ts"

const hour = 3_600_000
const promised: Promised = { agent: "pbx-1", dataset: "switch-config", rpoMs: 6 * hour }

/** One run of the job, of what lies in the lab's directory. */
async function run(lab: Lab, options: Parameters<Lab["run"]>[2] = {}): Promise<string> {
  const path = join(lab.directory, "etc")
  mkdirSync(path, { recursive: true })
  writeFileSync(join(path, "a.xml"), lab.clock.now().toISOString())
  return (await lab.run({ mode: "state" }, { kind: "directory", path, account: "platform" }, options)).outcome
}

async function judged(lab: Lab, promise: Partial<Promised> = {}, options: Parameters<Lab["world"]>[0] = {}): Promise<WitnessReport> {
  return await witness([{ ...promised, ...promise }], lab.world(options))
}

test("an objective is kept while the newest complete snapshot at enough sites is young enough, by the sites' clocks", async () => {
  await using lab = await openLab()
  expect((await judged(lab)).datasets).toMatchObject([{ state: "never", newest: null }])
  expect(await run(lab)).toBe("ok")
  lab.clock.advance(6 * hour)
  expect((await judged(lab)).datasets).toMatchObject([{ state: "ok", why: null, newest: { held: ["a", "b", "c"], ageSeconds: 6 * 3600 } }])
  lab.clock.advance(1)
  expect((await judged(lab)).datasets).toMatchObject([{ state: "late", why: "6h 00m old" }])
})

test("a run that is partial, or at too few sites, keeps no objective", async () => {
  await using lab = await openLab()
  const world = lab.world()
  expect(await run(lab)).toBe("ok")
  lab.clock.advance(7 * hour)
  const [first] = world.vault.sites
  if (first === undefined) throw new Error("no site")
  expect(await run(lab, { sites: [first], everywhere: [first], durable: { copies: 1, providers: 1 } })).toBe("ok")
  expect((await judged(lab)).datasets).toMatchObject([{ state: "late", why: "7h 00m old; newer ones are partial, or at too few sites" }])
})

test("what other datasets and other agents do keeps nothing, and an agent that nobody trusts is never well", async () => {
  await using lab = await openLab()
  await run(lab)
  const report = await witness(
    [
      { ...promised, dataset: "cdrs" },
      { ...promised, agent: "pbx-2" },
      { ...promised, agent: "pbx-9" },
    ],
    lab.world(),
  )
  expect(report.datasets.map(({ state, why }) => [state, why])).toEqual([
    ["never", "no complete snapshot at enough sites"],
    ["never", "no complete snapshot at enough sites"],
    ["never", "the trust list names no agent pbx-9"],
  ])
})

test("where sites do not answer, what cannot be known is not called late, and what the others prove is enough", async () => {
  const clock = labClock(new Date("2031-03-04T12:00:00Z"))
  const opened = { a: memorySite("a", clock), b: memorySite("b", clock), c: memorySite("c", clock) }
  await using lab = await openLab({ sites: opened })
  await run(lab)
  const without = (...names: readonly string[]) => vaultSites({ ...opened, ...Object.fromEntries(names.map((name) => [name, dead(name)])) })
  expect((await judged(lab, {}, { sites: without("c") })).datasets).toMatchObject([{ state: "ok", newest: { held: ["a", "b"] } }])
  const few = await judged(lab, {}, { sites: without("b", "c") })
  expect(few.datasets).toMatchObject([{ state: "unknown", why: expect.stringContaining("2 sites did not answer") }])
  expect(few.unreadable.map(({ site }) => site)).toEqual(["b", "c"])
})

test("a site whose clock is ahead makes no old snapshot young", async () => {
  await using lab = await openLab()
  await run(lab)
  lab.clock.advance(-2 * hour)
  expect((await judged(lab)).datasets).toMatchObject([{ state: "unknown", why: expect.stringContaining("one of the clocks is wrong") }])
})

/** A site of which nothing can be read. */
function dead(name: string): OpenedSite {
  const away = (): never => {
    throw new SiteError(name, "site/unavailable", "no answer")
  }
  const reject = () => Promise.reject(new SiteError(name, "site/unavailable", "no answer"))
  return { ...memorySite(name, labClock(new Date(0))), site: { name, put: reject, get: reject, head: reject, list: away } }
}
