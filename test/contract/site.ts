import { describe, expect, test } from "vitest"
import { sha256 } from "../../src/digest.ts"
import { SiteError } from "../../src/errors.ts"
import { packBytesMax } from "../../src/limits.ts"
import type { ObjectInfo, OpenedSite, Site } from "../../src/site/site.ts"

/** Checks that what `make` returns, each time new and empty, keeps every promise of a Site. */
export function describeSite(name: string, make: () => Promise<OpenedSite>): void {
  describe(`${name} is a site`, () => {
    describe("keeps objects", () => keeping(make))
    describe("lists objects", () => listing(make))
    describe("refuses", () => refusing(make))
    describe("replaces", () => replacing(make))
  })
}

/** Bytes that differ from place to place, so that a range taken from the wrong place shows. */
export function bytesOf(length: number, seed = 1): Uint8Array {
  let state = seed
  return Uint8Array.from({ length }, () => {
    state = (state * 1_103_515_245 + 12_345) % 2_147_483_648
    return state >> 16
  })
}

export async function put(site: Site, key: string, bytes: Uint8Array): Promise<ObjectInfo> {
  return await site.put(key, bytes, { sha256: sha256(bytes) })
}

export async function keysAt(site: Site, prefix = ""): Promise<string[]> {
  return (await Array.fromAsync(site.list(prefix))).map((info) => info.key)
}

function keeping(make: () => Promise<OpenedSite>): void {
  test.each([0, 1, 65_537, 3 * 1024 * 1024])("%i bytes, and gives back the same", async (length) => {
    const { site } = await make()
    const bytes = bytesOf(length)
    const info = await put(site, "v1/a/pack/x.tar", bytes)
    expect(info).toMatchObject({ key: "v1/a/pack/x.tar", bytes: length })
    expect(Buffer.compare(await site.get("v1/a/pack/x.tar"), bytes)).toBe(0)
  })

  test("what put, head and list say of an object agrees", async () => {
    const { site } = await make()
    const placed = await put(site, "v1/a/x", bytesOf(100))
    expect(placed.storedAt).toBeInstanceOf(Date)
    expect(await site.head("v1/a/x")).toEqual(placed)
    const listed = await Array.fromAsync(site.list("v1/"))
    expect([placed], "a listing may say less, but nothing else").toMatchObject(listed)
    expect(listed).toMatchObject([{ key: "v1/a/x", bytes: 100, storedAt: placed.storedAt }])
    if (placed.checksum?.algorithm === "sha256") expect(placed.checksum.value).toBe(sha256(bytesOf(100)))
  })

  test("exactly the bytes of a range", async () => {
    const { site } = await make()
    const bytes = bytesOf(5000)
    await put(site, "v1/a/x", bytes)
    for (const range of [
      { offset: 0, length: 5000 },
      { offset: 0, length: 1 },
      { offset: 4999, length: 1 },
      { offset: 1234, length: 2345 },
      { offset: 5000, length: 0 },
    ]) {
      const part = await site.get("v1/a/x", { range })
      expect(Buffer.compare(part, bytes.subarray(range.offset, range.offset + range.length)), JSON.stringify(range)).toBe(0)
    }
  })

  test("the same bytes put again, also at the same time", async () => {
    const { site } = await make()
    const bytes = bytesOf(200_000)
    await Promise.all(Array.from({ length: 8 }, () => put(site, "v1/a/b/c/x", bytes)))
    await put(site, "v1/a/b/c/x", bytes)
    expect(Buffer.compare(await site.get("v1/a/b/c/x"), bytes)).toBe(0)
    expect(await keysAt(site)).toEqual(["v1/a/b/c/x"])
  })

  test("what was given, not what the caller made of it later", async () => {
    const { site } = await make()
    const given = bytesOf(100)
    await put(site, "v1/a/x", given)
    given.fill(0)
    const got = await site.get("v1/a/x")
    got.fill(1)
    expect(Buffer.compare(await site.get("v1/a/x"), bytesOf(100))).toBe(0)
  })

  test("whole or not at all, to whoever looks while they arrive", async () => {
    const { site } = await make()
    const bytes = bytesOf(4 * 1024 * 1024)
    let arriving = true
    const placed = put(site, "v1/a/x", bytes).finally(() => {
      arriving = false
    })
    do {
      for await (const info of site.list("v1/")) expect(info.bytes).toBe(bytes.length)
      const got = await site.get("v1/a/x").catch((error: unknown) => {
        expect(error).toMatchObject({ code: "site/not-found" })
        return undefined
      })
      if (got !== undefined) expect(Buffer.compare(got, bytes)).toBe(0)
    } while (arriving)
    await placed
  })

  test("tells its time", async () => {
    const { serverTime } = await make()
    expect((await serverTime()).getTime()).not.toBeNaN()
  })
}

