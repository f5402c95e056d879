import { mkdir } from "node:fs/promises"
import { join } from "node:path"
import type { DatabaseAccess } from "../../src/database/database.ts"
import type { Loader } from "../../src/database/loader.ts"
import { openDatabase } from "../../src/database/open.ts"
import { openLoader } from "../../src/database/open-loader.ts"
import type { DatabaseSettings } from "../../src/database/settings.ts"
import { sha256 } from "../../src/digest.ts"
import type { DatabaseTarget } from "../../src/operation/database-restore.ts"
import { databaseSource } from "../../src/source/database.ts"
import type { Source, SourceItem } from "../../src/source/source.ts"
import { tenancySchema } from "../../src/source/tenancy.ts"
import type { Lab } from "../operation/lab.ts"

/** Who opens databases in these tests: no password, the server's own programs, a scratch of the lab. */
export function accessOf(scratch: string, environment: Readonly<Record<string, string>>): DatabaseAccess {
  return { password: undefined, environment, scratch, signal: new AbortController().signal }
}

/** A database to restore into. */
export async function targetIn(
  lab: Lab,
  settings: DatabaseSettings,
  environment: Readonly<Record<string, string>>,
): Promise<DatabaseTarget> {
  const scratch = join(lab.directory, "scratch")
  await mkdir(scratch, { recursive: true })
  return {
    scratch,
    openLoader: (folder) => openLoader(settings, accessOf(folder, environment)),
    openDatabase: (folder) => openDatabase(settings, accessOf(folder, environment)),
  }
}

export interface Captured {
  readonly settings: DatabaseSettings
  readonly environment: Readonly<Record<string, string>>
  readonly tenancy: unknown
  readonly ways?: readonly ("accounts" | "whole")[]
  /** Changes an item on its way into the snapshot. */
  readonly tamper?: (path: string, bytes: Buffer) => Buffer
}

/** Captures a database as a job would, into the dataset `account-data` of the lab. */
export async function capture(lab: Lab, { settings, environment, tenancy, ways = ["accounts"], tamper }: Captured): Promise<void> {
  const open = ({ scratch }: { readonly scratch: string }) => openDatabase(settings, accessOf(scratch, environment))
  const inner = databaseSource({ name: "pbx", tenancy: tenancySchema.parse(tenancy), ways, readers: 2 }, open)
  await lab.run({ name: "account-data", mode: "state" }, tamper === undefined ? inner : changed(inner, tamper))
}

function changed(inner: Source, alter: (path: string, bytes: Buffer) => Buffer): Source {
  return {
    description: inner.description,
    async *capture(options) {
      for await (const found of inner.capture(options)) yield "item" in found ? { item: alteredItem(found.item, alter) } : found
    },
  }
}

function alteredItem(item: SourceItem, alter: (path: string, bytes: Buffer) => Buffer): SourceItem {
  if (item.content.kind !== "bytes") return item
  const bytes = alter(item.path.toString("utf8"), Buffer.from(item.content.bytes))
  return { ...item, size: bytes.length, content: { kind: "bytes", bytes, sha256: sha256(bytes) } }
}

/** Puts files into the dataset `account-data` of the lab as if an agent had captured them: by path, all of the account `mixed`. */
export async function captureFiles(lab: Lab, files: Readonly<Record<string, Buffer>>): Promise<void> {
  const source: Source = {
    description: "files",
    async *capture({ now }) {
      for (const [path, bytes] of Object.entries(files)) {
        const times = { mtimeNs: BigInt(now.getTime()) * 1_000_000n, mode: 0o600, uid: 0, gid: 0 }
        const content = { kind: "bytes", bytes, sha256: sha256(bytes) } as const
        const item = { stableId: "mixed", day: "", path: Buffer.from(path), type: "file", size: bytes.length, compressible: true } as const
        yield { item: { ...item, ...times, flags: [], content } }
      }
    },
  }
  await lab.run({ name: "account-data", mode: "state" }, source)
}

/** The same target, whose loader is another's. */
export function altered(target: DatabaseTarget, change: (loader: Loader) => Partial<Loader>): DatabaseTarget {
  return {
    ...target,
    async openLoader(scratch) {
      const loader = await target.openLoader(scratch)
      const bound = {
        ...{ kind: loader.kind, schema: loader.schema, description: loader.description },
        contents: () => loader.contents(),
        loadWhole: (...given: Parameters<Loader["loadWhole"]>) => loader.loadWhole(...given),
        loadSchema: (...given: Parameters<Loader["loadSchema"]>) => loader.loadSchema(...given),
        loadRows: (...given: Parameters<Loader["loadRows"]>) => loader.loadRows(...given),
        setSequences: (...given: Parameters<Loader["setSequences"]>) => loader.setSequences(...given),
        session: () => loader.session(),
        [Symbol.asyncDispose]: () => loader[Symbol.asyncDispose](),
      }
      return { ...bound, ...change(loader) }
    },
  }
}

/** Lines that stop after their first hundred bytes, until `cut` is done. */
export async function* cutBy(lines: AsyncIterable<Uint8Array>, cut: () => Promise<void>): AsyncGenerator<Uint8Array> {
  for await (const chunk of lines) {
    yield chunk.subarray(0, 100)
    await cut()
    yield chunk.subarray(100)
  }
}
