import { execFileSync, spawn } from "node:child_process"
import fs from "node:fs"
import {
  chmod,
  type FileHandle,
  mkdir,
  mkdtemp,
  open,
  readdir,
  readFile,
  realpath,
  rm,
  stat,
  symlink,
  utimes,
  writeFile,
} from "node:fs/promises"
import { syncBuiltinESMExports } from "node:module"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { expect, onTestFinished, type TestContext, test } from "vitest"
import { sha256 } from "../../src/digest.ts"
import { systemRandom } from "../../src/random.ts"
import { directorySite } from "../../src/site/directory.ts"
import { deviceOf } from "../../src/site/mount.ts"
import type { OpenedSite } from "../../src/site/site.ts"
import { bytesOf, keysAt, put } from "../contract/site.ts"

async function emptyDirectory(): Promise<string> {
  const path = await realpath(await mkdtemp(join(tmpdir(), "holdline-directory-")))
  onTestFinished(() => rm(path, { recursive: true, force: true }))
  return path
}

async function opened(path: string, readOnly = false): Promise<OpenedSite> {
  return await directorySite({ name: "fra", path, readOnly }, systemRandom)
}

/** Every file below a path, those a listing hides as well. */
async function filesBelow(path: string): Promise<string[]> {
  const entries = await readdir(path, { recursive: true, withFileTypes: true })
  return entries
    .filter((entry) => !entry.isDirectory())
    .map((entry) => join(entry.parentPath, entry.name).slice(path.length + 1))
    .sort()
}

/** A private file system at a fresh path; skips the test where this user or machine cannot mount one. */
async function mounted(context: TestContext, options: string): Promise<string> {
  const path = await emptyDirectory()
  try {
    execFileSync("mount", ["-t", "tmpfs", "-o", options, "tmpfs", path], { stdio: "pipe" })
  } catch (error) {
    context.skip(`cannot mount a tmpfs here: ${String(error).split("\n")[0] ?? ""}`)
  }
  onTestFinished(() => {
    execFileSync("umount", ["--lazy", path])
  })
  return path
}

/** Lets a function of node:fs/promises fail with `code` until the test ends, `times` times. */
function failing(name: "link" | "rename", code: string, times = Number.POSITIVE_INFINITY): () => number {
  const real = fs.promises[name]
  let failed = 0
  fs.promises[name] = async (from, to) => {
    if (failed >= times) return await real(from, to)
    failed += 1
    throw Object.assign(new Error(`${code}: injected, ${name}`), { code })
  }
  syncBuiltinESMExports()
  onTestFinished(() => {
    fs.promises[name] = real
    syncBuiltinESMExports()
  })
  return () => failed
}

/** Lets every sync of a file or directory be seen first, until the test ends, with the path synced. */
async function watchingSyncs(watch: (path: string) => void): Promise<void> {
  await using handle = await open(tmpdir(), "r")
  const prototype: { sync(this: FileHandle): Promise<void> } = Object.getPrototypeOf(handle)
  const real = prototype.sync
  prototype.sync = async function () {
    watch(fs.readlinkSync(`/proc/self/fd/${String(this.fd)}`))
    await real.call(this)
  }
  onTestFinished(() => {
    prototype.sync = real
  })
}

const source = (path: string) => JSON.stringify(new URL(`../../src/${path}`, import.meta.url).href)

/** Runs a program in a process of its own, with `site` open at `path` and `bytes` in scope; resolves to its output and how it ended. */
async function elsewhere(path: string, program: string): Promise<{ output: string; signal: NodeJS.Signals | null }> {
  const code = `
    import fs from "node:fs"
    import { syncBuiltinESMExports } from "node:module"
    const { directorySite } = await import(${source("site/directory.ts")})
    const { systemRandom } = await import(${source("random.ts")})
    const { sha256 } = await import(${source("digest.ts")})
    const { site } = await directorySite({ name: "fra", path: ${JSON.stringify(path)} }, systemRandom)
    ${program}`
  const child = spawn(process.execPath, ["--input-type=module", "-e", code], { stdio: ["ignore", "pipe", "inherit"] })
  let output = ""
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    output += text
  })
  return await new Promise((resolve) => child.on("close", (_code, signal) => resolve({ output, signal })))
}

