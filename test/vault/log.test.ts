import { expect, test } from "vitest"
import { Catalog } from "../../src/catalog/catalog.ts"
import { rememberedCommits } from "../../src/catalog/commits.ts"
import { type Digest, sha256 } from "../../src/digest.ts"
import { encodeControlCommit } from "../../src/format/commit.ts"
import { commitKey } from "../../src/format/names.ts"
import { generateSigningKey, type SigningKey } from "../../src/key/signing.ts"
import { listLog, readLog } from "../../src/vault/log.ts"
import { never, rot, type TestSite, testSite, vaultOf } from "./vaults.ts"

const repository = "0".repeat(32)
const [mine, stranger] = [generateSigningKey(), generateSigningKey()]

interface Made {
  readonly key: string
  readonly bytes: Uint8Array
  readonly hash: Digest
}

function commit(
  seq: number,
  after: readonly Made[],
  { signer = mine, agent = "pbx-1" }: { signer?: SigningKey; agent?: string } = {},
): Made {
  const bytes = encodeControlCommit(
    {
      ...{ repository, agent, seq, prev: after.map(({ hash }) => hash), seen: [], trust: `1-${"0".repeat(32)}` },
      ...{ time: "2031-03-04T12:00:00.000Z", records: [] },
    },
    signer,
  )
  return { key: commitKey(agent, seq, bytes), bytes, hash: sha256(bytes) }
}

/** Says that it is ours, and is not. */
function forged(seq: number): Made {
  const { bytes } = commit(seq, [], { signer: stranger })
  const claiming = Buffer.from(Buffer.from(bytes).toString().replace(stranger.keyId, mine.keyId))
  return { key: commitKey("pbx-1", seq, claiming), bytes: claiming, hash: sha256(claiming) }
}

interface Log extends Disposable {
  readonly site: TestSite
  readonly catalog: Catalog
  remember(...commits: readonly Made[]): void
  /** Keys that are believed, those that are not, and those that were read from the site. */
  read(agent?: string, trusted?: readonly string[]): Promise<{ believed: string[]; refused: string[]; fetched: string[] }>
}

async function logOf(...commits: readonly Made[]): Promise<Log> {
  const fetched: string[] = []
  const site = testSite("a", {
    wrap: (inner) => ({
      name: inner.name,
      put: (key, bytes, options) => inner.put(key, bytes, options),
      head: (key, options) => inner.head(key, options),
      list: (prefix, options) => inner.list(prefix, options),
      get(key, options) {
        fetched.push(key)
        return inner.get(key, options)
      },
    }),
  })
  for (const { key, bytes, hash } of commits) await site.opened.site.put(key, bytes, { sha256: hash })
  const catalog = Catalog.open(":memory:", () => undefined)
  const vault = vaultOf([site], { copies: 1, providers: 1 })
  return {
    ...{ site, catalog },
    remember(...known) {
      for (const { key, bytes } of known) rememberedCommits(catalog).remember(key, bytes)
    },
    async read(agent = "pbx-1", trusted = [mine.publicKey]) {
      fetched.length = 0
      const { entries } = await listLog(vault, agent, { signal: never })
      const memory = rememberedCommits(catalog)
      const { commits: believed, refused } = await readLog(vault, entries, { signal: never, repository, keysOf: () => trusted, memory })
      return { believed: believed.map(({ entry }) => entry.key), refused: refused.map(({ key }) => key), fetched: [...fetched] }
    },
    [Symbol.dispose]: () => catalog.close(),
  }
}

function chain(): [Made, Made, Made] {
  const first = commit(1, [])
  const second = commit(2, [first])
  return [first, second, commit(3, [second])]
}

test("what was read once is remembered, by this process and by the next", async () => {
  const commits = chain()
  const keys = commits.map(({ key }) => key)
  using log = await logOf(...commits)
  expect(await log.read()).toEqual({ believed: keys, refused: [], fetched: keys.toReversed() })
  expect(await log.read()).toEqual({ believed: keys, refused: [], fetched: [] })
  using next = await logOf(...commits)
  next.remember(...commits)
  expect(await next.read()).toEqual({ believed: keys, refused: [], fetched: [] })
})

test("a remembered commit that nobody signed is not believed, and nothing that it names either", async () => {
  const early = forged(1)
  const late = commit(2, [early], { signer: stranger })
  using log = await logOf(early, late)
  log.remember(early, late)
  expect(await log.read()).toMatchObject({ believed: [], refused: [late.key, early.key] })
})

test("a commit that comes from a site has its own signature checked, whoever names it", async () => {
  const early = forged(1)
  const late = commit(2, [early])
  using log = await logOf(early, late)
  log.remember(late)
  expect(await log.read()).toMatchObject({ believed: [late.key], refused: [early.key], fetched: [early.key] })
})

test("what another agent's commit names is not believed for that", async () => {
  const early = forged(1)
  const other = commit(2, [early], { agent: "pbx-2" })
  using log = await logOf(early, other)
  log.remember(early, other)
  expect(await log.read("pbx-2")).toMatchObject({ believed: [other.key] })
  expect(await log.read()).toMatchObject({ believed: [], refused: [early.key] })
})

test("a commit is not believed where its key is not trusted, although one that is names it or this process has believed it", async () => {
  const early = commit(1, [], { signer: stranger })
  const late = commit(2, [early])
  using log = await logOf(early, late)
  log.remember(early, late)
  expect(await log.read()).toMatchObject({ believed: [late.key], refused: [early.key] })
  const both = [mine.publicKey, stranger.publicKey]
  expect(await log.read("pbx-1", both)).toMatchObject({ believed: [early.key, late.key], refused: [] })
  expect(await log.read()).toMatchObject({ believed: [late.key], refused: [early.key] })
})

test("a commit that rotted in the memory is read from a site again", async () => {
  const [first, second, third] = chain()
  using log = await logOf(first, second, third)
  log.remember(first, second, third)
  const bytes = Uint8Array.from(second.bytes)
  bytes[40] = (bytes[40] ?? 0) ^ 1
  log.catalog.run("UPDATE commit_object SET bytes = ? WHERE key = ?", bytes, second.key)
  expect(await log.read()).toEqual({ believed: [first.key, second.key, third.key], refused: [], fetched: [second.key] })
})

test("a commit that rotted at its only site is not believed", async () => {
  const [first] = chain()
  using log = await logOf(first)
  rot(log.site, first.key)
  expect(await log.read()).toMatchObject({ believed: [], refused: [first.key] })
})
