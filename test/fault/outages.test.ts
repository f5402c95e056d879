import { afterAll, beforeAll, describe, expect, test } from "vitest"
import { systemClock } from "../../src/clock.ts"
import { accessKey, secretKey } from "../server/s3/connect.ts"
import { Beginning } from "./beginning.ts"
import { dayMs, startService } from "./clients.ts"
import { commitsAt } from "./closure.ts"
import { startChild } from "./frozen.ts"
import { clients } from "./matrix.ts"
import { type RunOptions, siteNames } from "./trio.ts"

let beginning: Beginning
beforeAll(async () => {
  beginning = await Beginning.make()
})
afterAll(async () => {
  await beginning[Symbol.asyncDispose]()
})

/** Something that happens while the directory is given its second object: in the middle of a run. */
function midway(happens: () => void): NonNullable<RunOptions["wrap"]> {
  return (sites) => {
    const { dir } = sites
    if (dir === undefined) throw new Error("no directory")
    let puts = 0
    const put: typeof dir.site.put = async (key, bytes, options) => {
      puts += 1
      if (puts === 2) happens()
      return await dir.site.put(key, bytes, options)
    }
    const { get, head, list, name } = dir.site
    return { ...sites, dir: { ...dir, site: { name, put, get, head, list } } }
  }
}

describe.for(clients)("a %s server that is frozen", (client) => {
  test.for(["before a run", "in the middle of one"])("%s is missed and named, and has everything after the next", async (moment) => {
    const other = client === "s3" ? "gcs" : "s3"
    await using child = await startChild(client, { copyOf: beginning.services[client].directory })
    await using well = await startService(other, { copyOf: beginning.services[other].directory })
    const endpoints = { s3: child.endpoint, gcs: child.endpoint, [other]: well.endpoint }
    const trio = beginning.at(endpoints)
    let frozen = false
    const freeze = () => {
      frozen = true
      child.freeze()
    }
    if (moment === "before a run") freeze()
    const deadlines = { [client]: 100 }
    const report = await trio.run({ deadlines, ...(!frozen && { wrap: midway(freeze) }) })
    expect(frozen).toBe(true)
    expect(report).toMatchObject({ outcome: "ok" })
    const sites = new Map(report.sites.map((site) => [site.name, site]))
    expect([sites.get("dir")?.held, sites.get(other)?.held, sites.get(client)?.held]).toEqual([true, true, false])
    expect(sites.get(client)?.reason).toMatch(/no answer within|no answer in time|left alone/)
    const { files } = await trio.restore([client, other, "dir"], deadlines)
    expect(files, "a restore that asks the frozen one first").toEqual(trio.tree)
    child.thaw()
    await beginning.expectSafe(trio, report, moment)
    await beginning.expectConverged(trio, moment)
  })
})

const hourMs = 3_600_000
test.for([10 * 365 * dayMs, -10 * 365 * dayMs, hourMs, -hourMs])(
  "clocks of the buckets that are off by %i ms change nothing",
  async (off) => {
    const clock = { now: () => new Date(systemClock.now().getTime() + off) }
    await using world = await beginning.again({ clock })
    await using right = await beginning.again()
    const [report, { captured, stored }] = [await world.trio.run(), await right.trio.run()]
    expect(report).toMatchObject({ outcome: "ok", captured: { files: captured.files }, stored: { packs: stored.packs } })
    expect(report.sites).toMatchObject(siteNames.map((name) => ({ name, held: true })))
    const { files } = await world.trio.restore(["s3", "gcs"])
    expect(files).toEqual(world.trio.tree)
    await beginning.expectSafe(world.trio, report, String(off))
    await beginning.expectConverged(world.trio, String(off))
  },
)

test("credentials that are taken away in the middle of a run: the bucket is missed, and named as denied", async () => {
  await using world = await beginning.again()
  const { credentials } = world.services.s3
  const report = await world.trio.run({ wrap: midway(() => credentials.clear()) })
  expect(report).toMatchObject({ outcome: "ok" })
  const s3 = report.sites.find(({ name }) => name === "s3")
  expect(s3).toMatchObject({ held: false, reason: expect.stringMatching(/InvalidAccessKeyId|403 Forbidden/) })
  credentials.set(accessKey, secretKey)
  await beginning.expectSafe(world.trio, report, "credentials")
  await beginning.expectConverged(world.trio, "credentials")
})

describe.for([
  { who: "an agent that remembers", forgetful: false },
  { who: "an agent that has lost its memory", forgetful: true },
])("listings of every site that lack what came last, before $who", ({ forgetful }) => {
  test.for([1, 100])("%i objects: nothing is lost, and no site lists what it lacks", async (missing) => {
    await using world = await beginning.again()
    for (const client of clients)
      world.services[client].faults.plan({ operation: listing[client], action: { kind: "stale-list", missing } })
    const report = await world.trio.run({ forgetful, names: ["s3", "gcs"] })
    expect(report).toMatchObject({ outcome: "ok" })
    for (const client of clients) {
      expect(world.services[client].faults.unmet).toEqual([])
      world.services[client].faults.clear()
    }
    await beginning.expectSafe(world.trio, report, `${String(missing)} missing`)
    await beginning.expectConverged(world.trio, `${String(missing)} missing`)
    const scene = await world.trio.look()
    const before = commitsAt(beginning.kept, "s3").map(({ sha256 }) => sha256)
    expect(commitsAt(scene, "dir").map(({ sha256 }) => sha256)).toEqual(expect.arrayContaining(before))
  })
})

const listing = { s3: "ListObjectsV2", gcs: "storage.objects.list" } as const