test("an object is a file of its own bytes at its key, and nothing else is left", async () => {
  const path = await emptyDirectory()
  const { site } = await opened(path)
  await put(site, "v1/a/pack/db-35/2026-11-21/x.tar", bytesOf(1000))
  expect(await filesBelow(path)).toEqual(["v1/a/pack/db-35/2026-11-21/x.tar"])
  expect(Buffer.compare(await readFile(join(path, "v1/a/pack/db-35/2026-11-21/x.tar")), bytesOf(1000))).toBe(0)
})

test("a missing directory is unavailable, and is not created", async () => {
  const path = join(await emptyDirectory(), "vault")
  await expect(opened(path)).rejects.toMatchObject({ code: "site/unavailable", hint: expect.stringContaining("mount") })
  await expect(stat(path)).rejects.toMatchObject({ code: "ENOENT" })
  await writeFile(path, "")
  await expect(opened(path)).rejects.toMatchObject({ code: "site/unavailable" })
})

test("a directory opened for reading is not written to at all", async () => {
  const path = await emptyDirectory()
  const { site, replace, serverTime } = await opened(path, true)
  await expect(put(site, "v1/x", bytesOf(3))).rejects.toMatchObject({ code: "site/denied" })
  await expect(serverTime()).rejects.toMatchObject({ code: "site/unsupported" })
  expect(replace).toBeUndefined()
  expect(await readdir(path)).toEqual([])
})

test("a path through a symbolic link to the root is the operator's choice", async () => {
  const path = await emptyDirectory()
  await mkdir(join(path, "real"))
  await symlink("real", join(path, "vault"))
  const { site } = await opened(join(path, "vault"))
  await put(site, "v1/x", bytesOf(3))
  expect(await keysAt(site)).toEqual(["v1/x"])
})

test("a symbolic link to a folder below the root is refused, wherever it is met", async () => {
  const [path, outside] = [await emptyDirectory(), await emptyDirectory()]
  const { site } = await opened(path)
  await mkdir(join(path, "v1"))
  await writeFile(join(outside, "secret"), "secret")
  await symlink(outside, join(path, "v1/a"))
  const denied = { name: "SiteError", code: "site/denied", hint: expect.stringContaining("in its place") }
  await expect(site.get("v1/a/secret")).rejects.toMatchObject(denied)
  await expect(site.head("v1/a/secret")).rejects.toMatchObject(denied)
  await expect(put(site, "v1/a/x", bytesOf(3))).rejects.toMatchObject(denied)
  await expect(put(site, "v1/a/b/x", bytesOf(3))).rejects.toMatchObject(denied)
  await expect(keysAt(site, "v1/a/")).rejects.toMatchObject(denied)
  await expect(keysAt(site), "an object behind it must not look expired").rejects.toMatchObject(denied)
  expect(await readdir(outside)).toEqual(["secret"])
})

test("a symbolic link that takes a folder's place after it was used is refused", async () => {
  const [path, outside] = [await emptyDirectory(), await emptyDirectory()]
  const { site } = await opened(path)
  await put(site, "v1/a/x", bytesOf(3))
  await rm(join(path, "v1/a"), { recursive: true })
  await symlink(outside, join(path, "v1/a"))
  await expect(put(site, "v1/a/y", bytesOf(3))).rejects.toMatchObject({ code: "site/denied" })
  expect(await readdir(outside)).toEqual([])
})

test("a symbolic link in the place of an object is refused, and can be replaced", async () => {
  const [path, outside] = [await emptyDirectory(), await emptyDirectory()]
  const { site, replace } = await opened(path)
  await writeFile(join(outside, "target"), bytesOf(3))
  await mkdir(join(path, "v1"))
  await symlink(join(outside, "target"), join(path, "v1/x"))
  await expect(site.get("v1/x")).rejects.toMatchObject({ code: "site/denied" })
  await expect(site.head("v1/x")).rejects.toMatchObject({ code: "site/denied" })
  await expect(put(site, "v1/x", bytesOf(3)), "even where it points to the same bytes").rejects.toMatchObject({ code: "site/denied" })
  await expect(keysAt(site)).rejects.toMatchObject({ code: "site/denied" })
  await replace?.("v1/x", bytesOf(4), { sha256: sha256(bytesOf(4)) })
  expect(Buffer.compare(await site.get("v1/x"), bytesOf(4))).toBe(0)
  expect(Buffer.compare(await readFile(join(outside, "target")), bytesOf(3))).toBe(0)
})

