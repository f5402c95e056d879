import { execFileSync } from "node:child_process"
import { lstatSync } from "node:fs"
import { link, mkdir, symlink, utimes, writeFile } from "node:fs/promises"
import { createServer } from "node:net"
import { dirname } from "node:path"
import { describe, expect, test } from "vitest"
import { directorySource } from "../../src/source/directory.ts"
import { openSource } from "../../src/source/open.ts"
import type { DirectorySettings } from "../../src/source/settings.ts"
import type { SourceMode } from "../../src/source/source.ts"
import { buildSparse } from "../world/tree.ts"
import { advance, buildWorld, cdrTemplate, recordingsTemplate } from "../world/world.ts"
import { type Captured, captured, environment, scratchDirectories, signal, text } from "./captured.ts"
import { memory } from "./memory.ts"

const directory = scratchDirectories()
const minute = 60_000
// The kernel sets a file's ctime to the real time, so a world that has settled is one that is looked at from later.
const later = new Date(Date.now() + 60 * minute)

async function capture(
  settings: Omit<DirectorySettings, "kind">,
  mode: SourceMode,
  now = later,
  names: ReadonlyMap<string, string> = new Map(),
): Promise<Captured> {
  const source = directorySource({ kind: "directory", ...settings }, mode, environment)
  return await captured(source, { now, scratch: "", signal, memory: memory(names) })
}

async function put(root: string, path: string, content = "x", mtime: Date = new Date(later.getTime() - 30 * minute)): Promise<void> {
  await mkdir(dirname(`${root}/${path}`), { recursive: true })
  await writeFile(`${root}/${path}`, content)
  await utimes(`${root}/${path}`, mtime, mtime)
}

function paths(items: readonly { readonly path: Buffer }[]): string[] {
  return items.map((item) => text(item.path))
}

