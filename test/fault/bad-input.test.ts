import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, utimesSync, writeFileSync } from "node:fs"
import { dirname, join } from "node:path"
import { afterAll, beforeAll, describe, expect, test } from "vitest"
import { BackupError } from "../../src/errors.ts"
import { isBackup } from "../../src/format/commit.ts"
import { makeAccountKey } from "../../src/key/account.ts"
import { generateIdentity, parseRecipient } from "../../src/key/recipient.ts"
import { backup } from "../../src/operation/backup.ts"
import { restore } from "../../src/operation/restore.ts"
import { systemRandom } from "../../src/random.ts"
import type { RunReport } from "../../src/report/run.ts"
import { openSource } from "../../src/source/open.ts"
import type { SourceSettings } from "../../src/source/settings.ts"
import { WorkerPool } from "../../src/stream/pool.ts"
import { jobOf, type Lab, openLab } from "../operation/lab.ts"
import { filesOf, treeOf } from "../operation/trees.ts"
import { breachesAt, commitsAt, restoredFrom, unlike } from "./closure.ts"
import { bytesAt, keysOf } from "./damage.ts"
import { nothingYet, Scene } from "./scene.ts"

let pool: WorkerPool
beforeAll(() => {
  pool = new WorkerPool(2)
})
afterAll(async () => {
  await pool[Symbol.asyncDispose]()
})

const day = 24 * 3_600_000

class Place {
  readonly lab: Lab
  readonly scene: Scene
  readonly path: string

  constructor(lab: Lab) {
    this.lab = lab
    this.path = join(lab.directory, "source")
    this.scene = new Scene(lab, nothingYet, "agent")
    this.write("acme/2031/03/01/one.wav", "one".repeat(2000))
  }

  write(name: string | Buffer, content: string | Uint8Array): void {
    const path = Buffer.concat([Buffer.from(`${this.path}/`), Buffer.from(name)])
    mkdirSync(path.subarray(0, path.lastIndexOf("/")), { recursive: true })
    writeFileSync(path, content)
    utimesSync(path, 1_930_000_000, 1_930_000_000)
  }

  async run(
    mode: "archive" | "state" = "archive",
    change: (world: ReturnType<Scene["begin"]>["world"]) => void = () => undefined,
  ): Promise<RunReport> {
    const { path } = this
    const settings: SourceSettings =
      mode === "state"
        ? { kind: "directory", path, account: "platform" }
        : { kind: "directory", path, template: "{account}/{yyyy}/{MM}/{dd}/{name}", settle: 0 }
    const { world, end } = this.scene.begin()
    change(world)
    try {
      return await backup(jobOf({ mode }), openSource(settings, mode, {}), world)
    } finally {
      end()
      this.lab.clock.advance(day)
    }
  }

  async expectWhole(mode: "archive" | "state" = "archive"): Promise<void> {
    const look = mode === "archive" ? filesOf : treeOf
    const dataset = mode === "archive" ? "call-recordings" : "switch-config"
    for (const site of unlike(this.scene, ["a", "b", "c"])) {
      expect(await breachesAt(this.scene, site, [look(this.path)])).toEqual([])
      const { files, failures } = await restoredFrom(this.scene, site, { dataset }, look)
      expect({ files, failures }).toEqual({ files: look(this.path), failures: [] })
    }
  }
}

