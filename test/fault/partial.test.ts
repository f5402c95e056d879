import { mkdirSync, utimesSync, writeFileSync } from "node:fs"
import { dirname, join } from "node:path"
import { setTimeout as pause } from "node:timers/promises"
import { afterAll, beforeAll, describe, expect, test } from "vitest"
import { systemSleep } from "../../src/clock.ts"
import { sha256 } from "../../src/digest.ts"
import { SiteError } from "../../src/errors.ts"
import { backup } from "../../src/operation/backup.ts"
import { systemRandom } from "../../src/random.ts"
import type { RunReport } from "../../src/report/run.ts"
import { openedRetrying } from "../../src/site/retry.ts"
import type { OpenedSite, SiteOperation } from "../../src/site/site.ts"
import { openSource } from "../../src/source/open.ts"
import { WorkerPool } from "../../src/stream/pool.ts"
import type { VaultSite } from "../../src/vault/vault.ts"
import { jobOf, type Lab, openLab, type WorldOptions } from "../operation/lab.ts"
import { filesOf } from "../operation/trees.ts"
import { Dice } from "../world/dice.ts"
import { breachesAt, commitsAt, restoredFrom, unlike } from "./closure.ts"
import { keysOf } from "./damage.ts"
import { type Fault, type FaultySite, faultySite } from "./faulty-site.ts"
import { nothingYet, Scene } from "./scene.ts"

const names = ["a", "b", "c"]
const bufferBytes = 1024 * 1024
let pool: WorkerPool
beforeAll(() => {
  pool = new WorkerPool(2)
})
afterAll(async () => {
  await pool[Symbol.asyncDispose]()
})

interface Sickness {
  readonly name: string
  readonly faults: readonly Fault[]
  /** What the report says of the site. */
  readonly said: RegExp
}