describe("an archive", () => {
  const template = recordingsTemplate

  test("files what fits the template under its account and day", async () => {
    const root = await directory()
    await put(root, "maple-dental.example/archive/2026/Nov/20/one.wav", "sound")

    const { items, misses, notes } = await capture({ path: root, template }, "archive")

    expect(items).toMatchObject([
      {
        stableId: "maple-dental.example",
        day: "2026-11-20",
        path: Buffer.from("maple-dental.example/archive/2026/Nov/20/one.wav"),
        type: "file",
        size: 5,
        compressible: false,
        flags: [],
        content: { kind: "file", path: Buffer.from(`${root}/maple-dental.example/archive/2026/Nov/20/one.wav`) },
      },
    ])
    expect(items[0]?.mtimeNs).toBe(lstatSync(`${root}/maple-dental.example/archive/2026/Nov/20/one.wav`, { bigint: true }).mtimeNs)
    expect([...misses, ...notes]).toEqual([])
  })

  test("keeps what does not fit as mixed, by the local day of its last change, and says so", async () => {
    const root = await directory()
    await put(root, "maple-dental.example/welcome.wav", "x", new Date("2026-03-28T23:30:00Z"))
    await put(root, "maple-dental.example/archive/2026/Feb/30/x.wav", "x", new Date("2026-10-25T22:59:59Z"))

    const { items, notes } = await capture({ path: root, template, timezone: "Europe/Berlin" }, "archive")

    expect(items.map(({ stableId, day, flags }) => [stableId, day, flags])).toEqual([
      ["mixed", "2026-03-29", ["unmatched"]],
      ["mixed", "2026-10-25", ["unmatched"]],
    ])
    expect(notes.map((note) => note.kind)).toEqual(["unmatched", "unmatched"])
  })

  test.each([
    ["long ago", -60, -60, true],
    ["exactly the settle time ago", -10, -60, true],
    ["a second short of it", -10 + 1 / 60, -60, false],
    ["long ago, and its inode just now", -60, 0, false],
    ["at this moment", 0, 0, false],
    ["by a clock that is a little ahead", 5, -60, false],
    ["in a future that cannot be, its inode long ago", 600, -60, true],
    ["in a future that cannot be, its inode just now", 600, -1, false],
    ["in a future that cannot be, and its inode too", 600, 600, true],
  ])("a file changed %s", async (_, mtime, ctime, taken) => {
    const root = await directory()
    // The kernel sets ctime, so the moment of observation is chosen around it; whole seconds, which a file's time holds exactly.
    const now = new Date(Math.ceil(Date.now() / 1000) * 1000 - ctime * minute)
    await put(root, "acme/archive/2026/Nov/20/x.wav", "x", new Date(now.getTime() + Math.round(mtime * minute)))

    const { items, notes } = await capture({ path: root, template, settle: 10 * minute }, "archive", now)

    expect(paths(items)).toEqual(taken ? ["acme/archive/2026/Nov/20/x.wav"] : [])
    expect(notes.map((note) => note.kind)).toEqual(taken ? [] : ["settling"])
  })

  test("a file that grows has not settled, and is taken once it has", async () => {
    const root = await directory()
    await put(root, "acme/archive/2026/Nov/20/x.wav")
    const settings = { path: root, template, settle: 5 * minute }
    const start = Date.now()
    await writeFile(`${root}/acme/archive/2026/Nov/20/x.wav`, "more", { flag: "a" })

    const first = await capture(settings, "archive", new Date(start + minute))
    const second = await capture(settings, "archive", new Date(start + 7 * minute))

    expect(first.items).toEqual([])
    expect(first.notes).toMatchObject([{ kind: "settling" }])
    expect(second.items).toMatchObject([{ size: 5 }])
  })

  test("settles after five minutes where the job does not say", async () => {
    const root = await directory()
    await put(root, "acme/archive/2026/Nov/20/x.wav", "x", new Date(Date.now() - minute))
    expect((await capture({ path: root, template }, "archive", new Date(Date.now() + 3 * minute))).items).toEqual([])
    expect((await capture({ path: root, template }, "archive", new Date(Date.now() + 6 * minute))).items).toHaveLength(1)
  })

  test("knows files by what changes with them, case-only twins apart", async () => {
    const root = await directory()
    await put(root, "acme/archive/2026/Nov/20/x.wav")
    await put(root, "acme/archive/2026/Nov/20/x.WAV")

    const { items } = await capture({ path: root, template }, "archive")

    expect(paths(items)).toEqual(["acme/archive/2026/Nov/20/x.WAV", "acme/archive/2026/Nov/20/x.wav"])
    expect(items[0]?.identity).toBeDefined()
    expect(items[0]?.identity?.inode).not.toBe(items[1]?.identity?.inode)
  })

  test("reads call records filed by name", async () => {
    const root = await directory()
    await put(root, "acme/2026-11-20.csv")
    const { items } = await capture({ path: root, template: cdrTemplate }, "archive")
    expect(items).toMatchObject([{ stableId: "acme", day: "2026-11-20", compressible: true }])
  })

  test("cannot be without a template, nor with an account", () => {
    expect(() => directorySource({ kind: "directory", path: "/x" }, "archive", {})).toThrow(
      expect.objectContaining({ code: "config/invalid" }),
    )
    expect(() => directorySource({ kind: "directory", path: "/x", template, account: "a" }, "archive", {})).toThrow(
      /the account is given beside it/,
    )
    expect(() => directorySource({ kind: "directory", path: "/x", template, timezone: "Moon/Sea" }, "archive", {})).toThrow(/time zone/)
  })
})

describe("whose a file of an archive is", () => {
  test("files what lies below an account's name under its stable id, where the platform's accounts were captured", async () => {
    const root = await directory()
    await put(root, "maple-dental.example/archive/2026/Nov/20/one.wav")
    await put(root, "nobody-knows.example/archive/2026/Nov/20/two.wav")
    await put(root, "maple-dental.example/archive/2026/Nov/21/three.wav")

    const names = new Map([["maple-dental.example", "8e9a-uuid"]])
    const { items, notes } = await capture({ path: root, template: recordingsTemplate }, "archive", later, names)

    expect(items.map(({ path, stableId, day }) => [text(path), stableId, day]).toSorted()).toEqual([
      ["maple-dental.example/archive/2026/Nov/20/one.wav", "8e9a-uuid", "2026-11-20"],
      ["maple-dental.example/archive/2026/Nov/21/three.wav", "8e9a-uuid", "2026-11-21"],
      ["nobody-knows.example/archive/2026/Nov/20/two.wav", "nobody-knows.example", "2026-11-20"],
    ])
    expect(notes).toEqual([])
  })

  test("one account's tree is all its own, what does not fit the template too, whatever it looks like", async () => {
    const root = await directory()
    await put(root, "2026/11/20/out-1-2.wav")
    await put(root, "welcome.wav", "x", new Date("2026-03-28T23:30:00Z"))

    const names = new Map([["maple", "somebody-else"]])
    const settings = { path: root, template: "{yyyy}/{MM}/{dd}/{name}", account: "maple", timezone: "Europe/Berlin" }
    const { items, notes } = await capture(settings, "archive", later, names)

    expect(items.map(({ path, stableId, day, flags }) => [text(path), stableId, day, flags]).toSorted()).toEqual([
      ["2026/11/20/out-1-2.wav", "maple", "2026-11-20", []],
      ["welcome.wav", "maple", "2026-03-29", ["unmatched"]],
    ])
    expect(notes.map(({ kind, path }) => [kind, text(path)])).toEqual([["unmatched", "welcome.wav"]])
  })
})

