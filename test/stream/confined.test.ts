import {
  chmodSync,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterEach, describe, expect, test } from "vitest"
import { ConfinedTree } from "../../src/confined.ts"
import { hash32 } from "../../src/digest.ts"
import type { Random } from "../../src/random.ts"

const looks = { mode: 0o644, mtimeNs: 0n }
const made: string[] = []

afterEach(() => {
  for (const path of made.splice(0)) rmSync(path, { recursive: true, force: true })
})

function open(random?: Random): { readonly root: string; readonly tree: ConfinedTree } {
  const root = mkdtempSync(join(tmpdir(), "confined-"))
  made.push(root)
  return { root, tree: random === undefined ? new ConfinedTree(root) : new ConfinedTree(root, random) }
}

function write(tree: ConfinedTree, path: string, bytes: string): void {
  const file = tree.create(Buffer.from(path))
  file.write(Buffer.from(bytes))
  file.settle(looks)
}

/** The names that a tree gives to files which are being written. */
function unfinished(directory: string): string[] {
  return readdirSync(directory).filter((name) => name.startsWith(".holdline-"))
}

describe("a file that is being written", () => {
  test("has a name of its own, though another is written under the same path: the first to settle wins", () => {
    const { root, tree } = open()
    const [first, second] = [tree.create(Buffer.from("a")), tree.create(Buffer.from("a"))]
    first.write(Buffer.from("first"))
    second.write(Buffer.from("second"))
    first.settle(looks)
    expect(readFileSync(join(root, "a"), "utf8")).toBe("first")
    expect(() => second.settle(looks)).toThrow(/something else has this name/)
    expect(readFileSync(join(root, "a"), "utf8")).toBe("first")
    expect(readdirSync(root)).toEqual(["a"])
    tree.close()
  })

  test("holds its parts in their order, however many are written at once", () => {
    const { root, tree } = open()
    const parts = Array.from({ length: 1500 }, (_, index) => Buffer.from(`${String(index)} `))
    const file = tree.create(Buffer.from("a"))
    file.write(...parts)
    file.write(Buffer.from("last"))
    file.settle(looks)
    expect(readFileSync(join(root, "a"), "utf8")).toBe(`${Buffer.concat(parts).toString()}last`)
    tree.close()
  })

  test("never takes away a file that looks like one being written", () => {
    const name = `.holdline-${hash32("a")}`
    const { root, tree } = open()
    write(tree, name, "captured")
    write(tree, "a", "a")
    tree.create(Buffer.from("a")).discard()
    expect(readFileSync(join(root, name), "utf8")).toBe("captured")
    tree.close()
  })

  test("takes another name where the one it was given exists, and leaves what has that one", () => {
    const draws = [1, 1, 3, 2]
    const { root, tree } = open({ bytes: (length) => new Uint8Array(length).fill(draws.shift() ?? 9) })
    const first = tree.create(Buffer.from("a"))
    const [taken = ""] = unfinished(root)
    const link = taken.replaceAll("1", "3")
    symlinkSync("outside", join(root, link))
    const second = tree.create(Buffer.from("b"))
    expect(unfinished(root)).toHaveLength(3)
    first.write(Buffer.from("a"))
    second.write(Buffer.from("b"))
    second.discard()
    expect(unfinished(root)).toEqual([taken, link])
    expect(existsSync(join(root, "outside"))).toBe(false)
    first.settle(looks)
    expect(readFileSync(join(root, "a"), "utf8")).toBe("a")
    tree.close()
  })

  test("fits where its own name is as long as any", () => {
    const { root, tree } = open()
    write(tree, "n".repeat(255), "long")
    expect(readdirSync(root)).toEqual(["n".repeat(255)])
    tree.close()
  })

  test("is not called done where another file was put in its place", () => {
    const { root, tree } = open()
    const file = tree.create(Buffer.from("a"))
    file.write(Buffer.from("restored"))
    const [name = ""] = unfinished(root)
    rmSync(join(root, name))
    writeFileSync(join(root, name), "planted")
    expect(() => file.settle(looks)).toThrow(/replaced/)
    expect(existsSync(join(root, "a"))).toBe(false)
    // Whoever planted it may take it away.
    expect(readFileSync(join(root, name), "utf8")).toBe("planted")
    tree.close()
  })

  test("takes away nothing that it did not write, when it is given up", () => {
    const { root, tree } = open()
    const file = tree.create(Buffer.from("a"))
    const [name = ""] = unfinished(root)
    renameSync(join(root, name), join(root, "moved"))
    writeFileSync(join(root, name), "planted")
    file.discard()
    expect(readFileSync(join(root, name), "utf8")).toBe("planted")
    tree.close()
  })
})