test("a pipe in the place of an object is refused at once", async () => {
  const path = await emptyDirectory()
  const { site } = await opened(path)
  await mkdir(join(path, "v1"))
  execFileSync("mkfifo", [join(path, "v1/x")])
  await expect(site.get("v1/x")).rejects.toMatchObject({ code: "site/denied" })
  await expect(put(site, "v1/x", bytesOf(3))).rejects.toMatchObject({ name: "SiteError" })
})

test("a key that has another key's folder for its name, or the other way round, is a conflict", async () => {
  const path = await emptyDirectory()
  const { site, replace } = await opened(path)
  await put(site, "v1/a/x", bytesOf(3))
  await expect(put(site, "v1/a", bytesOf(3))).rejects.toMatchObject({ code: "site/conflict" })
  await expect(put(site, "v1/a/x/y", bytesOf(3))).rejects.toMatchObject({ code: "site/conflict" })
  await expect(replace?.("v1/a", bytesOf(3), { sha256: sha256(bytesOf(3)) })).rejects.toMatchObject({ code: "site/conflict" })
  expect(await keysAt(site)).toEqual(["v1/a/x"])
})

test("replacing rotten bytes keeps them aside, for a person to look at", async () => {
  const path = await emptyDirectory()
  const { site, replace } = await opened(path)
  await put(site, "v1/a/x", bytesOf(50))
  await writeFile(join(path, "v1/a/x"), "rot")
  await replace?.("v1/a/x", bytesOf(50), { sha256: sha256(bytesOf(50)) })
  expect(Buffer.compare(await site.get("v1/a/x"), bytesOf(50))).toBe(0)
  const aside = (await filesBelow(path)).filter((file) => file.startsWith(".holdline-rotten/v1/a/x."))
  expect(aside).toHaveLength(1)
  expect(await readFile(join(path, aside[0] ?? ""), "utf8")).toBe("rot")
})

test("temporary files are no objects; old ones are cleaned away at opening, young ones are someone's", async () => {
  const path = await emptyDirectory()
  await mkdir(join(path, ".holdline-tmp"))
  for (const name of ["old", "young"]) await writeFile(join(path, ".holdline-tmp", name), "half")
  const { mtimeMs } = await stat(join(path, ".holdline-tmp/old"))
  for (const [name, hours] of [
    ["old", 25],
    ["young", 23],
  ] as const) {
    const written = new Date(mtimeMs - hours * 3_600_000)
    await utimes(join(path, ".holdline-tmp", name), written, written)
  }
  const { site } = await opened(path)
  expect(await keysAt(site)).toEqual([])
  expect(await readdir(join(path, ".holdline-tmp"))).toEqual(["young"])
})

test("when put resolves, the bytes and every name on the way to them are synced, whoever made them", async () => {
  const path = await emptyDirectory()
  await mkdir(join(path, "v1"))
  const { site } = await opened(path)
  const synced: string[] = []
  await watchingSyncs((each) => synced.push(each.replace(/[0-9a-f]{32}$/, "*")))
  await put(site, "v1/a/x", bytesOf(3))
  expect(synced).toEqual([path, join(path, "v1"), join(path, ".holdline-tmp/*"), join(path, "v1/a")])
  synced.length = 0
  await put(site, "v1/a/x", bytesOf(3))
  expect(synced, "again: who wrote it first may have died").toEqual([join(path, "v1/a/x"), join(path, "v1/a")])
})

test("bytes that cannot be synced are not put", async () => {
  const path = await emptyDirectory()
  const { site } = await opened(path)
  let broken = true
  await watchingSyncs((each) => {
    if (broken && each.includes(".holdline-tmp/")) throw Object.assign(new Error("EIO: injected, fsync"), { code: "EIO" })
  })
  await expect(put(site, "v1/a/x", bytesOf(3))).rejects.toMatchObject({ code: "site/unavailable" })
  expect(await filesBelow(path)).toEqual([])
  broken = false
  await put(site, "v1/a/x", bytesOf(3))
})

