import { mkdirSync, writeFileSync } from "node:fs"
import { dirname, join } from "node:path"
import { expect, test } from "vitest"
import { packBufferBytes } from "../../src/limits.ts"
import { backup } from "../../src/operation/backup.ts"
import { restore } from "../../src/operation/restore.ts"
import type { RunReport } from "../../src/report/run.ts"
import { memorySite } from "../../src/site/memory.ts"
import type { OpenedSite } from "../../src/site/site.ts"
import { openSource } from "../../src/source/open.ts"
import { PackBuffers } from "../../src/stream/pool.ts"
import { jobOf, type Lab, openLab, vaultSites, type WorldOptions } from "../operation/lab.ts"
import { faultySite } from "./faulty-site.ts"

const template = "{account}/archive/{yyyy}/{Mon}/{dd}/{name}"

function write(lab: Lab, path: string): string {
  const root = join(lab.directory, "recordings")
  mkdirSync(dirname(join(root, path)), { recursive: true })
  writeFileSync(join(root, path), path)
  return root
}

/** Two classes: of what belongs to a customer, and of what belongs to nobody. */
async function twoClasses(lab: Lab, buffers: PackBuffers, options: WorldOptions = {}): Promise<RunReport> {
  write(lab, "stray.wav")
  const path = write(lab, "maple.example/archive/2026/Nov/03/call.wav")
  const source = openSource({ kind: "directory", path, template, settle: 0 }, "archive", {})
  return await backup(jobOf({}), source, { ...lab.world(options), buffers })
}

test("a commit over more classes than there are buffers is made with those there are", { timeout: 20_000 }, async () => {
  await using lab = await openLab()
  const report = await twoClasses(lab, new PackBuffers(1, packBufferBytes))
  expect(report).toMatchObject({ captured: { files: 2 }, commits: [{ durable: true }] })
  const target = { path: join(lab.directory, "out"), owners: false }
  const restored = await restore({ dataset: "call-recordings", identities: [lab.escrow] }, target, lab.world())
  expect(restored).toMatchObject({ outcome: "ok", restored: { files: 2 } })
})

test("a commit that failed keeps no buffer from the next run", { timeout: 20_000 }, async () => {
  await using lab = await openLab()
  const buffers = new PackBuffers(2, packBufferBytes)
  const sites = ["a", "b", "c"].map((name): [string, OpenedSite] => {
    const opened = memorySite(name, lab.clock)
    return [name, { ...opened, site: faultySite(opened.site, [{ operation: "put", key: /\/meta\//, effect: "failed-before-applied" }]) }]
  })
  const report = await twoClasses(lab, buffers, { sites: vaultSites(Object.fromEntries(sites)) })
  expect(report).toMatchObject({ outcome: "failed", failure: { message: expect.stringMatching(/held by no site/) } })
  await Promise.all([buffers.take(), buffers.take()])
})

/** Sites of which the first fails with what is a bug at its first read of a pack; it says when others are read, and how many are under way. */
function brokenSite(opened: OpenedSite): { readonly site: OpenedSite; readonly begun: () => number; readonly underWay: () => number } {
  let begun = 0
  let underWay = 0
  const get: OpenedSite["site"]["get"] = async (key, options) => {
    if (!key.includes("/pack/")) return await opened.site.get(key, options)
    begun += 1
    if (begun === 1) throw new Error("a bug")
    underWay += 1
    await new Promise((resolve) => setTimeout(resolve, 50))
    underWay -= 1
    return await opened.site.get(key, options)
  }
  const { name, put, head, list } = opened.site
  const site = { name, put: put.bind(opened.site), head: head.bind(opened.site), list: list.bind(opened.site), get }
  return { site: { ...opened, site }, begun: () => begun, underWay: () => underWay }
}

test("a restore that failed fetches nothing behind its caller's back", async () => {
  await using lab = await openLab()
  const objects = new Map()
  const opened = memorySite("a", lab.clock, objects)
  const options = { sites: vaultSites({ a: opened }), durable: { copies: 1, providers: 1 } }
  for (let day = 10; day < 18; day++) {
    const path = write(lab, `maple.example/archive/2026/Nov/${String(day)}/call.wav`)
    await lab.run({}, { kind: "directory", path, template, settle: 0 }, options)
  }
  const { site, begun, underWay } = brokenSite(opened)
  const world = lab.world({ ...options, sites: vaultSites({ a: site }) })
  const target = { path: join(lab.directory, "out"), owners: false }
  await expect(restore({ dataset: "call-recordings", identities: [lab.escrow] }, target, world)).rejects.toThrow("a bug")
  const then = begun()
  expect(underWay()).toBe(0)
  await new Promise((resolve) => setTimeout(resolve, 200))
  expect(begun()).toBe(then)
  expect(then).toBeLessThan(8)
})
