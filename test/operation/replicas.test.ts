import { expect, test } from "vitest"
import { replicas } from "../../src/operation/replicas.ts"
import type { UpkeepWorld } from "../../src/operation/world.ts"
import { memorySite } from "../../src/site/memory.ts"
import type { OpenedSite } from "../../src/site/site.ts"
import type { Found, Source } from "../../src/source/source.ts"
import { faultySite } from "../fault/faulty-site.ts"
import { type Lab, openLab, vaultSites } from "./lab.ts"

function sourceOf(name: string): Source {
  return {
    description: name,
    async *capture(): AsyncGenerator<Found> {
      yield {
        item: {
          ...{ path: Buffer.from(name), type: "file", stableId: "platform", day: "2031-03-04", size: null, mtimeNs: 0n },
          ...{ mode: 0o600, uid: 0, gid: 0, compressible: true, flags: [] },
          content: {
            kind: "stream",
            open: async function* () {
              yield Buffer.from(name.repeat(100))
            },
          },
        },
      }
    },
  }
}

function upkeep(lab: Lab, sites: Readonly<Record<string, OpenedSite>>): UpkeepWorld {
  return { ...lab.world({ sites: vaultSites(sites), spool: null }), rootObjects: [], homesOf: () => null }
}

function silent(opened: OpenedSite): OpenedSite {
  return { ...opened, site: faultySite(opened.site, [{ operation: "list", effect: "failed-before-applied" }]) }
}

test("the replica matrix says of each dataset what each site holds, and since when one is behind", async () => {
  await using lab = await openLab()
  const sites = { a: memorySite("a", lab.clock), b: memorySite("b", lab.clock), c: memorySite("c", lab.clock) }
  await lab.run({ mode: "archive", name: "cdrs" }, sourceOf("one"), { sites: vaultSites(sites) })
  lab.clock.advance(3_600_000)
  const missedSince = lab.clock.now().toISOString()
  await lab.run({ mode: "archive", name: "cdrs" }, sourceOf("two"), { sites: vaultSites({ a: sites.a, b: sites.b }) })
  lab.clock.advance(3_600_000)
  await lab.run({ mode: "archive", name: "recordings" }, sourceOf("three"), { sites: vaultSites({ a: sites.a, b: sites.b }) })

  const { rows, sites: states } = await replicas(upkeep(lab, sites))
  const whole = { behindSince: null }
  expect(rows).toMatchObject([
    { agent: "pbx-1", dataset: null, at: { a: { owed: 1, held: 1, ...whole }, c: { owed: 1, held: 1, ...whole } } },
    {
      dataset: "cdrs",
      at: { a: { owed: 2, held: 2, ...whole }, b: { owed: 2, held: 2 }, c: { owed: 2, held: 1, behindSince: missedSince } },
    },
    { dataset: "recordings", at: { a: { owed: 1, held: 1, ...whole }, b: { owed: 1, held: 1 }, c: { owed: 0, held: 0 } } },
  ])
  expect(states.map(({ state }) => state)).toEqual(["answers", "answers", "answers"])
})

test("a site that does not answer is unknown, never empty", async () => {
  await using lab = await openLab()
  const sites = { a: memorySite("a", lab.clock), b: memorySite("b", lab.clock), c: memorySite("c", lab.clock) }
  await lab.run({ mode: "archive", name: "cdrs" }, sourceOf("one"), { sites: vaultSites(sites) })
  const { rows, sites: states } = await replicas(upkeep(lab, { ...sites, b: silent(sites.b) }))
  expect(rows.map(({ at }) => at.b?.held)).toEqual([null, null])
  expect(states.find(({ name }) => name === "b")).toMatchObject({ state: "silent", reason: expect.stringContaining("injected fault") })
})