describe("a state", () => {
  test("takes the whole tree: directories, links, modes, owners", async () => {
    const root = await directory()
    await put(root, "sip_profiles/internal.xml")
    await mkdir(`${root}/empty`, { mode: 0o700 })
    await symlink("internal.xml", `${root}/sip_profiles/default.xml`)
    execFileSync("chmod", ["2750", `${root}/sip_profiles`])
    execFileSync("chmod", ["0440", `${root}/sip_profiles/internal.xml`])

    const { items, misses } = await capture({ path: root, account: "platform" }, "state")

    expect(items.map(({ path, type, mode, size, link: target }) => [text(path), type, mode.toString(8), size, target?.toString()])).toEqual(
      [
        ["empty", "directory", "700", 0, undefined],
        ["sip_profiles", "directory", "2750", 0, undefined],
        ["sip_profiles/default.xml", "symlink", "777", 0, "internal.xml"],
        ["sip_profiles/internal.xml", "file", "440", 1, undefined],
      ],
    )
    expect(items.every((item) => item.day === "" && item.stableId === "platform" && item.uid === process.getuid?.())).toBe(true)
    expect(misses).toEqual([])
  })

  test("names what it does not keep as it is: hard links, holes, what is no file", async () => {
    const root = await directory()
    await put(root, "one")
    await link(`${root}/one`, `${root}/two`)
    buildSparse(`${root}/holes`, 20 * 1024 ** 3)
    const server = createServer().listen(`${root}/socket`)
    try {
      const { items, misses, notes } = await capture({ path: root, account: "platform" }, "state")
      expect(items.map(({ path, flags }) => [text(path), flags])).toEqual([
        ["holes", ["sparse"]],
        ["one", ["hard-link"]],
        ["two", ["hard-link"]],
      ])
      expect(items[0]?.size).toBe(20 * 1024 ** 3)
      expect(paths(notes.filter((note) => note.kind === "hard-link"))).toEqual(["one", "two"])
      expect(misses).toMatchObject([{ path: Buffer.from("socket"), reason: "refused", stableId: "platform", day: "" }])
    } finally {
      await new Promise((resolve) => server.close(resolve))
    }
  })

  test("leaves out what a pattern says, and counts the top of it once", async () => {
    const root = await directory()
    for (const path of ["cache/deep/a", "cache/b", ".hidden/c", "log/x.log", "x.log", "keep/x.xml", "keep/cache"]) await put(root, path)

    const { items, notes } = await capture({ path: root, account: "platform", exclude: ["cache/**", ".*", "**/*.log"] }, "state")

    expect(paths(items)).toEqual(["keep", "log", "keep/cache", "keep/x.xml"])
    expect(paths(notes.filter((note) => note.kind === "excluded"))).toEqual([".hidden", "cache", "x.log", "log/x.log"])
  })

  test.each(["/cache", "../x", "a/../b"])("refuses the pattern %s, which would keep nothing out", (pattern) => {
    expect(() => directorySource({ kind: "directory", path: "/x", account: "a", exclude: [pattern] }, "state", {})).toThrow(/relative/)
  })

  test("of an empty directory is empty, and that is no error", async () => {
    expect((await capture({ path: await directory(), account: "platform" }, "state")).items).toEqual([])
  })

  test("resolves a link in the root's own path, and no other", async () => {
    const root = await directory()
    await put(root, "real/x")
    await symlink("real", `${root}/current`)
    const { items } = await capture({ path: `${root}/current`, account: "platform" }, "state")
    expect(items).toMatchObject([{ path: Buffer.from("x"), content: { path: Buffer.from(`${root}/real/x`) } }])
  })

  test("cannot be without an account, nor with a template", () => {
    expect(() => directorySource({ kind: "directory", path: "/x" }, "state", {})).toThrow(/needs an account/)
    expect(() => directorySource({ kind: "directory", path: "/x", account: "a", template: recordingsTemplate }, "state", {})).toThrow(
      /archive mode/,
    )
  })
})