/** One clear sentence, and what to do about it. */
function expectSaidClearly({ message, hint }: { readonly message: string; readonly hint?: string | undefined }): void {
  expect(message).toMatch(/^[^\n]{10,400}$/)
  expect(message).not.toMatch(/ {2}|\.ts:|undefined|\[object|Error:/)
  expect(hint).toMatch(/^[^\n]{10,300}[^.]$/)
}

describe("a run that cannot go on says why in a sentence, loses nothing, and the next one goes on", () => {
  test("no such folder", async () => {
    await using lab = await openLab({ pool })
    const place = new Place(lab)
    await place.run()
    renameSync(place.path, `${place.path}-away`)
    for (const mode of ["archive", "state"] as const) {
      const report = await place.run(mode)
      expect(report).toMatchObject({ outcome: "failed", commits: [], failure: { code: "job/source" } })
      expectSaidClearly(report.failure ?? { message: "" })
    }
    renameSync(`${place.path}-away`, place.path)
    expect(await place.run()).toMatchObject({ outcome: "ok", captured: { files: 0 } })
    await place.expectWhole()
  })

  test("the disk of the state directory is full", async () => {
    await using lab = await openLab({ pool })
    const place = new Place(lab)
    await place.run()
    for (let file = 0; file < 400; file++) place.write(`acme/2031/03/02/${"long ".repeat(30)}${String(file)}.wav`, String(file))
    const report = await place.run("archive", ({ catalog }) => {
      const pages = catalog.get("PRAGMA page_count")
      catalog.get(`PRAGMA max_page_count = ${String(pages?.page_count)}`)
    })
    expect(report).toMatchObject({ outcome: "failed", failure: { code: "job/target" } })
    expectSaidClearly(report.failure ?? { message: "" })
    expect(await place.run()).toMatchObject({ outcome: "ok" })
    await place.expectWhole()
  })

  test("the clock is ten years behind the trust list", async () => {
    await using lab = await openLab({ pool })
    const place = new Place(lab)
    await place.run()
    const now = lab.clock.now()
    lab.clock.set(new Date("2021-03-04T12:00:00Z"))
    const report = await place.run()
    expect(report).toMatchObject({ outcome: "failed", commits: [], failure: { code: "job/clock" } })
    expectSaidClearly(report.failure ?? { message: "" })
    lab.clock.set(now)
    expect(await place.run()).toMatchObject({ outcome: "ok" })
    await place.expectWhole()
  })

  test("the clock was ten years ahead for one run", async () => {
    await using lab = await openLab({ pool })
    const place = new Place(lab)
    const now = lab.clock.now()
    lab.clock.set(new Date("2041-03-04T12:00:00Z"))
    expect(await place.run()).toMatchObject({ outcome: "ok" })
    lab.clock.set(now)
    place.write("acme/2031/03/02/two.wav", "two")
    const report = await place.run()
    expect(report).toMatchObject({ outcome: "ok", captured: { files: 1 } })
    expect(report.warnings.join("\n")).toMatch(/clock/)
    await place.expectWhole()
  })
})

describe("keys given wrong are refused in a sentence", () => {
  const right = generateIdentity("x25519").recipient
  const typed = `${right.slice(0, 20)}${right[20] === "q" ? "p" : "q"}${right.slice(21)}`
  test.for([
    ["a letter typed wrong", typed],
    ["the end missing", right.slice(0, -3)],
    ["in capitals", right.toUpperCase()],
    ["an identity in its place", generateIdentity("x25519").secret.reveal()],
    ["a word", "backup"],
    ["nothing", ""],
  ] as const)("a recipient with %s", ([, text]) => {
    const refusal = refusalOf(() => parseRecipient(text))
    expect(refusal).toMatchObject({ code: "key/malformed" })
    expect(refusal.message).not.toContain("AGE-SECRET-KEY")
    expectSaidClearly(refusal)
  })

  test("recipients of both kinds", async () => {
    const organisation = [generateIdentity("x25519").recipient, generateIdentity("pq").recipient]
    const work = makeAccountKey({ account: "platform", epoch: "1", organisation, random: systemRandom })
    const refusal = await work.then(
      () => undefined,
      (error: unknown) => error,
    )
    if (!(refusal instanceof BackupError)) throw new Error("recipients of both kinds were taken")
    expect(refusal).toMatchObject({ code: "key/mixed" })
    expectSaidClearly(refusal)
  })

  function refusalOf(work: () => unknown): BackupError {
    try {
      work()
    } catch (error) {
      if (error instanceof BackupError) return error
      throw error
    }
    throw new Error("it was taken")
  }
})

describe("names and contents that are only unusual come home as they were", () => {
  const nonUtf8 = Buffer.concat([Buffer.from("acme/2031/03/01/"), Buffer.from([0xe9, 0xff, 0x80]), Buffer.from(".wav")])
  const names: readonly (readonly [string, readonly (string | Buffer)[]])[] = [
    ["250 bytes long", [`acme/2031/03/01/${"n".repeat(250)}`, `acme/2031/03/01/${"n".repeat(249)}m`]],
    ["255 bytes long", [`acme/2031/03/01/${"é".repeat(127)}x`]],
    ["not UTF-8", [nonUtf8]],
    ["different only in case", ["acme/2031/03/01/Call.wav", "acme/2031/03/01/call.wav"]],
    ["different only in normalisation", ["acme/2031/03/01/caf\u00e9.wav", "acme/2031/03/01/cafe\u0301.wav"]],
    ["full of spaces, quotes, line ends and escapes", [`acme/2031/03/01/ a "b" 'c' \\ \n\u001b[31m $(x) \`y\`.wav `]],
    ["like options and hidden files", ["acme/2031/03/01/-rf", "acme/2031/03/01/.hidden", "acme/2031/03/01/..."]],
    ["of no template, so nobody's", ["stray.wav", "acme/stray.wav"]],
  ]
  test.for(names.flatMap(([name, paths]) => (["archive", "state"] as const).map((mode) => [name, mode, paths] as const)))(
    "names %s, %s mode",
    async ([name, mode, paths]) => {
      await using lab = await openLab({ pool })
      const place = new Place(lab)
      for (const path of paths) place.write(path, `bytes of ${path.toString("latin1")}`)
      const stray = name.startsWith("of no template") && mode === "archive"
      expect(await place.run(mode)).toMatchObject({ outcome: stray ? "partial" : "ok", captured: { files: paths.length + 1 } })
      await place.expectWhole(mode)
    },
  )

  test("files that are themselves commits, manifests, packs and key objects of this very repository", async () => {
    await using lab = await openLab({ pool })
    const place = new Place(lab)
    await place.run()
    const objects = place.scene.objectsAt("a")
    for (const key of [...objects.keys()]) place.write(`acme/2031/03/02/${key.replaceAll("/", "_")}`, bytesAt(objects, key))
    place.write("acme/2031/03/03/MANIFEST.jsonl", '{"v":1,"packs":[]}\n')
    place.write("acme/2031/03/03/SHA256SUMS", `${"0".repeat(64)}  d/acme/2031/03/01/one.wav\n`)
    place.write("acme/2031/03/03/0000.tar.age", "age-encryption.org/v1\n")
    expect(await place.run()).toMatchObject({ outcome: "ok" })
    await place.expectWhole()
    expect(commitsAt(place.scene, "a").filter(isBackup)).toHaveLength(2)
    expect(keysOf(place.scene.objectsAt("a"), "repository")).toHaveLength(1)
  })
})

describe("a restore that cannot go on says why in a sentence", () => {
  test("no such dataset, no such snapshot, nothing that old, nobody of that name, no identity", async () => {
    await using lab = await openLab({ pool })
    const place = new Place(lab)
    await place.run()
    const target = { path: join(lab.directory, "home"), owners: false }
    const good = { dataset: "call-recordings", identities: [lab.escrow] }
    const requests = [
      { ...good, dataset: "recordings" },
      { ...good, only: "ffff" },
      { ...good, accounts: ["nobody"] },
      { ...good, identities: [] },
      { ...good, identities: [generateIdentity("x25519")] },
    ]
    for (const request of requests) {
      const reader = place.scene.reader("a")
      const refusal = await restore(request, target, reader.world).then(
        () => undefined,
        (error: unknown) => error,
      )
      reader.end()
      if (!(refusal instanceof BackupError)) throw new Error(`it was done: ${JSON.stringify(Object.keys(request))}`)
      expectSaidClearly(refusal)
      rmSync(target.path, { recursive: true, force: true })
    }
  })

  test("a target in which nothing can be made", async () => {
    await using lab = await openLab({ pool })
    const place = new Place(lab)
    await place.run()
    writeFileSync(join(lab.directory, "file"), "")
    const reader = place.scene.reader("a")
    const work = restore(
      { dataset: "call-recordings", identities: [lab.escrow] },
      { path: join(lab.directory, "file/sub"), owners: false },
      reader.world,
    )
    await expect(work).rejects.toMatchObject({ code: "job/target", hint: expect.any(String) })
    reader.end()
    expect(readFileSync(join(lab.directory, "file"), "utf8")).toBe("")
    expect(readdirSync(dirname(place.path))).not.toContain("sub")
  })
})