function listing(make: () => Promise<OpenedSite>): void {
  const keys = ["v1/a/log/2", "v1/a/log/10", "v1/a-b/x", "v1/a/x", "v1/a.b/x", "v1/B/x", "v1/a=/x", "v1/a0", "v1/_", "w"]
  const inOrder = ["v1/B/x", "v1/_", "v1/a-b/x", "v1/a.b/x", "v1/a/log/10", "v1/a/log/2", "v1/a/x", "v1/a0", "v1/a=/x", "w"]

  test("in the order of their keys' bytes", async () => {
    const { site } = await make()
    for (const key of keys) await put(site, key, bytesOf(3))
    expect(await keysAt(site)).toEqual(inOrder)
    expect(
      inOrder
        .map((key) => Buffer.from(key))
        .sort(Buffer.compare)
        .map(String),
      "the expectation itself",
    ).toEqual(inOrder)
  })

  test("that start with a prefix, wherever it ends", async () => {
    const { site } = await make()
    for (const key of keys) await put(site, key, bytesOf(3))
    for (const prefix of ["", "v", "v1", "v1/", "v1/a", "v1/a/", "v1/a/l", "v1/a/log/1", "v1/a/x", "v1/a/x/", "v2/", "v1/a0/", "w/x"]) {
      expect(await keysAt(site, prefix), prefix).toEqual(inOrder.filter((key) => key.startsWith(prefix)))
    }
  })

  test("many in one folder", async () => {
    const { site } = await make()
    const many = Array.from({ length: 300 }, (_, n) => `v1/a/${String(n).padStart(4, "0")}`)
    for (const key of many) await put(site, key, bytesOf(1))
    expect(await keysAt(site, "v1/a/")).toEqual(many)
  })
}

