import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterEach, beforeEach, expect, test } from "vitest"
import { type LedgerEvent, parseLine } from "../../src/ledger/entry.ts"
import { Ledger } from "../../src/ledger/ledger.ts"
import { verifyLedger } from "../../src/ledger/verify.ts"
import { anchorLedger, readAnchors } from "../../src/operation/ledger.ts"
import { OwnLog } from "../../src/operation/own-log.ts"
import type { AgentWorld } from "../../src/operation/world.ts"
import { type Lab, openLab } from "./lab.ts"

let folder: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "ledger-"))
})
afterEach(() => rmSync(folder, { recursive: true }))

const dayMs = 86_400_000
const event: LedgerEvent = { what: "restore", subject: "cdrs", who: "ada", outcome: "ok", details: {} }

/** An agent's world on a host with a ledger, kept for 180 days. */
function worldWith(lab: Lab, ledger: Ledger): AgentWorld {
  const by = () => ({ who: "root", host: "pbx-1", time: lab.clock.now() })
  return {
    ...lab.world(),
    ledger: {
      head: () => ledger.head(),
      firstAfter: (n) => ledger.firstAfter(n),
      prune: (anchored) => void ledger.prune(new Date(lab.clock.now().getTime() - 180 * dayMs), anchored, by()),
    },
  }
}

function append(lab: Lab, ledger: Ledger): void {
  ledger.append(event, { host: "pbx-1", time: lab.clock.now() })
}

async function anchor(world: AgentWorld): Promise<void> {
  await anchorLedger(world, await OwnLog.read(world))
}

test("the head of the ledger is signed where an entry has waited a day for it, and an auditor reads it from the sites", async () => {
  await using lab = await openLab()
  using ledger = Ledger.open(join(folder, "ledger.sqlite"))
  const world = worldWith(lab, ledger)
  append(lab, ledger)
  lab.clock.advance(dayMs - 1)
  await anchor(world)
  expect(await readAnchors(world, "pbx-1")).toEqual([])
  append(lab, ledger)
  lab.clock.advance(1)
  await anchor(world)
  expect(await readAnchors(world, "pbx-1")).toMatchObject([{ n: 2 }])
  lab.clock.advance(dayMs)
  await anchor(world)
  append(lab, ledger)
  await anchor(world)
  lab.clock.advance(dayMs)
  await anchor(world)
  const anchors = await readAnchors(world, "pbx-1")
  expect(anchors).toMatchObject([{ n: 2 }, { n: 3, sha256: ledger.head().sha256 }])
  expect(verifyLedger(ledger.lines(), ledger.floor(), anchors)).toMatchObject({ anchored: 2, problems: [] })
})

test("entries go only when they are old enough and what follows from them is signed at enough sites", async () => {
  await using lab = await openLab()
  using ledger = Ledger.open(join(folder, "ledger.sqlite"))
  append(lab, ledger)
  lab.clock.advance(181 * dayMs)
  append(lab, ledger)
  const world = worldWith(lab, ledger)
  const [one] = world.everywhere.sites
  if (one === undefined) throw new Error("no site")
  const alone = { ...world.everywhere, sites: [one] }
  await anchor({ ...world, everywhere: alone, vault: alone })
  expect([...ledger.lines()]).toHaveLength(2)
  append(lab, ledger)
  lab.clock.advance(dayMs)
  await anchor(world)
  expect([...ledger.lines()].map(({ line }) => parseLine(line)?.what)).toEqual(["restore", "restore", "pruned"])
  expect(verifyLedger(ledger.lines(), ledger.floor(), await readAnchors(world, "pbx-1")).problems).toEqual([])
})

test("a host that was set back is told so, and its ledger is found to have gone on twice", async () => {
  await using lab = await openLab()
  using ledger = Ledger.open(join(folder, "ledger.sqlite"))
  for (let entries = 0; entries < 3; entries++) append(lab, ledger)
  lab.clock.advance(dayMs)
  await anchor(worldWith(lab, ledger))
  using image = Ledger.open(join(folder, "image.sqlite"))
  append(lab, image)
  const world = worldWith(lab, image)
  await anchor(world)
  expect(lab.events).toContainEqual({ type: "warning", message: expect.stringContaining("was the machine set back?") })
  for (let entries = 0; entries < 3; entries++) append(lab, image)
  lab.clock.advance(dayMs)
  await anchor(world)
  const anchors = await readAnchors(world, "pbx-1")
  expect(anchors.map(({ n }) => n)).toEqual([3, 4])
  expect(verifyLedger(image.lines(), image.floor(), anchors).problems).toMatchObject([{ kind: "rewritten", n: 3 }])
})

test("where no site takes the record, the run goes on and nothing is pruned", async () => {
  await using lab = await openLab()
  using ledger = Ledger.open(join(folder, "ledger.sqlite"))
  append(lab, ledger)
  lab.clock.advance(200 * dayMs)
  const world = worldWith(lab, ledger)
  const log = await OwnLog.read(world)
  const none = { ...world.everywhere, sites: [] }
  await anchorLedger({ ...world, everywhere: none, vault: none }, log)
  expect([...ledger.lines()]).toHaveLength(1)
})
