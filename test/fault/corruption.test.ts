import { mkdirSync, utimesSync, writeFileSync } from "node:fs"
import { dirname, join } from "node:path"
import { afterAll, beforeAll, describe, expect, test } from "vitest"
import { sha256 } from "../../src/digest.ts"
import { encodeBackupCommit, isBackup } from "../../src/format/commit.ts"
import { commitKey } from "../../src/format/names.ts"
import { generateSigningKey } from "../../src/key/signing.ts"
import { backup } from "../../src/operation/backup.ts"
import { randomId, systemRandom } from "../../src/random.ts"
import { memorySite } from "../../src/site/memory.ts"
import { openSource } from "../../src/source/open.ts"
import { SiteHealth } from "../../src/vault/health.ts"
import { fetchNamed } from "../../src/vault/named.ts"
import { readRoot } from "../../src/vault/root.ts"
import type { Vault } from "../../src/vault/vault.ts"
import { jobOf, type Lab, openLab } from "../operation/lab.ts"
import { filesOf } from "../operation/trees.ts"
import { Dice } from "../world/dice.ts"
import { commitsAt, type Tree } from "./closure.ts"
import { bytesAt, flipped, keysOf, kindOf, kinds, type ObjectKind, put } from "./damage.ts"
import { comeHome, untruths } from "./homecoming.ts"
import { nothingYet, type Past, Scene } from "./scene.ts"

const sites = ["a", "b", "c"]
/** What a restore reads of the sites. The root's objects it has from its configuration; they have a test of their own. */
const read = kinds.filter((kind) => kind !== "repository" && kind !== "trust")

let lab: Lab
let past: Past
let truth: Tree
let firstTruth: Tree
let next = 0

beforeAll(async () => {
  lab = await openLab()
  const path = join(lab.directory, "source")
  const dice = new Dice("corruption")
  const scene = new Scene(lab, nothingYet, "made")
  const write = (name: string, bytes: Uint8Array) => {
    mkdirSync(dirname(join(path, name)), { recursive: true })
    writeFileSync(join(path, name), bytes)
    utimesSync(join(path, name), 1_930_000_000, 1_930_000_000)
  }
  const run = async () => {
    const { world, end } = scene.begin()
    const settings = { kind: "directory" as const, path, template: "{account}/{yyyy}/{MM}/{dd}/{name}", settle: 0 }
    expect(await backup(jobOf({ mode: "archive" }), openSource(settings, "archive", {}), world)).toMatchObject({ outcome: "ok" })
    end()
    lab.clock.advance(24 * 3_600_000)
  }
  // The same sizes in both runs: what is transplanted between them fits in every length.
  write("acme/2031/03/01/one.wav", dice.bytes(9000))
  write("acme/2031/03/01/notes.json", Buffer.from(JSON.stringify({ text: "x".repeat(6000) })))
  write("umbrella/2031/03/01/two.wav", dice.bytes(7000))
  await run()
  firstTruth = filesOf(path)
  write("acme/2031/03/02/one.wav", dice.bytes(9000))
  write("acme/2031/03/02/notes.json", Buffer.from(JSON.stringify({ text: "y".repeat(6000) })))
  write("umbrella/2031/03/02/two.wav", dice.bytes(7000))
  await run()
  truth = filesOf(path)
  past = scene.past()
})

afterAll(async () => {
  await lab[Symbol.asyncDispose]()
})

function fresh(): Scene {
  return new Scene(lab, { ...past, catalog: null }, `damaged-${String(next++)}`)
}

interface Damage {
  readonly name: string
  /** Ranged reads of a data pack need not meet it; only verification reads what no file needs. */
  readonly outsideFiles?: true
  /** What lies there instead, given the object and another one of its kind. */
  bytes(own: Uint8Array, other: Uint8Array): Uint8Array
}

const damages: readonly Damage[] = [
  { name: "with its first byte flipped", outsideFiles: true, bytes: (own) => flipped(own, 0) },
  { name: "with a byte in the middle flipped", bytes: (own) => flipped(own, own.length >> 1) },
  { name: "cut to half", bytes: (own) => own.slice(0, own.length >> 1) },
  { name: "cut by one byte", outsideFiles: true, bytes: (own) => own.slice(0, -1) },
  { name: "cut to nothing", bytes: () => new Uint8Array(0) },
  { name: "with something behind it", outsideFiles: true, bytes: (own) => Buffer.concat([own, own]) },
  { name: "all zeros", bytes: (own) => new Uint8Array(own.length) },
  { name: "swapped for another of its kind", bytes: (_, other) => other },
]

