import { execFileSync } from "node:child_process"
import { lstatSync } from "node:fs"
import { chmod, mkdir, rename, rm, symlink, writeFile } from "node:fs/promises"
import { createServer } from "node:net"
import { describe, expect, test } from "vitest"
import { absolute, type Walked, type WalkOptions, walk } from "../../src/source/walk.ts"
import { requireTool } from "../requires.ts"
import { buildTree } from "../world/tree.ts"
import { scratchDirectories, signal, text } from "./captured.ts"

const directory = scratchDirectories()
const everything: WalkOptions = { signal, skip: () => false }

async function walked(root: string, options = everything): Promise<Walked[]> {
  return await Array.fromAsync(walk(Buffer.from(root), options))
}

/** One line for each thing met: a path, or "reason path". */
function lines(found: readonly Walked[]): string[] {
  return found.map((one) => {
    if ("entry" in one) return text(one.entry.path)
    return "hindrance" in one ? `${one.hindrance.reason} ${text(one.hindrance.path)}` : `skipped ${text(one.skipped)}`
  })
}

test("meets everything once, by the bytes of names, a directory before what is in it", async () => {
  const root = await directory()
  await mkdir(`${root}/b/inner`, { recursive: true })
  for (const name of ["b/inner/x", "b/z", "B", "a.WAV", "a.wav", "é", "a b", "b.txt", "0"]) await writeFile(`${root}/${name}`, "")

  const met = lines(await walked(root))

  expect(met).toEqual(["0", "B", "a b", "a.WAV", "a.wav", "b", "b.txt", "Ã©", "b/inner", "b/z", "b/inner/x"])
  expect(lines(await walked(root)), "again").toEqual(met)
})

test("names are bytes: 255 of them, not UTF-8, with line breaks", async () => {
  const root = await directory()
  const names = [
    Buffer.alloc(255, "x"),
    Buffer.from([0xff, 0xfe, 0x80]),
    Buffer.from("line\nbreak\r"),
    Buffer.from([1, 2, 0x1b]),
    Buffer.from("\\ * ? ' \""),
  ]
  for (const name of names) await writeFile(Buffer.concat([Buffer.from(`${root}/`), name]), "")

  const met = await walked(root)

  expect(met.map((one) => ("entry" in one ? one.entry.path : null))).toEqual(names.toSorted(Buffer.compare))
})

test("links are met, never followed", async () => {
  const outside = await directory()
  await writeFile(`${outside}/secret`, "")
  const root = await directory()
  await symlink(outside, `${root}/out`)
  await symlink(Buffer.from([0x2e, 0xff]), `${root}/dangling`)
  await symlink(".", `${root}/loop`)

  const met = await walked(root)

  expect(lines(met)).toEqual(["dangling", "loop", "out"])
  expect(met.map((one) => ("entry" in one ? one.entry.link : null))).toEqual([
    Buffer.from([0x2e, 0xff]),
    Buffer.from("."),
    Buffer.from(outside),
  ])
})

test("sockets, pipes and devices are refused", async (context) => {
  const lacking = requireTool("mkfifo")
  if (lacking !== null) context.skip(lacking)
  const root = await directory()
  execFileSync("mkfifo", [`${root}/pipe`])
  const server = createServer().listen(`${root}/socket`)
  try {
    expect(lines(await walked(root))).toEqual(["refused pipe", "refused socket"])
  } finally {
    await new Promise((resolve) => server.close(resolve))
  }
})

test("another filesystem is refused, and not entered", async (context) => {
  const own = deviceOf("/dev")
  const other = ["shm", "pts", "mqueue"].find((name) => own !== undefined && ![undefined, own].includes(deviceOf(`/dev/${name}`)))
  if (other === undefined) return context.skip("no filesystem is mounted below /dev")

  const met = lines(await walked("/dev"))

  expect(met).toContain(`refused ${other}`)
  expect(met.filter((line) => line.includes(`${other}/`))).toEqual([])
  expect(met, "a device").toContain("refused null")
})

function deviceOf(path: string): bigint | undefined {
  return lstatSync(path, { bigint: true, throwIfNoEntry: false })?.dev
}

test("what is skipped is named once, and nothing below it is looked at", async () => {
  const root = await directory()
  await mkdir(`${root}/cache/deep`, { recursive: true })
  await writeFile(`${root}/cache/deep/x`, "")
  await writeFile(`${root}/kept`, "")

  expect(lines(await walked(root, { signal, skip: (path) => text(path) === "cache" }))).toEqual(["skipped cache", "kept"])
})