const every: readonly SiteOperation[] = ["put", "get", "head", "list"]
const dead: Sickness = {
  name: "dead",
  faults: every.map((operation) => ({ operation, effect: "failed-before-applied" })),
  said: /b: .*injected fault/,
}
const sicknesses: readonly Sickness[] = [
  dead,
  { name: "full", faults: [{ operation: "put", effect: "failed-before-applied", code: "site/full" }], said: /b: .*injected/ },
  { name: "read-only", faults: [{ operation: "put", effect: "failed-before-applied", code: "site/denied" }], said: /b: .*injected/ },
  { name: "dead from its fourth object on", faults: fromFourth(), said: /b: .*injected/ },
  { name: "losing every answer", faults: [{ operation: "put", effect: "applied-then-failed" }], said: /b: .*injected/ },
  { name: "hanging at every put", faults: [{ operation: "put", effect: "hang" }], said: /b: .*put/ },
  {
    name: "without its commits",
    faults: [{ operation: "put", key: /\/log\//, effect: "failed-before-applied" }],
    said: /b: .*injected/,
  },
  { name: "without its key objects", faults: [{ operation: "put", key: /v1\/keys\//, effect: "failed-before-applied" }], said: /b: / },
  { name: "breaking off its listings", faults: [{ operation: "list", effect: "failed-before-applied" }], said: /b: list.*injected/ },
]

function fromFourth(): Fault[] {
  return Array.from({ length: 100 }, (_, index) => ({ operation: "put", nth: index + 4, effect: "failed-before-applied" }))
}

/** A source at three sites, some of which may be sick in a run. */
class Place {
  readonly lab: Lab
  readonly scene: Scene
  readonly path: string

  constructor(lab: Lab) {
    this.lab = lab
    this.path = join(lab.directory, "source")
    this.scene = new Scene(lab, nothingYet, "agent")
    this.write("acme/2031/03/01/one.wav", "one".repeat(2000))
    this.write("acme/2031/03/01/two.json", '{"call":2}')
    this.write("umbrella/2031/03/02/three.wav", "three".repeat(2000))
  }

  write(name: string, text: string | Uint8Array): void {
    const path = join(this.path, name)
    mkdirSync(dirname(path), { recursive: true })
    writeFileSync(path, text)
    utimesSync(path, 1_930_000_000, 1_930_000_000)
  }

  async run(
    sick: ReadonlyMap<string, readonly Fault[]> = new Map(),
    options: Pick<WorldOptions, "spool"> = {},
  ): Promise<RunReport & { readonly faulty: readonly FaultySite[] }> {
    const faulty: FaultySite[] = []
    const sites = this.scene.sites().map((site): VaultSite => {
      const faults = sick.get(site.name)
      if (faults === undefined) return site
      const wrapped = faultySite(site.opened.site, faults)
      faulty.push(wrapped)
      return { ...site, opened: this.#impatient({ ...site.opened, site: wrapped }) }
    })
    const { world, end } = this.scene.begin({ sites, ...options })
    const settings = { kind: "directory" as const, path: this.path, template: "{account}/{yyyy}/{MM}/{dd}/{name}", settle: 0 }
    const report = await backup(jobOf({ mode: "archive" }), openSource(settings, "archive", {}), world)
    end()
    this.lab.clock.advance(3_600_000)
    return { ...report, faulty }
  }

  // With a deadline, as every real site has one: a call that hangs is a call that failed.
  #impatient(opened: OpenedSite): OpenedSite {
    const policy = { attempts: 1, firstDelayMs: 1, maxDelayMs: 1, callTimeoutMs: 150, patienceMs: 3_600_000, retryAfterMaxMs: 60_000 }
    return openedRetrying(opened, policy, { sleep: systemSleep, random: systemRandom })
  }

  async expectClosure(): Promise<void> {
    for (const name of unlike(this.scene, names)) expect(await breachesAt(this.scene, name, [filesOf(this.path)])).toEqual([])
  }

  async expectWholeAt(sites: readonly string[]): Promise<void> {
    await this.expectClosure()
    for (const name of unlike(this.scene, sites)) {
      const { files, failures } = await restoredFrom(this.scene, name, { dataset: "call-recordings" })
      expect({ name, files, failures }).toEqual({ name, files: filesOf(this.path), failures: [] })
    }
  }
}

describe.for(sicknesses)("one site of three is $name", ({ faults, said, name }) => {
  test("the run is durable at the other two, says so, and the next one catches the site up", async () => {
    await using lab = await openLab({ pool, bufferBytes })
    const place = new Place(lab)
    const report = await place.run(new Map([["b", faults]]))
    expect(report).toMatchObject({ outcome: "ok", captured: { files: 3 } })
    expect(report.faulty.every(({ unmet }) => unmet.length < faults.length)).toBe(true)
    // A commit whose answer was lost may well be there: then it is there with all it needs.
    if (name !== "breaking off its listings") {
      const sick = report.sites.find((site) => site.name === "b")
      expect(sick?.held).toBe(false)
      expect(sick?.reason).toMatch(said)
    }
    await place.expectWholeAt(["a", "c"])

    const next = await place.run()
    expect(next).toMatchObject({ outcome: "ok", captured: { files: 0 } })
    await place.expectWholeAt(names)
  })

  test("in its second run only: the same", async () => {
    await using lab = await openLab({ pool, bufferBytes })
    const place = new Place(lab)
    await place.run()
    place.write("initech/2031/03/03/four.wav", "four".repeat(1000))
    const report = await place.run(new Map([["b", faults]]))
    expect(report).toMatchObject({ outcome: "ok", captured: { files: 1 } })
    await place.expectWholeAt(["a", "c"])
    await place.run()
    await place.expectWholeAt(names)
  })
})

test("two sites of three are dead: the run fails, nothing is lost, and the next one reads nothing twice", async () => {
  await using lab = await openLab({ pool, bufferBytes })
  const place = new Place(lab)
  await place.run()
  place.write("acme/2031/03/03/four.wav", "four".repeat(1000))
  const report = await place.run(new Map(["a", "b"].map((name) => [name, dead.faults])))
  expect(report).toMatchObject({ outcome: "failed", failure: { code: "job/not-durable" } })
  expect(report.failure?.hint).toBeTruthy()
  await place.expectClosure()

  const next = await place.run()
  expect(next).toMatchObject({ outcome: "ok", captured: { files: 0 }, stored: { packs: 0 } })
  await place.expectWholeAt(names)
})

test("two sites of three die at each object in turn: never durable at one, never twice, and the next run finishes", async () => {
  for (let nth = 1; ; nth++) {
    const place = new Place(await openLab({ pool, bufferBytes }))
    const faults: Fault[] = Array.from({ length: 60 }, (_, index) => ({
      operation: "put",
      nth: nth + index,
      effect: "failed-before-applied",
    }))
    const report = await place.run(new Map(["b", "c"].map((name) => [name, faults])))
    const met = report.faulty.every(({ unmet }) => unmet.length < faults.length)
    if (!met) {
      expect(nth).toBeGreaterThan(8)
      expect(report.outcome).toBe("ok")
      await place.lab[Symbol.asyncDispose]()
      break
    }
    expect(report, `dead from put ${String(nth)}`).toMatchObject({ outcome: "failed", failure: { code: "job/not-durable" } })
    await place.expectClosure()
    expect(await place.run(), `after dying from put ${String(nth)}`).toMatchObject({ outcome: "ok" })
    await place.expectWholeAt(names)
    await place.lab[Symbol.asyncDispose]()
  }
})

test("the register of accounts reached one site only: nothing is encrypted to keys that could be lost with it", async () => {
  await using lab = await openLab({ pool, bufferBytes })
  const place = new Place(lab)
  const refused: Fault[] = [{ operation: "put", key: /\/log\/000000000001-/, nth: 1, effect: "failed-before-applied" }]
  const report = await place.run(new Map(["b", "c"].map((name) => [name, refused])))
  expect(report.faulty.every(({ unmet }) => unmet.length === 0)).toBe(true)
  expect(report).toMatchObject({ outcome: "failed", failure: { code: "job/not-durable" }, stored: { packs: 0 } })
  for (const name of names) expect(keysOf(place.scene.objectsAt(name), "data pack")).toEqual([])
  expect(await place.run()).toMatchObject({ outcome: "ok", captured: { files: 3 } })
  await place.expectWholeAt(names)
})

test("a site that never takes the commit which registers keys gets no snapshot that needs them", async () => {
  await using lab = await openLab({ pool, bufferBytes })
  const place = new Place(lab)
  // An answer, and so no reason to leave the site alone: it takes everything else.
  const refused: Fault[] = [{ operation: "put", key: /\/log\/000000000001-/, effect: "failed-before-applied", code: "site/denied" }]
  const report = await place.run(new Map([["c", refused]]))
  expect(report.faulty.every(({ unmet }) => unmet.length === 0)).toBe(true)
  expect(report).toMatchObject({ outcome: "ok", captured: { files: 3 } })
  expect([...place.scene.objectsAt("c").keys()].filter((key) => key.includes("/log/"))).toEqual([])
  await place.expectClosure()
  await place.run()
  await place.expectWholeAt(names)
})

test("a commit reached one site only, which then dies, and nothing waits: the next run commits the same files where it can", async () => {
  await using lab = await openLab({ pool, bufferBytes })
  const place = new Place(lab)
  await place.run()
  place.write("acme/2031/03/03/four.wav", "four".repeat(1000))
  const refused: Fault[] = [{ operation: "put", key: /\/log\//, effect: "failed-before-applied" }]
  expect(await place.run(new Map(["b", "c"].map((name) => [name, refused])), { spool: null })).toMatchObject({ outcome: "failed" })
  expect(await place.run(new Map([["a", dead.faults]]))).toMatchObject({ outcome: "ok", captured: { files: 0 } })
  await place.expectWholeAt(["b", "c"])
})

test("all sites are dead before the run: it fails at once, having read nothing", async () => {
  await using lab = await openLab({ pool, bufferBytes })
  const place = new Place(lab)
  const report = await place.run(new Map(names.map((name) => [name, dead.faults])))
  expect(report).toMatchObject({ outcome: "failed", captured: { files: 0 }, failure: { code: "vault/unreachable" } })
  expect(await place.run()).toMatchObject({ outcome: "ok" })
  await place.expectWholeAt(names)
})

test("each call to a site fails in turn, before it is applied or after: the run is durable, and no site lists too much", async () => {
  for (const effect of ["failed-before-applied", "applied-then-failed"] as const) {
    for (let call = 1; ; call++) {
      const place = new Place(await openLab({ pool, bufferBytes }))
      const report = await place.run(new Map([["b", [{ call, effect }]]]))
      expect(report, `${effect}, call ${String(call)}`).toMatchObject({ outcome: "ok", captured: { files: 3 } })
      await place.expectClosure()
      const met = report.faulty.every(({ unmet }) => unmet.length === 0)
      if (met) {
        expect(await place.run()).toMatchObject({ outcome: "ok", captured: { files: 0 } })
        await place.expectWholeAt(["b"])
      }
      expect(commitsAt(place.scene, "a").length).toBeGreaterThan(1)
      await place.lab[Symbol.asyncDispose]()
      if (met) continue
      expect(call).toBeGreaterThan(15)
      break
    }
  }
})

test("a site that is so slow that it reads its bytes long after it was given up still reads those it was given", async () => {
  await using lab = await openLab({ pool })
  const place = new Place(lab)
  const dice = new Dice("slow")
  for (let file = 0; file < 7; file++) place.write(`acme/2031/03/04/${String(file)}.wav`, dice.bytes(9 * 1024 * 1024))
  const late: Promise<boolean>[] = []
  const [a, b, c] = place.scene.sites()
  if (a === undefined || b === undefined || c === undefined) throw new Error("three sites")
  const slow: OpenedSite = {
    ...b.opened,
    site: {
      ...faultySite(b.opened.site, []),
      name: "b",
      async put(key, bytes, options) {
        if (!key.includes("/pack/")) return await b.opened.site.put(key, bytes, options)
        late.push(pause(1500).then(() => sha256(bytes) === options.sha256))
        throw new SiteError("b", "site/unavailable", `put ${key}: took too long`)
      },
    },
  }
  const { world, end } = place.scene.begin({ sites: [a, { ...b, opened: slow }, c] })
  const settings = { kind: "directory" as const, path: place.path, template: "{account}/{yyyy}/{MM}/{dd}/{name}", settle: 0 }
  const report = await backup(jobOf({ mode: "archive" }), openSource(settings, "archive", {}), world)
  expect(await Promise.all(late)).toEqual(late.map(() => true))
  expect(late.length).toBeGreaterThan(1)
  end()
  expect(report.outcome).toBe("ok")
})
