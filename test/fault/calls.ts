import { expect } from "vitest"
import { sha256 } from "../../src/digest.ts"
import type { ObjectVersion, OpenedSite } from "../../src/site/site.ts"
import { bytesOf, keysAt, put } from "../contract/site.ts"
import type { CallName } from "./matrix.ts"

const key = "v1/a/x"
export const bytes = bytesOf(20_000)
const olderBytes = bytesOf(9000, 3)
const newBytes = bytesOf(20_000, 5)
const replacement = bytesOf(1000, 7)
const [second, newest] = [bytesOf(10, 8), bytesOf(11, 9)]

/** What no fault may change: no bytes but these are ever kept. */
export const known: readonly Uint8Array[] = [bytes, olderBytes, newBytes, replacement, second, newest]

/** Everything a call may ask for: v1/a/x in two versions, then v1/a/y and, last of all, v1/a/z. */
export async function prepare({ site, replace }: OpenedSite, locked: boolean): Promise<void> {
  // What is locked cannot be replaced at Google.
  if (!locked) await put(site, key, olderBytes)
  await (locked ? put(site, key, bytes) : replace?.(key, bytes, { sha256: sha256(bytes) }))
  await put(site, "v1/a/y", second)
  await put(site, "v1/a/z", newest)
}

/** Makes one call, and says what is wrong with what came of it. */
type Call = (opened: OpenedSite) => Promise<void>

export interface CallOptions {
  /** The listing lacks what came last. */
  readonly short: boolean
  readonly until: Date
}

/** The call of that name. Where it needs to know something of the site first, that is asked before the fault is planned. */
export async function callNamed(name: CallName, quiet: OpenedSite, { short, until }: CallOptions): Promise<Call> {
  switch (name) {
    case "put":
      return async ({ site }) => expect(await put(site, "v1/b/new", newBytes)).toMatchObject({ bytes: newBytes.length })
    case "again":
      return async ({ site }) => expect(await put(site, key, bytes)).toMatchObject({ bytes: bytes.length })
    case "get":
      return async ({ site }) => expectBytes(await site.get(key), bytes)
    case "range":
      return async ({ site }) => expectBytes(await site.get(key, { range: { offset: 1000, length: 15_000 } }), bytes.subarray(1000, 16_000))
    case "head":
      return async ({ site }) => expect(await site.head(key)).toMatchObject({ bytes: bytes.length })
    case "absent":
      return async ({ site }) => expect(await site.head("v1/a/none")).toBeNull()
    case "list":
      return async ({ site }) => expect(await keysAt(site, "v1/a/")).toEqual(["v1/a/x", "v1/a/y", ...(short ? [] : ["v1/a/z"])])
    case "versions":
      return async (opened) => {
        const all = (await versionsOf(opened)).map((version) => [version.key, version.bytes])
        const last = [["v1/a/z", newest.length]]
        expect(all).toEqual([[key, bytes.length], [key, olderBytes.length], ["v1/a/y", second.length], ...(short ? [] : last)])
      }
    case "older": {
      const { version } = await older(quiet)
      return async ({ versions }) => expectBytes(await versions?.get(key, version), olderBytes)
    }
    case "remove": {
      const { version } = await older(quiet)
      return async (opened) => await opened.versions?.remove(key, version)
    }
    case "lock": {
      const { version } = (await quiet.site.head(key)) ?? {}
      return async ({ lock }) => expect(await lock?.extend(key, version ?? "", until)).toEqual(until)
    }
    case "replace":
      return async ({ replace }) =>
        expect(await replace?.(key, replacement, { sha256: sha256(replacement) })).toMatchObject({ bytes: replacement.length })
    case "posture":
      return async ({ posture }) => {
        const { packs, keys } = (await posture?.()) ?? {}
        expect([packs?.versioning, keys?.versioning]).toEqual([{ value: true }, { value: true }])
      }
    case "time":
      return async ({ serverTime }) => expect((await serverTime()).getTime()).toBeGreaterThan(0)
  }
}

/** What the call has left, as a site without faults tells it. */
export async function expectDone(name: CallName, quiet: OpenedSite): Promise<void> {
  const { site } = quiet
  if (name === "put") expectBytes(await site.get("v1/b/new"), newBytes)
  if (name === "replace") expectBytes(await site.get(key), replacement)
  if (name === "remove") expect((await versionsOf(quiet)).map(({ version }) => version)).toHaveLength(3)
  if (name === "remove" || name === "again") expectBytes(await site.get(key), bytes)
}

async function versionsOf({ versions }: OpenedSite): Promise<ObjectVersion[]> {
  return await Array.fromAsync(versions?.list("v1/a/") ?? [])
}

async function older(opened: OpenedSite): Promise<ObjectVersion> {
  const found = (await versionsOf(opened)).find(({ latest }) => !latest)
  if (found === undefined) throw new Error("no older version")
  return found
}

function expectBytes(got: Uint8Array | undefined, wanted: Uint8Array): void {
  expect(got === undefined ? "nothing" : Buffer.compare(got, wanted) === 0 ? "the bytes" : `${String(got.length)} other bytes`).toBe(
    "the bytes",
  )
}
