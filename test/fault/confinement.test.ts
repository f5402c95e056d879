import { lstatSync, mkdirSync, mkdtempSync, readFileSync, realpathSync, rmSync, symlinkSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { afterAll, beforeAll, describe, expect, test } from "vitest"
import { ConfinedTree } from "../../src/confined.ts"
import { BackupError } from "../../src/errors.ts"
import { backup } from "../../src/operation/backup.ts"
import { restore } from "../../src/operation/restore.ts"
import type { RestoreReport } from "../../src/report/restore.ts"
import { openSource } from "../../src/source/open.ts"
import { jobOf, type Lab, openLab } from "../operation/lab.ts"
import { treeOf } from "../operation/trees.ts"
import { type Entry, type Honest, publishLie, readHonest } from "./hostile.ts"
import { nothingYet, type Past, Scene } from "./scene.ts"

let lab: Lab
let past: Past
let honest: Honest
let next = 0

beforeAll(async () => {
  lab = await openLab()
  const path = join(lab.directory, "source")
  mkdirSync(join(path, "sub"), { recursive: true })
  writeFileSync(join(path, "keep.txt"), "keep me")
  writeFileSync(join(path, "sub/evil.txt"), "evil")
  writeFileSync(join(path, "sub/manifest.txt"), readFileSync(new URL("./hostile.ts", import.meta.url)))
  symlinkSync("keep.txt", join(path, "link"))
  const scene = new Scene(lab, nothingYet, "honest")
  const { world, end } = scene.begin()
  expect(
    await backup(jobOf({ mode: "state" }), openSource({ kind: "directory", path, account: "platform" }, "state", {}), world),
  ).toMatchObject({
    outcome: "ok",
  })
  end()
  past = scene.past()
  honest = await readHonest(scene)
})

afterAll(async () => {
  await lab[Symbol.asyncDispose]()
})

/** A directory with a target in it, and beside the target what nobody may touch. */
class Arena {
  readonly root = mkdtempSync(join(lab.directory, "arena-"))
  readonly target = join(this.root, "target")

  constructor() {
    mkdirSync(this.target)
    mkdirSync(join(this.root, "outside/deep"), { recursive: true })
    writeFileSync(join(this.root, "outside/secret.txt"), "secret")
    writeFileSync(join(this.root, "outside/deep/other.txt"), "other")
  }

  /** Everything but what is in the target: paths, bytes, modes, times. */
  outside(): Map<string, string> {
    return new Map([...treeOf(this.root)].filter(([path]) => !path.startsWith("target/")))
  }
}

interface Outcome {
  readonly report: RestoreReport | null
  readonly refusal: BackupError | null
  readonly arena: Arena
}

/** Restores the lie; whatever happens, nothing beside the target may change. */
async function fallFor(
  entries: readonly Entry[],
  options: { prepare?(arena: Arena): void; readonly header?: Entry; readonly packs?: string[] } = {},
): Promise<Outcome> {
  const scene = new Scene(lab, { ...past, catalog: null }, `lie-${String(next++)}`)
  const { prepare, ...lie } = options
  await publishLie(scene, honest, { entries, ...lie })
  const arena = new Arena()
  prepare?.(arena)
  const before = arena.outside()
  const reader = scene.reader("a", "b", "c")
  let report: RestoreReport | null = null
  let refusal: BackupError | null = null
  try {
    report = await restore({ dataset: "switch-config", identities: [lab.escrow] }, { path: arena.target, owners: false }, reader.world)
  } catch (error) {
    if (!(error instanceof BackupError)) throw error
    refusal = error
  }
  reader.end()
  expect(arena.outside()).toEqual(before)
  return { report, refusal, arena }
}

function keep(change: Entry = {}): Entry {
  return honest.like("keep.txt", change)
}

function evil(path: string, change: Entry = {}): Entry {
  return honest.like("sub/evil.txt", { path, ...change })
}

function link(path: string, target: string): Entry {
  return honest.like("link", { path, link: target })
}

function without(entry: Entry, field: string): Entry {
  return Object.fromEntries(Object.entries(entry).filter(([name]) => name !== field))
}

function directory(path: string): Entry {
  return honest.like("sub", { path })
}

function sorted(entries: readonly Entry[]): Entry[] {
  const bytes = ({ path }: Entry) => (typeof path === "string" ? Buffer.from(path) : Buffer.alloc(0))
  return entries.toSorted((a, b) => Buffer.compare(bytes(a), bytes(b)))
}

describe("a path that would climb out, or means something else", () => {
  const paths = [
    "../outside/evil.txt",
    "sub/../../outside/evil.txt",
    "..",
    ".",
    "./evil.txt",
    "sub/./evil.txt",
    "sub/..",
    "/etc/holdline-evil.txt",
    "//evil.txt",
    "sub//evil.txt",
    "sub/",
    "/",
    "x".repeat(300),
    `sub/${"x".repeat(256)}`,
  ]
  test.for(paths.map((path) => [path.slice(0, 40), path] as const))("%s: refused by name, what is honest comes home", async ([, path]) => {
    for (const make of [() => evil(path), () => link(path, "/etc/passwd"), () => directory(path)]) {
      const { report, arena } = await fallFor(sorted([keep(), make()]))
      expect(report).toMatchObject({ outcome: "partial", restored: { files: 1 }, refusedCount: 1 })
      expect(report?.refused[0]?.detail).toMatch(/refused: /)
      expect([...treeOf(arena.target).keys()].filter((name) => name !== "keep.txt")).toEqual([])
    }
  })
})

describe("a manifest that is not one", () => {
  const cases: readonly (readonly [string, () => readonly Entry[], { readonly header?: Entry; readonly packs?: string[] }?])[] = [
    ["a zero byte in a path", () => [evil("ev\0il.txt"), keep()]],
    ["an empty path", () => [evil(""), keep()]],
    ["the same path twice", () => [keep(), keep()]],
    ["paths out of order", () => [evil("z"), keep()]],
    ["a path longer than any system takes", () => [keep(), evil(`sub/${"y/".repeat(2100)}z`)]],
    ["a file without a hash", () => [without(keep(), "sha256")]],
    ["a link that leads nowhere, being empty", () => [keep(), link("link", "")]],
    ["a size that is not its locations'", () => [keep({ size: 8 })]],
    ["a device", () => [keep(), evil("sda", { type: "device" })]],
    ["set-user-id beyond twelve bits", () => [keep({ mode: 0o10777 })]],
    ["a location in a pack that is not in the header", () => [keep({ at: [[7, 512, 1000, 0, 7, 0, 7]] })]],
    ["another account's header", () => [keep()], { header: { account: "mixed" } }],
    ["another agent's header", () => [keep()], { header: { agent: "pbx-2" } }],
    ["another dataset's header", () => [keep()], { header: { dataset: "cdrs" } }],
    ["another day's header", () => [keep()], { header: { partition: "2031-03-01" } }],
    ["another repository's header", () => [keep()], { header: { repository: "0".repeat(32) } }],
    ["another part's header", () => [keep()], { header: { part: 1 } }],
    ["a field that must not be ignored", () => [keep()], { header: { crit: ["acl"] } }],
    ["another version", () => [keep()], { header: { v: 2 } }],
  ]
  test.for(cases)("%s: nothing of it is believed", async ([, entries, options]) => {
    const { report, arena } = await fallFor(entries(), options)
    expect(report).toMatchObject({ outcome: "failed", restored: { files: 0 } })
    expect(report?.lost[0]?.detail).toMatch(/manifest|MANIFEST/i)
    expect(treeOf(arena.target).size).toBe(0)
  })
})

describe("a lie about where bytes are", () => {
  const unlisted = "f".repeat(64)
  const cases: readonly (readonly [string, () => Entry, string[]?])[] = [
    ["a pack that the commit does not list", () => keep({ at: [[0, 512, 1000, 0, 7, 0, 7]] }), [unlisted]],
    ["another file's bytes", () => keep({ at: honest.like("sub/evil.txt", {}).at ?? null, size: 4 })],
    ["another file's hash", () => keep({ sha256: unlisted })],
    ["an offset past the end of the pack", () => shifted(1, 1_000_000_000)],
    ["an offset into the middle of a segment", () => shifted(1, 100)],
    ["the very start of the pack", () => keep({ at: [[0, 0, 1000, 0, 7, 0, 7]] })],
    ["a segment of no bytes", () => shifted(2, -1_000_000)],
    ["a frame past the end of its segment", () => shifted(3, 1_000_000)],
    ["a frame of no bytes", () => shifted(4, -1_000_000)],
    ["a skip past the end of its frame", () => shifted(5, 1_000_000)],
    ["numbers as large as there are", () => keep({ at: [[0, 2 ** 52, 2 ** 52, 2 ** 52, 2 ** 52, 2 ** 52, 7]] })],
  ]

  // Adds to one number of the honest location, never below zero.
  function shifted(index: number, by: number): Entry {
    const entry = keep()
    const { at } = entry
    const [extent] = Array.isArray(at) ? at : []
    const numbers = Array.isArray(extent) ? extent : []
    return { ...entry, at: [numbers.map((value, i) => (i === index ? Math.max(0, Number(value) + by) : value))] }
  }

  test.for(cases)("%s: no other bytes come home, and it is said", async ([, entry, packs]) => {
    const others = packs === undefined ? [evil("other.txt")] : []
    const { report, arena } = await fallFor(sorted([entry(), ...others]), packs === undefined ? {} : { packs })
    expect(report?.outcome).toBe(packs === undefined ? "partial" : "failed")
    expect((report?.lostCount ?? 0) + (report?.refusedCount ?? 0)).toBe(1)
    expect(treeOf(arena.target).has("keep.txt")).toBe(false)
    if (packs === undefined) expect(readFileSync(join(arena.target, "other.txt"), "utf8")).toBe("evil")
  })
})

describe("items that stand in one another's way", () => {
  test("a link, and a file through it: the file wins, and stays inside", async () => {
    const { report, arena } = await fallFor(sorted([keep(), link("door", "../outside"), evil("door/evil.txt")]))
    expect(report).toMatchObject({ outcome: "partial", refusedCount: 1 })
    expect(lstatSync(join(arena.target, "door")).isDirectory()).toBe(true)
  })

  test("a link, a directory of its name, and a file in it", async () => {
    const { report } = await fallFor(sorted([keep(), link("door", "../outside"), directory("door/sub"), evil("door/sub/evil.txt")]))
    expect(report).toMatchObject({ outcome: "partial", refusedCount: 1 })
  })

  test("a link to a link to the outside, made in any order, is never gone through", async () => {
    const { report, arena } = await fallFor(
      sorted([keep(), link("a", "b"), link("b", "../outside"), evil("a/evil.txt"), evil("b/evil.txt")]),
    )
    expect(report).toMatchObject({ outcome: "partial", refusedCount: 2, restored: { files: 3 } })
    expect(lstatSync(join(arena.target, "b")).isDirectory()).toBe(true)
  })

  test("links that lead out are made as they are, and their targets are not touched", async () => {
    const { report, arena } = await fallFor(sorted([keep(), link("out", "../outside/secret.txt"), link("root", "/")]))
    expect(report).toMatchObject({ outcome: "ok", links: 2 })
    expect(lstatSync(join(arena.target, "out")).isSymbolicLink()).toBe(true)
  })

  test("a file whose path goes on below another file: one of them is refused", async () => {
    const { report } = await fallFor(sorted([keep(), evil("both"), evil("both/evil.txt")]))
    expect(report).toMatchObject({ outcome: "partial", refusedCount: 1, restored: { files: 2 } })
  })

  test("names that differ only in case are two files where the system tells them apart, and never one over the other", async () => {
    const { report, arena } = await fallFor(sorted([keep(), keep({ path: "Name" }), evil("name")]))
    const found = treeOf(arena.target)
    if (report?.outcome === "ok") expect([found.has("Name"), found.has("name")]).toEqual([true, true])
    else expect(report).toMatchObject({ outcome: "partial", refusedCount: 1 })
  })

  test("a name of the kind that a restore gives to files it is writing is a name like any other", async () => {
    const { report } = await fallFor(sorted([keep(), evil(`.holdline-${"0".repeat(32)}`), evil(".holdline-x")]))
    expect(report).toMatchObject({ outcome: "ok", restored: { files: 3 } })
  })
})

describe("a target with links in it already", () => {
  const entries = () => sorted([keep(), directory("sub"), evil("sub/deep/evil.txt"), link("link", "keep.txt")])

  test("a link to the outside in the place of a directory is not followed", async () => {
    const { report } = await fallFor(entries(), { prepare: ({ target }) => symlinkSync("../outside", join(target, "sub")) })
    expect(report).toMatchObject({ outcome: "partial", restored: { files: 1 } })
  })

  test("a link further down is not followed", async () => {
    const { report } = await fallFor(entries(), {
      prepare({ target }) {
        mkdirSync(join(target, "sub"))
        symlinkSync("../../outside/deep", join(target, "sub/deep"))
      },
    })
    expect(report).toMatchObject({ outcome: "partial", restored: { files: 1 } })
  })

  test("a link in the place of a file is not written through, though it dangles", async () => {
    const { report } = await fallFor(entries(), { prepare: ({ target }) => symlinkSync("../outside/new.txt", join(target, "keep.txt")) })
    expect(report).toMatchObject({ outcome: "partial", refusedCount: 1 })
  })

  test("a link to a file with the same bytes is no file with the same bytes", async () => {
    const { report } = await fallFor(entries(), {
      prepare({ root, target }) {
        writeFileSync(join(root, "outside/same.txt"), "keep me")
        symlinkSync("../outside/same.txt", join(target, "keep.txt"))
      },
    })
    expect(report).toMatchObject({ outcome: "partial", present: { files: 0 }, refusedCount: 1 })
  })

  test("a file in the place of a directory costs what is below it, and no more", async () => {
    const { report, arena } = await fallFor(entries(), { prepare: ({ target }) => writeFileSync(join(target, "sub"), "mine") })
    expect(report).toMatchObject({ outcome: "partial", restored: { files: 1 } })
    expect(readFileSync(join(arena.target, "sub"), "utf8")).toBe("mine")
  })

  test("a file that is there with other bytes is left as it is", async () => {
    const { report, arena } = await fallFor(entries(), { prepare: ({ target }) => writeFileSync(join(target, "keep.txt"), "mine") })
    expect(report).toMatchObject({ outcome: "partial", refusedCount: 1 })
    expect(readFileSync(join(arena.target, "keep.txt"), "utf8")).toBe("mine")
  })

  test("the target itself may be a link, since the operator named it; then all of it is where the link leads", async () => {
    const { report, arena } = await fallFor(entries(), {
      prepare({ root, target }) {
        rmSync(target, { recursive: true })
        mkdirSync(join(root, "target-real"))
        symlinkSync("target-real", target)
        // Counted as the inside.
        rmSync(join(root, "target-real"), { recursive: true })
        mkdirSync(join(lab.directory, `real-${String(next)}`))
        rmSync(target)
        symlinkSync(join(lab.directory, `real-${String(next)}`), target)
      },
    })
    expect(report).toMatchObject({ outcome: "ok", restored: { files: 2 } })
    expect(report?.target).toBe(realpathSync(arena.target))
  })

  test("a target that is a file is refused in a sentence", async () => {
    const { refusal } = await fallFor(entries(), {
      prepare({ target }) {
        rmSync(target, { recursive: true })
        writeFileSync(target, "a file")
      },
    })
    expect(refusal).toMatchObject({ code: "job/target", hint: expect.stringMatching(/--to/) })
  })
})

describe("a tree that is changed under a restore", () => {
  function arenaTree(): { readonly arena: Arena; readonly tree: ConfinedTree } {
    const arena = new Arena()
    return { arena, tree: new ConfinedTree(arena.target) }
  }
  const looks = { mode: 0o644, mtimeNs: 0n }

  test("a directory that becomes a link between two files is not followed", () => {
    const { arena, tree } = arenaTree()
    tree.makeDirectory(Buffer.from("sub"))
    rmSync(join(arena.target, "sub"), { recursive: true })
    symlinkSync("../outside", join(arena.target, "sub"))
    const before = arena.outside()
    expect(() => {
      const file = tree.create(Buffer.from("sub/evil.txt"))
      file.write(Buffer.from("evil"))
      file.settle(looks)
    }).toThrow()
    tree.close()
    expect(arena.outside()).toEqual(before)
  })

  test("a directory that becomes a link while a file in it is written is not followed", () => {
    const { arena, tree } = arenaTree()
    const file = tree.create(Buffer.from("sub/evil.txt"))
    rmSync(join(arena.target, "sub"), { recursive: true })
    symlinkSync("../outside", join(arena.target, "sub"))
    const before = arena.outside()
    file.write(Buffer.from("evil"))
    expect(() => file.settle(looks)).toThrow()
    tree.close()
    expect(arena.outside()).toEqual(before)
  })

  test("files being written at once, whose long names begin alike, keep their own bytes", () => {
    const { arena, tree } = arenaTree()
    const names = ["a", "b", "c"].map((end) => Buffer.from(`${"n".repeat(249)}${end}`))
    const files = names.map((name) => tree.create(name))
    for (const [index, file] of files.entries()) file.write(Buffer.from(`bytes of ${String(index)}`))
    for (const file of files) file.settle(looks)
    tree.close()
    expect(names.map((name) => readFileSync(join(arena.target, name.toString()), "utf8"))).toEqual([
      "bytes of 0",
      "bytes of 1",
      "bytes of 2",
    ])
  })
})