describe("directories held open", () => {
  test("a file keeps its own directory, however many others are opened while it is written", () => {
    const { root, tree } = open()
    const [settled, dropped] = [tree.create(Buffer.from("maple/call")), tree.create(Buffer.from("birch/call"))]
    for (let i = 0; i < 200; i++) write(tree, `other-${String(i)}/call`, "other")
    settled.write(Buffer.from("maple"))
    settled.settle(looks)
    dropped.discard()
    expect(readFileSync(join(root, "maple/call"), "utf8")).toBe("maple")
    expect(readdirSync(join(root, "maple"))).toEqual(["call"])
    expect(readdirSync(join(root, "birch"))).toEqual([])
    for (let i = 0; i < 200; i++) expect(readdirSync(join(root, `other-${String(i)}`))).toEqual(["call"])
    tree.close()
  })

  test("a file outlives the tree it was made in", () => {
    const { root, tree } = open()
    const file = tree.create(Buffer.from("sub/a"))
    tree.close()
    file.write(Buffer.from("a"))
    file.settle(looks)
    expect(readFileSync(join(root, "sub/a"), "utf8")).toBe("a")
  })

  test.runIf(process.platform === "linux")("are few, whatever the names and depths of what is restored", () => {
    const { tree } = open()
    const before = descriptors()
    write(tree, "a/file", "a")
    for (let i = 0; i < 300; i++) write(tree, `ab/${String(i)}/file`, "b")
    write(tree, `${"d/".repeat(500)}file`, "deep")
    expect(descriptors() - before).toBeLessThanOrEqual(64)
    for (let i = 0; i < 10; i++) expect(() => tree.create(Buffer.from("a/file/below"))).toThrow(/a file stands where/)
    tree.close()
    expect(descriptors()).toBe(before)
  })
})

function descriptors(): number {
  return readdirSync("/proc/self/fd").length
}

describe("looking for a file that may be there", () => {
  test("makes no directory", () => {
    const { root, tree } = open()
    expect(tree.openExisting(Buffer.from("sub/deep/file"))).toBeNull()
    expect(readdirSync(root)).toEqual([])
    tree.close()
  })

  test("finds none through a link, or below a file", () => {
    const { root, tree } = open()
    mkdirSync(join(root, "real"))
    writeFileSync(join(root, "real/file"), "x")
    symlinkSync("real", join(root, "link"))
    symlinkSync("link", join(root, "file"))
    for (const path of ["link/file", "real/file/below", "file", "real/file/far/below"]) {
      expect(tree.openExisting(Buffer.from(path)), path).toBeNull()
    }
    tree.close()
  })

  test("finds none in a directory that may not be read", () => {
    const { root, tree } = open()
    chmodSync(root, 0o755)
    mkdirSync(join(root, "closed"))
    writeFileSync(join(root, "closed/file"), "x")
    chmodSync(join(root, "closed"), 0)
    asNobody(() => expect(tree.openExisting(Buffer.from("closed/file"))).toBeNull())
    chmodSync(join(root, "closed"), 0o700)
    tree.close()
  })
})

// Permissions do not stop root.
function asNobody(work: () => void): void {
  const user = process.geteuid?.()
  if (user === 0) process.seteuid?.(65_534)
  try {
    work()
  } finally {
    if (user === 0) process.seteuid?.(0)
  }
}

describe("who a program runs as", () => {
  const dangerous = { mode: 0o6755, mtimeNs: 0n }

  test("is not given by a file or a directory whose owner was not restored", () => {
    const { root, tree } = open()
    tree.create(Buffer.from("program")).settle(dangerous)
    tree.makeDirectory(Buffer.from("shared"))
    tree.setDirectory(Buffer.from("shared"), { mode: 0o7777, mtimeNs: 0n })
    expect(lstatSync(join(root, "program")).mode & 0o7777).toBe(0o755)
    expect(lstatSync(join(root, "shared")).mode & 0o7777).toBe(0o1777)
    tree.close()
  })

  test("comes back with the owner", () => {
    const { root, tree } = open()
    const { uid, gid } = lstatSync(root)
    tree.create(Buffer.from("program")).settle({ ...dangerous, owner: { uid, gid } })
    expect(lstatSync(join(root, "program")).mode & 0o7777).toBe(0o6755)
    tree.close()
  })
})