function refusing(make: () => Promise<OpenedSite>): void {
  test("to find what is not there", async () => {
    const { site } = await make()
    await put(site, "v1/a/x", bytesOf(3))
    for (const key of ["v1/a/y", "v1/b/y", "v1/a", "v1/a/x/y"]) {
      expect(await site.head(key), key).toBeNull()
      await expect(site.get(key), key).rejects.toMatchObject({ name: "SiteError", code: "site/not-found", site: site.name })
    }
  })

  test("other bytes under a taken key", async () => {
    const { site, createOnly } = await make()
    if (!createOnly) return
    await put(site, "v1/a/x", bytesOf(100, 1))
    await expect(put(site, "v1/a/x", bytesOf(100, 2))).rejects.toMatchObject({ code: "site/conflict" })
    await expect(put(site, "v1/a/x", bytesOf(99, 1))).rejects.toMatchObject({ code: "site/conflict" })
    expect(Buffer.compare(await site.get("v1/a/x"), bytesOf(100, 1))).toBe(0)
  })

  test("bytes that are not what their digest says", async () => {
    const { site } = await make()
    await expect(site.put("v1/a/x", bytesOf(3), { sha256: sha256(bytesOf(4)) })).rejects.toMatchObject({ code: "site/corrupt" })
    expect(await site.head("v1/a/x")).toBeNull()
    expect(await keysAt(site)).toEqual([])
  })

  test("an object too large for any reader", async () => {
    const { site } = await make()
    await expect(put(site, "v1/a/x", new Uint8Array(packBytesMax + 1))).rejects.toMatchObject({ name: "SiteError" })
    expect(await keysAt(site)).toEqual([])
  })

  test("a range that is not within the object", async () => {
    const { site } = await make()
    await put(site, "v1/a/x", bytesOf(10))
    for (const [offset, length] of [
      [0, 11],
      [10, 1],
      [11, 0],
      [-1, 2],
      [0, -1],
      [0.5, 1],
      [Number.MAX_SAFE_INTEGER, 2],
    ] as const) {
      const got = site.get("v1/a/x", { range: { offset, length } })
      await expect(got, `${String(length)} at ${String(offset)}`).rejects.toMatchObject({ code: "site/corrupt" })
    }
  })

  test("whatever is not a key", async () => {
    const { site } = await make()
    const bad = [
      "",
      "/",
      "/etc/passwd",
      "v1/",
      "v1//x",
      "..",
      "../x",
      "v1/../../x",
      "v1/.",
      ".x",
      "v1/.x",
      "v1/x\0",
      "v1\\x",
      "v1/ü",
      "v1/x y",
    ]
    for (const key of [...bad, `v1/${"x".repeat(256)}`, Array.from({ length: 600 }, () => "x").join("/")]) {
      await expect(put(site, key, bytesOf(3)), `put ${key}`).rejects.toMatchObject({ code: "site/denied" })
      await expect(site.get(key), `get ${key}`).rejects.toMatchObject({ code: "site/denied" })
      await expect(site.head(key), `head ${key}`).rejects.toMatchObject({ code: "site/denied" })
    }
    for (const prefix of ["/", "..", "../", "v1/../", "v1//", ".", "v1/ü"]) {
      await expect(keysAt(site, prefix), `list ${prefix}`).rejects.toMatchObject({ code: "site/denied" })
    }
    expect(await keysAt(site)).toEqual([])
  })

  test("to go on after an abort, with the signal's own reason", async () => {
    const { site, serverTime } = await make()
    const reason = new Error("enough")
    const signal = AbortSignal.abort(reason)
    await expect(site.put("v1/a/x", bytesOf(3), { sha256: sha256(bytesOf(3)), signal })).rejects.toBe(reason)
    await expect(site.get("v1/a/x", { signal })).rejects.toBe(reason)
    await expect(site.head("v1/a/x", { signal })).rejects.toBe(reason)
    await expect(Array.fromAsync(site.list("", { signal }))).rejects.toBe(reason)
    await expect(serverTime({ signal })).rejects.toBe(reason)
    expect(await keysAt(site)).toEqual([])
  })
}

function replacing(make: () => Promise<OpenedSite>): void {
  test("bytes under a taken key, where the site can", async () => {
    const { site, replace } = await make()
    if (replace === undefined) return
    await put(site, "v1/a/x", bytesOf(100, 1))
    const good = bytesOf(100, 2)
    for (const time of ["once", "again"]) {
      const info = await replace("v1/a/x", good, { sha256: sha256(good) })
      expect(info, time).toMatchObject({ key: "v1/a/x", bytes: 100 })
      expect(Buffer.compare(await site.get("v1/a/x"), good), time).toBe(0)
    }
    expect(await keysAt(site), "what was put aside is no object").toEqual(["v1/a/x"])
    await expect(replace("v1/a/x", bytesOf(5), { sha256: sha256(good) })).rejects.toThrow(SiteError)
    expect(Buffer.compare(await site.get("v1/a/x"), good)).toBe(0)
  })

  test("nothing, where nothing was", async () => {
    const { site, replace } = await make()
    if (replace === undefined) return
    await replace("v1/a/x", bytesOf(10), { sha256: sha256(bytesOf(10)) })
    expect(await keysAt(site)).toEqual(["v1/a/x"])
  })
}