/** Does it to every object of the kind at these sites. */
function spoil(scene: Scene, at: readonly string[], kind: ObjectKind, damage: Damage): void {
  for (const site of at) {
    const objects = scene.objectsAt(site)
    const keys = keysOf(objects, kind)
    const originals = keys.map((key) => bytesAt(objects, key))
    for (const [index, key] of keys.entries()) {
      const own = originals[index]
      const other = originals[(index + 1) % originals.length]
      if (own !== undefined && other !== undefined) put(objects, key, damage.bytes(own, other))
    }
  }
}

describe.for(damages)("an object $name", (damage) => {
  test.for(read)("one site of three has every %s so: everything comes home, and it is said", async (kind) => {
    const scene = fresh()
    spoil(scene, ["a"], kind, damage)
    const { files, report, said } = await comeHome(scene, sites)
    expect(files).toEqual(truth)
    expect(report).toMatchObject({ outcome: "ok", lostCount: 0, refusedCount: 0 })
    if (kind === "data pack" && damage.outsideFiles === true) return
    expect(said.join("\n")).toMatch(/^a: /m)
    expect(report?.failovers.map(({ reason }) => reason).join("\n")).toMatch(/^a: /m)
  })

  test.for(read)("every site has every %s so: no other bytes come home, and nothing is missing in silence", async (kind) => {
    const scene = fresh()
    spoil(scene, sites, kind, damage)
    const home = await comeHome(scene, sites)
    expect(untruths(home, truth)).toEqual([])
    if (kind === "commit" || kind === "meta pack") expect(home.refusal).not.toBeNull()
    else if (kind !== "data pack" || damage.outsideFiles !== true) {
      expect(home.report?.outcome).not.toBe("ok")
    }
  })

  test.for(read)("every site has one %s so: what does not need it comes home, the rest is reported lost", async (kind) => {
    const whole = fresh()
    const [, second = ""] = keysOf(whole.objectsAt("a"), kind)
    for (const key of keysOf(whole.objectsAt("a"), kind)) {
      const scene = fresh()
      const other = bytesAt(scene.objectsAt("a"), key === second ? (keysOf(scene.objectsAt("a"), kind)[0] ?? "") : second)
      for (const site of sites) put(scene.objectsAt(site), key, damage.bytes(bytesAt(scene.objectsAt(site), key), other))
      const home = await comeHome(scene, sites)
      expect(untruths(home, truth), key).toEqual([])
      const isCatalogs = key.startsWith("v1/keys/catalog/")
      if (isCatalogs) expect(home.files).toEqual(truth)
      // The customers' keys were registered in the log's first commit.
      else if (!key.includes("/log/000000000001-")) expect(home.files.size, `${key}: ${home.refusal?.message ?? ""}`).toBeGreaterThan(1)
    }
  })
})

test("any one byte of a repository, trust list, key object or commit changed: its site is not believed", async () => {
  const scene = fresh()
  const vault: Vault = { sites: scene.sites(["a"]), durable: { copies: 1, providers: 1 }, health: new SiteHealth(lab.clock) }
  const signal = new AbortController().signal
  const objects = scene.objectsAt("a")
  for (const key of objects.keys()) {
    if (kindOf(key).endsWith("pack")) continue
    const original = bytesAt(objects, key)
    for (let index = 0; index < original.length; index++) {
      put(objects, key, flipped(original, index))
      await expect(fetchNamed(vault, key, { signal }), `${key} byte ${String(index)}`).rejects.toMatchObject({ code: "vault/lost" })
    }
    put(objects, key, original)
    expect((await fetchNamed(vault, key, { signal })).bytes).toEqual(original)
  }
})

test.for(["data pack", "meta pack"] as const)("a byte changed anywhere in the %ss of one site: everything comes home", async (kind) => {
  const dice = new Dice(kind)
  for (let round = 0; round < 40; round++) {
    const scene = fresh()
    const objects = scene.objectsAt("a")
    for (const key of keysOf(objects, kind)) {
      const bytes = bytesAt(objects, key)
      put(objects, key, flipped(bytes, round < 8 ? 512 + round * 3 : dice.between(0, bytes.length - 1)))
    }
    const { files, report } = await comeHome(scene, sites)
    expect(files).toEqual(truth)
    expect(report?.outcome).toBe("ok")
  }
})

test.for(["data pack", "meta pack"] as const)("a byte changed anywhere in the %ss of the only site: never other bytes", async (kind) => {
  const dice = new Dice(`only ${kind}`)
  for (let round = 0; round < 40; round++) {
    const scene = fresh()
    const objects = scene.objectsAt("a")
    for (const key of keysOf(objects, kind)) {
      const bytes = bytesAt(objects, key)
      put(objects, key, flipped(bytes, dice.between(0, bytes.length - 1)))
    }
    expect(untruths(await comeHome(scene, ["a"]), truth)).toEqual([])
  }
})