test("a process killed between writing and naming leaves nothing to see, and nothing in the way", async () => {
  const path = await emptyDirectory()
  const killed = await elsewhere(
    path,
    `fs.promises.link = () => { process.kill(process.pid, "SIGKILL"); return new Promise(() => {}) }
     syncBuiltinESMExports()
     const bytes = new Uint8Array(1000)
     await site.put("v1/a/x", bytes, { sha256: sha256(bytes) })`,
  )
  expect(killed.signal).toBe("SIGKILL")
  expect(await filesBelow(path), "the bytes had been written").toEqual([expect.stringMatching(/^\.holdline-tmp\//)])
  const { site } = await opened(path)
  expect(await keysAt(site)).toEqual([])
  expect(await site.head("v1/a/x")).toBeNull()
  await put(site, "v1/a/x", new Uint8Array(1000))
  expect(await keysAt(site)).toEqual(["v1/a/x"])
})

test("of two processes putting other bytes under one key at once, exactly one succeeds", async () => {
  const path = await emptyDirectory()
  const program = (fill: number) => `
    const bytes = new Uint8Array(300_000).fill(${String(fill)})
    let won = ""
    for (let n = 0; n < 40; n++) {
      await site.put("v1/a/" + n, bytes, { sha256: sha256(bytes) }).then(() => { won += "1" }, (error) => { won += error.code === "site/conflict" ? "0" : error.code })
    }
    console.log(won)`
  const [one, two] = await Promise.all([elsewhere(path, program(1)), elsewhere(path, program(2))])
  const { site } = await opened(path)
  for (let n = 0; n < 40; n++) {
    const [first] = await site.get(`v1/a/${String(n)}`, { range: { offset: 0, length: 1 } })
    expect([one.output[n], two.output[n]], `key ${String(n)}`).toEqual(first === 1 ? ["1", "0"] : ["0", "1"])
  }
})

test("two processes putting the same bytes under one key at once both succeed", async () => {
  const path = await emptyDirectory()
  const program = `
    const bytes = new Uint8Array(300_000)
    for (let n = 0; n < 40; n++) await site.put("v1/a/" + n, bytes, { sha256: sha256(bytes) })
    console.log("done")`
  const both = await Promise.all([elsewhere(path, program), elsewhere(path, program)])
  expect(both.map(({ output }) => output)).toEqual(["done\n", "done\n"])
  expect(await filesBelow(path)).toHaveLength(40)
})

test.each(["EPERM", "ENOTSUP", "EMLINK"])("where the mount answers link with %s, an object is named by renaming", async (code) => {
  const failed = failing("link", code)
  const path = await emptyDirectory()
  const { site, createOnly, replace } = await opened(path)
  expect(createOnly).toBe(false)
  await put(site, "v1/a/x", bytesOf(10))
  await put(site, "v1/a/x", bytesOf(10))
  await expect(put(site, "v1/a/x", bytesOf(11)), "seen in time, though not guaranteed").rejects.toMatchObject({ code: "site/conflict" })
  await replace?.("v1/a/x", bytesOf(11), { sha256: sha256(bytesOf(11)) })
  expect(Buffer.compare(await site.get("v1/a/x"), bytesOf(11))).toBe(0)
  expect(await keysAt(site)).toEqual(["v1/a/x"])
  expect(failed()).toBeGreaterThan(2)
})

test.each([
  ["ENOSPC", "site/full"],
  ["EDQUOT", "site/full"],
  ["EROFS", "site/denied"],
  ["EACCES", "site/denied"],
  ["EIO", "site/unavailable"],
  ["ESTALE", "site/unavailable"],
  ["ENOTCONN", "site/unavailable"],
  ["EXDEV", "site/unsupported"],
])("a system call that fails with %s is %s, and leaves nothing behind", async (errno, code) => {
  const path = await emptyDirectory()
  const { site } = await opened(path)
  const failed = failing("link", errno, 1)
  await expect(put(site, "v1/a/x", bytesOf(10))).rejects.toMatchObject({ name: "SiteError", code, site: "fra", cause: { code: errno } })
  expect(failed()).toBe(1)
  expect(await filesBelow(path)).toEqual([])
  await put(site, "v1/a/x", bytesOf(10))
})

test("a full disk is said to be full, keeps what it has, and takes more when there is room again", async (context) => {
  const path = await mounted(context, "size=1m")
  const { site } = await opened(path)
  await put(site, "v1/a/x", bytesOf(600_000, 1))
  await expect(put(site, "v1/a/y", bytesOf(600_000, 2))).rejects.toMatchObject({
    code: "site/full",
    hint: expect.stringContaining("space"),
  })
  expect(await filesBelow(path)).toEqual(["v1/a/x"])
  const reopened = await opened(path)
  expect(Buffer.compare(await reopened.site.get("v1/a/x"), bytesOf(600_000, 1))).toBe(0)
  await rm(join(path, "v1/a/x"))
  await put(site, "v1/a/y", bytesOf(600_000, 2))
})

test("a write-protected mount can be read, and says that it cannot be written", async (context) => {
  const path = await mounted(context, "size=1m")
  await put((await opened(path)).site, "v1/a/x", bytesOf(10))
  execFileSync("mount", ["-o", "remount,ro", path])
  const { site } = await opened(path)
  expect(await keysAt(site)).toEqual(["v1/a/x"])
  expect((await site.get("v1/a/x")).length).toBe(10)
  await expect(put(site, "v1/a/y", bytesOf(10))).rejects.toMatchObject({ code: "site/denied" })
})

test("a mount that went away is unavailable, not empty", async (context) => {
  const path = await mounted(context, "size=1m")
  const { site } = await opened(path)
  await put(site, "v1/a/x", bytesOf(10))
  execFileSync("umount", ["--lazy", path])
  const gone = { code: "site/unavailable", hint: expect.stringContaining("mount") }
  await expect(keysAt(site)).rejects.toMatchObject(gone)
  await expect(site.head("v1/a/x")).rejects.toMatchObject(gone)
  await expect(put(site, "v1/a/y", bytesOf(10))).rejects.toMatchObject(gone)
  expect(await readdir(path), "nothing was written below the mount point").toEqual([])
  await writeFile(join(path, "other"), "what lies below a mount point is not the site's")
  const first = site.list("")[Symbol.asyncIterator]().next()
  await expect(first).rejects.toMatchObject(gone)
  execFileSync("mount", ["-t", "tmpfs", "tmpfs", path])
})

test("a folder that this user may not read fails the listing, rather than shortening it", async () => {
  const path = await emptyDirectory()
  const { site } = await opened(path)
  await put(site, "v1/a/x", bytesOf(10))
  await chmod(path, 0o755)
  await chmod(join(path, "v1"), 0o755)
  await chmod(join(path, "v1/a"), 0)
  // Root may read everything: as root, the process becomes someone else first.
  const { output } = await elsewhere(
    path,
    `if (process.getuid() === 0) process.seteuid(65534)
     await Array.fromAsync(site.list("")).then((all) => console.log(all.length), (error) => console.log(error.code))`,
  )
  expect(output).toBe("site/denied\n")
})

test("a folder that someone removed is made again", async () => {
  const path = await emptyDirectory()
  const { site } = await opened(path)
  await put(site, "v1/a/x", bytesOf(10))
  await rm(join(path, "v1"), { recursive: true })
  await rm(join(path, ".holdline-tmp"), { recursive: true })
  await put(site, "v1/a/y", bytesOf(10))
  expect(await keysAt(site)).toEqual(["v1/a/y"])
})

test("an object that was cut short refuses the range that is gone", async () => {
  const path = await emptyDirectory()
  const { site } = await opened(path)
  await put(site, "v1/a/x", bytesOf(100))
  await writeFile(join(path, "v1/a/x"), bytesOf(60))
  await expect(site.get("v1/a/x", { range: { offset: 50, length: 50 } })).rejects.toMatchObject({ code: "site/corrupt" })
})

test("the device of a path tells whether two places are lost together", async (context) => {
  const path = await emptyDirectory()
  await mkdir(join(path, "below"))
  expect(await deviceOf(join(path, "below"))).toBe(await deviceOf(path))
  expect(await deviceOf(await mounted(context, "size=1m"))).not.toBe(await deviceOf(path))
})

test("its clock is the file system's and does not count for retention", async () => {
  const { serverTime, ownClock, site } = await opened(await emptyDirectory())
  const before = await serverTime()
  const { storedAt } = await put(site, "v1/x", bytesOf(3))
  expect(storedAt.getTime()).toBeGreaterThanOrEqual(before.getTime())
  expect(ownClock).toBe(false)
})