describe("while it walks", () => {
  test("an entry that goes is a miss", async () => {
    const root = await directory()
    for (const name of ["a", "b", "c"]) await writeFile(`${root}/${name}`, "")
    const walking = walk(Buffer.from(root), everything)
    await walking.next()
    await rm(`${root}/b`)
    expect(lines(await Array.fromAsync(walking))).toEqual(["vanished b", "c"])
  })

  test("a directory that goes is a miss", async () => {
    const root = await directory()
    await mkdir(`${root}/dir`)
    await writeFile(`${root}/e`, "")
    const walking = walk(Buffer.from(root), everything)
    await walking.next()
    await rm(`${root}/dir`, { recursive: true })
    expect(lines(await Array.fromAsync(walking))).toEqual(["e", "vanished dir"])
  })

  test("a link that takes a directory's place leads nowhere", async () => {
    const outside = await directory()
    await writeFile(`${outside}/secret`, "")
    const root = await directory()
    await mkdir(`${root}/dir`)
    const walking = walk(Buffer.from(root), everything)
    await walking.next()
    await rm(`${root}/dir`, { recursive: true })
    await symlink(outside, `${root}/dir`)
    expect(lines(await Array.fromAsync(walking))).toEqual(["torn dir"])
  })

  test("a link that takes the place of a directory further up leads nowhere", async () => {
    const outside = await directory()
    await mkdir(`${outside}/inner`)
    await writeFile(`${outside}/inner/secret`, "")
    const root = await directory()
    await mkdir(`${root}/dir/inner`, { recursive: true })
    const walking = walk(Buffer.from(root), everything)
    await walking.next()
    await walking.next()
    await rename(`${root}/dir`, `${root}/elsewhere`)
    await symlink(outside, `${root}/dir`)
    expect(lines(await Array.fromAsync(walking))).toEqual(["torn dir/inner"])
  })

  test("a directory or a file that takes a directory's place is torn, not gone", async () => {
    const root = await directory()
    for (const name of ["dir", "other"]) {
      await mkdir(`${root}/${name}`)
      await writeFile(`${root}/${name}/inside`, "")
    }
    const walking = walk(Buffer.from(root), everything)
    await walking.next()
    await walking.next()
    await rename(`${root}/dir`, `${root}/dir.old`)
    await mkdir(`${root}/dir`)
    await rm(`${root}/other`, { recursive: true })
    await writeFile(`${root}/other`, "")
    expect(lines(await Array.fromAsync(walking))).toEqual(["torn dir", "torn other"])
  })

  test("a directory whose place was taken is still the one that is read", async (context) => {
    if (process.platform !== "linux") return context.skip("needs /proc")
    const outside = await directory()
    await writeFile(`${outside}/b`, "much longer than what was there")
    const root = await directory()
    await mkdir(`${root}/dir`)
    for (const name of ["a", "b"]) await writeFile(`${root}/dir/${name}`, "")
    const walking = walk(Buffer.from(root), everything)
    await walking.next()
    await walking.next()
    await rename(`${root}/dir`, `${root}/elsewhere`)
    await symlink(outside, `${root}/dir`)
    const [last] = await Array.fromAsync(walking)
    expect(last).toMatchObject({ entry: { path: Buffer.from("dir/b"), stats: { size: 0n } } })
  })

  test("an abort ends it", async () => {
    const root = await directory()
    for (let index = 0; index < 200; index++) await writeFile(`${root}/${String(index)}`, "")
    const stop = new AbortController()
    const walking = walk(Buffer.from(root), { ...everything, signal: stop.signal })
    await walking.next()
    stop.abort(new Error("enough"))
    await expect(Array.fromAsync(walking)).rejects.toThrow("enough")
  })

  test("the event loop gets its turns", async () => {
    const root = await directory()
    await buildTree(root, { seed: "turns", files: 1000, bytes: 1000 })
    let turns = 0
    let walking = true
    const turn = (): void => {
      turns += 1
      if (walking) setImmediate(turn)
    }
    setImmediate(turn)
    expect(await walked(root)).toHaveLength(1001)
    walking = false
    expect(turns).toBeGreaterThan(5)
  })
})

test("an unreadable directory is a miss, its neighbours are not; an unreadable root is the end", async (context) => {
  const root = await directory()
  await mkdir(`${root}/closed`)
  await mkdir(`${root}/open`)
  await writeFile(`${root}/open/x`, "")
  await chmod(root, 0o755)
  await chmod(`${root}/closed`, 0)
  const restore = asNobody()
  if (restore === null) return context.skip("rights cannot be given up here")
  try {
    expect(lines(await walked(root))).toEqual(["closed", "open", "unreadable closed", "open/x"])
    await expect(walked(`${root}/closed`)).rejects.toMatchObject({ code: "job/source" })
  } finally {
    restore()
    await chmod(`${root}/closed`, 0o755)
  }
})

/** Permissions mean nothing to root: gives its rights up, and a function to have them back. */
function asNobody(): (() => void) | null {
  if (process.geteuid?.() !== 0) return () => undefined
  try {
    process.seteuid?.(65_534)
    return () => process.seteuid?.(0)
  } catch {
    return null
  }
}

test("paths up to the system's limit are walked; what lies deeper is a miss", async () => {
  const root = await directory()
  const component = "d".repeat(250)
  // A path longer than the limit cannot be made in one call: two halves are joined by a move.
  const far = `${root}/${Array.from({ length: 12 }, () => component).join("/")}`
  const near = `${root}/${Array.from({ length: 8 }, () => "e".repeat(250)).join("/")}`
  await mkdir(far, { recursive: true })
  await mkdir(near, { recursive: true })
  await writeFile(`${near}/last`, "")
  await rename(`${root}/${"e".repeat(250)}`, `${far}/${"e".repeat(250)}`)

  const met = await walked(root)

  const entries = met.filter((one) => "entry" in one)
  expect(entries.length).toBeGreaterThan(12)
  expect(Math.max(...entries.map(({ entry }) => absolute(Buffer.from(root), entry.path).length))).toBeLessThanOrEqual(4095)
  const hindrances = met.flatMap((one) => ("hindrance" in one ? [one.hindrance] : []))
  expect(hindrances).toMatchObject([{ reason: "unreadable", detail: expect.stringContaining("longer than") }])
  execFileSync("rm", ["-rf", root])
})