describe("an object in the wrong place", () => {
  test("a commit again under a later number, with the right hash in its name, is not believed", async () => {
    const scene = fresh()
    for (const site of sites) {
      const objects = scene.objectsAt(site)
      const key = keysOf(objects, "commit").at(-1) ?? ""
      const kept = objects.get(key)
      if (kept !== undefined) objects.set(commitKey("pbx-1", 99, kept.bytes), kept)
    }
    const home = await comeHome(scene, sites)
    expect(home.files).toEqual(truth)
    expect(home.said.join("\n")).toMatch(/000000000099-.*not believed.*place in the log/)
  })

  test.for([
    { what: "of another repository, signed by this agent", repository: true, signer: false, agent: "pbx-1" },
    { what: "signed by a key that no trust list names", repository: false, signer: true, agent: "pbx-1" },
    { what: "of another agent, in this one's log", repository: false, signer: false, agent: "pbx-2" },
  ])("a commit $what is not believed", async ({ repository, signer, agent }) => {
    const scene = fresh()
    const genuine = commitsAt(scene, "a").findLast(isBackup)
    if (genuine === undefined) throw new Error("no snapshot")
    const { v: _v, kind: _kind, crit: _crit, ...body } = genuine.body
    const forged = encodeBackupCommit(
      { ...body, agent, seq: 98, packs: [], inventory: [], ...(repository ? { repository: randomId(systemRandom) } : {}) },
      signer ? generateSigningKey() : lab.agentKey,
    )
    for (const site of sites) {
      const { site: opened } = memorySite(site, lab.clock, scene.objectsAt(site))
      await opened.put(commitKey("pbx-1", 98, forged), forged, { sha256: sha256(forged) })
    }
    const home = await comeHome(scene, sites)
    expect(home.files).toEqual(truth)
    expect(home.said.join("\n")).toMatch(/000000000098-.*not believed/)
  })

  test("the newest commit and its packs are gone from all sites but one: it is still the newest", async () => {
    const scene = fresh()
    const newest = commitsAt(scene, "a").findLast(isBackup)
    for (const site of ["a", "b"]) {
      const objects = scene.objectsAt(site)
      objects.delete(keysOf(objects, "commit").at(-1) ?? "")
      for (const [sha256] of newest?.body.packs ?? []) for (const key of objects.keys()) if (key.includes(sha256)) objects.delete(key)
    }
    const { files, report } = await comeHome(scene, sites)
    expect(files).toEqual(truth)
    expect(report?.snapshots.at(-1)?.sha256).toBe(newest?.sha256)
  })

  test("sites that were all rolled back to the first run give the first run, whole", async () => {
    const scene = fresh()
    for (const site of sites) {
      const objects = scene.objectsAt(site)
      objects.delete(keysOf(objects, "commit").at(-1) ?? "")
    }
    const { files, report } = await comeHome(scene, sites)
    expect(files).toEqual(firstTruth)
    expect(report?.outcome).toBe("ok")
  })
})

describe("the root's objects", () => {
  async function rootFrom(scene: Scene, at: readonly string[]) {
    const vault: Vault = { sites: scene.sites(at), durable: { copies: 1, providers: 1 }, health: new SiteHealth(lab.clock) }
    return await readRoot(vault, lab.root.fingerprint, { signal: new AbortController().signal })
  }

  test.for(damages)("$name at one site are read from another; at every site they are refused", async (damage) => {
    for (const kind of ["repository", "trust"] as const) {
      const foreign = await openLab()
      try {
        const [repository, trust] = foreign.rootObjects
        const other = (kind === "repository" ? repository : trust)?.bytes ?? new Uint8Array(0)
        const scene = fresh()
        const spoilAt = (site: string) => {
          const objects = scene.objectsAt(site)
          for (const key of keysOf(objects, kind)) put(objects, key, damage.bytes(bytesAt(objects, key), other))
        }
        spoilAt("a")
        expect((await rootFrom(scene, sites)).lists).toHaveLength(1)
        for (const site of ["b", "c"]) spoilAt(site)
        await expect(rootFrom(scene, sites)).rejects.toMatchObject({ code: expect.stringMatching(/^(?:key|vault|format)\//) })
      } finally {
        await foreign[Symbol.asyncDispose]()
      }
    }
  })

  test("a repository and a trust list that another root signed lie beside ours and change nothing", async () => {
    await using foreign = await openLab()
    const scene = fresh()
    for (const site of sites) {
      const opened = memorySite(site, lab.clock, scene.objectsAt(site))
      for (const { key, bytes } of foreign.rootObjects) await opened.site.put(key, bytes, { sha256: sha256(bytes) })
    }
    const { lists, repository } = await rootFrom(scene, sites)
    expect(lists.map(({ sha256 }) => sha256)).toEqual(lab.trust.map(({ sha256 }) => sha256))
    expect(repository.id).toBe(lab.world().repository.id)
  })
})