describe("a root that cannot be read", () => {
  test("does not exist: the run fails, it never looks empty", async () => {
    const root = await directory()
    const gone = capture({ path: `${root}/gone`, account: "platform" }, "state")
    await expect(gone).rejects.toMatchObject({
      code: "job/source",
      message: expect.stringContaining("does not exist"),
      hint: expect.stringContaining("mounted"),
    })
  })

  test("is a file", async () => {
    const root = await directory()
    await put(root, "file")
    await expect(capture({ path: `${root}/file`, account: "platform" }, "state")).rejects.toMatchObject({ code: "job/source" })
  })

  test("is a link that leads nowhere", async () => {
    const root = await directory()
    await symlink("gone", `${root}/dangling`)
    await expect(capture({ path: `${root}/dangling`, account: "platform" }, "state")).rejects.toMatchObject({
      hint: expect.stringContaining("link"),
    })
  })
})

describe("a whole provider", () => {
  const seed = { seed: "provider", now: new Date(later.getTime() - 30 * minute), accounts: 5, recordings: 60, bytes: 600_000, days: 4 }

  test("is found entire, each file with the size and time it was written with", async () => {
    const world = await buildWorld(await directory(), seed)
    const recordings = await capture({ path: world.recordings, template: recordingsTemplate, timezone: world.timezone }, "archive")
    const cdr = await capture({ path: world.cdr, template: cdrTemplate }, "archive")
    const config = await capture({ path: world.config, account: "platform" }, "state")

    for (const [tree, { items, misses }] of Object.entries({ recordings, cdr, config })) {
      const files = [...world.files.values()].filter((file) => file.tree === tree)
      const expected = files.map((file) => [text(file.path), file.size, file.mode, Math.round(file.mtimeMs / 1000)])
      const met = items.filter((item) => item.type === "file")
      expect(met.map((item) => [text(item.path), item.size, item.mode, Math.round(Number(item.mtimeNs) / 1e9)]).toSorted()).toEqual(
        expected.toSorted(),
      )
      expect(misses, tree).toEqual([])
    }
    expect(recordings.items.filter((item) => item.stableId === "mixed")).toHaveLength(3)
    expect(new Set(recordings.items.map((item) => item.stableId)).size).toBeGreaterThan(1)
    expect(config.items.filter((item) => item.type === "symlink")).toHaveLength(3)
  })

  test("is the same for the same seed, and another for another", async () => {
    const [one, two, other] = [
      await buildWorld(await directory(), seed),
      await buildWorld(await directory(), seed),
      await buildWorld(await directory(), { ...seed, seed: "another" }),
    ]
    const firstDay = await advance(one, 2)
    expect(await advance(two, 2)).toEqual(firstDay)
    expect(two.files).toEqual(one.files)
    expect(two.databaseDigest()).toBe(one.databaseDigest())
    expect([...other.files.keys()]).not.toEqual([...one.files.keys()])
    expect(firstDay.added.length).toBeGreaterThan(0)
    expect(firstDay.changed.length).toBeGreaterThan(0)
    expect(firstDay.removed.length).toBeGreaterThan(0)
  })
})

test("the source of a job's settings is opened by its kind, where the mode fits", async () => {
  expect(openSource({ kind: "directory", path: "/x", account: "platform" }, "state", {}).description).toBe("directory /x")
  expect(openSource({ kind: "sqlite", path: "/x.db", account: "mixed" }, "state", {}).description).toBe("sqlite /x.db")
  expect(openSource({ kind: "command", command: ["pg_dump"], account: "mixed", name: "x.sql" }, "state", {}).description).toBe(
    "command pg_dump",
  )
  expect(() => openSource({ kind: "command", command: ["x"], account: "mixed", name: "x" }, "archive", {})).toThrow(/state mode only/)
})
