import { mkdir, writeFile } from "node:fs/promises"
import { dirname, join } from "node:path"
import { Encrypter, generateX25519Identity, identityToRecipient } from "age-encryption"
import { type Digest, hash32, sha256 } from "../../src/digest.ts"
import { digestSchema } from "../../src/digest-schema.ts"
import { encodeBackupCommit, encodeControlCommit, type ListedPack, packNameOf } from "../../src/format/commit.ts"
import { encodeInventory, type InventoryPartition, ListingDigest } from "../../src/format/inventory.ts"
import { encodeManifest, type ManifestItem } from "../../src/format/manifest.ts"
import { commitKey, keyObjectKey, packKey, repositoryKey, trustKey } from "../../src/format/names.ts"
import { decodePack, encodePack, type SegmentKind } from "../../src/format/pack.ts"
import { encodeRepository, encodeTrust } from "../../src/format/trust.ts"
import { fingerprintOf } from "../../src/signature.ts"
import { signerOf } from "../format/signing.ts"
import { type BuiltSegment, framedSegment, listingSegment, type Part, tarSegment } from "./segments.ts"

export const accounts = { alder: "a1".repeat(16), birch: "b2".repeat(16) } as const
const repository = "00112233445566778899aabbccddeeff"
const agent = "pbx-1"
const created = "2026-11-20T12:00:00.000Z"
const mtimeNs = 1_763_640_000_123_456_789n

/** A name that is no UTF-8, with a space, a line break, a backslash and a tab. */
export const unusualName = Buffer.concat([Buffer.from("2026/caf"), Buffer.from([0xe9]), Buffer.from(" new\nline \\ and\ttab.wav")])
export const longName = `${"long-".repeat(50)}${"/deep".repeat(30)}/end.wav`

export interface Fixture {
  readonly site: string
  readonly fingerprint: string
  /** A file with the escrow identity. */
  readonly identity: string
  /** The key of the pack that holds each data segment, by the name it was given. */
  readonly packs: ReadonlyMap<string, string>
  readonly commits: readonly string[]
}

export function content(word: string, bytes: number): Buffer {
  const parts: string[] = []
  for (let i = 0, length = 0; length < bytes; i++) {
    const part = sha256(`${word} ${String(i)}`)
    parts.push(part)
    length += part.length
  }
  return Buffer.from(parts.join("").slice(0, bytes), "latin1")
}

interface Item {
  readonly manifest: Omit<ManifestItem, "at">
  /** Which segments hold it, by name of the pack. */
  readonly segments: readonly { readonly pack: string; readonly segment: number; readonly part: number }[]
}

interface Piece {
  readonly account: string
  readonly partition: string
  readonly items: readonly Item[]
}

interface Snapshot {
  readonly dataset: string
  readonly mode: "archive" | "state"
  readonly complete: boolean
  /** Data packs: segments with the account each belongs to. */
  readonly packs: ReadonlyMap<string, readonly { readonly account: string; readonly segment: BuiltSegment }[]>
  readonly pieces: readonly Piece[]
}

/**
 * A whole repository at a directory site, made of the format's own functions and the age library alone, with what is hard to restore:
 * a file in pieces over two packs, frames cut in the middle of files, names that are no UTF-8, a link, a directory that may not be
 * written to, a changed recording, a missing one, a partial run.
 */
export async function buildFixture(folder: string, more: readonly Snapshot[] = []): Promise<Fixture> {
  const writer = new FixtureWriter(join(folder, "site"))
  await writer.begin()
  for (const snapshot of [...recordings(), ...configurations(), ...more]) await writer.add(snapshot)
  const identity = join(folder, "escrow.txt")
  await writeFile(identity, `# escrow\n${writer.escrow}\n`)
  return {
    site: writer.site,
    fingerprint: fingerprintOf(signerOf("root").publicKey),
    identity,
    packs: writer.packKeys,
    commits: writer.commitKeys,
  }
}

class FixtureWriter {
  readonly site: string
  readonly packKeys = new Map<string, string>()
  readonly commitKeys: string[] = []
  escrow = ""
  readonly #signer = signerOf("agent")
  readonly #identities = new Map<string, string>()
  #organisation: string[] = []
  #catalog = ""
  #trust = ""
  #seq = 0
  #head: Digest[] = []

  constructor(site: string) {
    this.site = site
  }

  async begin(): Promise<void> {
    const root = signerOf("root")
    const operations = await generateX25519Identity()
    this.escrow = await generateX25519Identity()
    this.#organisation = [await identityToRecipient(operations), await identityToRecipient(this.escrow)]
    this.#catalog = await identityToRecipient(await generateX25519Identity())
    const limits = { packBytesMax: 33_554_432, packMembersMax: 4096 }
    const repositoryObject = encodeRepository({ id: repository, created, limits }, root)
    await this.#put(repositoryKey(repositoryObject), repositoryObject)
    const list = {
      repository,
      n: 1,
      created,
      agents: [{ id: agent, key: signerOf("agent-before").publicKey, role: "agent" as const, from: created }],
      organisation: { epoch: 1, recipients: this.#organisation.map((recipient, index) => ({ name: `org-${String(index)}`, recipient })) },
      catalog: { epoch: 1, recipient: this.#catalog },
      people: [],
      classes: { "keep-35": { days: 35, reuseDays: 7, tier: {} } },
      sites: { fra: { provider: "own", region: "fra" } },
      durable: { copies: 1, providers: 1 },
    }
    const first = encodeTrust(list, root)
    const agents = [...list.agents, { id: agent, key: this.#signer.publicKey, role: "agent" as const, from: created }]
    const second = encodeTrust({ ...list, n: 2, prev: sha256(first), agents }, root)
    await this.#put(trustKey(1, first), first)
    await this.#put(trustKey(2, second), second)
    this.#trust = `2-${hash32(second)}`
    for (const account of [accounts.alder, accounts.birch, "platform"]) await this.#bear(account)
  }

  async #bear(account: string): Promise<void> {
    const identity = await generateX25519Identity()
    const recipient = await identityToRecipient(identity)
    this.#identities.set(account, recipient)
    const text = `# account: ${account}\n# epoch: 1\n# recipient: ${recipient}\n${identity}\n`
    const object = await encrypt(Buffer.from(text), this.#organisation)
    const key = keyObjectKey({ account, epoch: "1", orgEpoch: 1 }, object)
    await this.#put(key, object)
    const entry = await encrypt(Buffer.from('{"names":[],"platform":"test","recipient":"","stableId":"x","v":1}'), this.#organisation)
    const record = { type: "key" as const, account, epoch: "1", orgEpoch: 1, object: key, entry: Buffer.from(entry).toString("base64") }
    await this.#commit((shared) => encodeControlCommit({ ...shared, records: [record] }, this.#signer))
  }

  async add(snapshot: Snapshot): Promise<void> {
    const listed: ListedPack[] = []
    const located = new Map<
      string,
      { readonly pack: Digest; readonly members: ReturnType<typeof decodePack>; readonly built: BuiltSegment[] }
    >()
    for (const [name, segments] of snapshot.packs) {
      const sealed: { kind: SegmentKind; bytes: Uint8Array }[] = []
      for (const { account, segment } of segments) {
        sealed.push({ kind: segment.kind, bytes: await encrypt(segment.plaintext, [this.#recipientOf(account)]) })
      }
      const bytes = encodePack(sealed)
      const entry = this.#list(bytes, "pack")
      listed.push(entry)
      this.packKeys.set(name, packKey(packNameOf(agent, entry)))
      await this.#put(packKey(packNameOf(agent, entry)), bytes)
      located.set(name, { pack: entry[0], members: decodePack(bytes), built: segments.map(({ segment }) => segment) })
    }
    const manifests = snapshot.pieces.map((piece) => {
      const items = piece.items.map((item) => ({
        ...item.manifest,
        at: item.segments.flatMap(({ pack, segment, part }) => {
          const found = located.get(pack)
          const member = found?.members[segment]
          if (found === undefined || member === undefined) throw new Error(`no pack ${pack}`)
          const places = found.built[segment]?.places[part] ?? []
          return places.map((place) => ({ pack: found.pack, segmentOffset: member.offset, segmentLength: member.length, ...place }))
        }),
      }))
      items.sort((a, b) => Buffer.compare(a.path, b.path))
      const header = { repository, agent, account: piece.account, dataset: snapshot.dataset, partition: piece.partition, part: 0, parts: 1 }
      return { piece, items, encoded: encodeManifest(header, items) }
    })
    await this.#commitSnapshot(snapshot, listed, manifests)
  }

  async #commitSnapshot(
    snapshot: Snapshot,
    listed: ListedPack[],
    manifests: readonly {
      readonly piece: Piece
      readonly items: readonly ManifestItem[]
      readonly encoded: { readonly tar: Uint8Array; readonly sha256: Digest }
    }[],
  ): Promise<void> {
    const run = hash32(`run ${String(this.#seq)}`)
    const sealed: { kind: SegmentKind; bytes: Uint8Array }[] = []
    for (const { piece, encoded } of manifests) {
      sealed.push({ kind: "tar.zst", bytes: await encrypt(listingSegment(encoded.tar), [this.#recipientOf(piece.account)]) })
    }
    const manifestPack = encodePack(sealed)
    const manifestEntry = this.#list(manifestPack, "meta")
    await this.#put(packKey(packNameOf(agent, manifestEntry)), manifestPack)
    const partitions = manifests.map(({ piece, items, encoded }, index): InventoryPartition => {
      const files = items.filter(({ sha256: digest }) => digest !== undefined)
      const salt = hash32(`salt ${String(index)}`)
      const listing = new ListingDigest(salt)
      for (const file of files) listing.add(file.path, file.size, file.mtimeNs)
      return {
        account: piece.account,
        epoch: "1",
        partition: piece.partition,
        manifests: [[manifestEntry[0], index, encoded.sha256]],
        files: files.length,
        bytes: files.reduce((sum, { size }) => sum + size, 0),
        missing: [],
        salt,
        listing: listing.digest(),
      }
    })
    const inventory = encodeInventory({ repository, agent, dataset: snapshot.dataset, run, part: 0, parts: 1 }, partitions)
    const inventoryAge = await encrypt(listingSegment(inventory), [this.#catalog, ...this.#organisation])
    const inventoryPack = encodePack([{ kind: "tar.zst", bytes: inventoryAge }])
    const inventoryEntry = this.#list(inventoryPack, "meta")
    await this.#put(packKey(packNameOf(agent, inventoryEntry)), inventoryPack)
    const { dataset, mode, complete } = snapshot
    const body = {
      run,
      job: dataset,
      dataset,
      mode,
      complete,
      cut: created,
      final: true,
      inventory: [[inventoryEntry[0], 0] as [Digest, number]],
    }
    await this.#commit((shared) =>
      encodeBackupCommit({ ...shared, ...body, packs: [...listed, manifestEntry, inventoryEntry] }, this.#signer),
    )
  }

  async #commit(
    encode: (shared: {
      repository: string
      agent: string
      seq: number
      prev: Digest[]
      seen: Digest[]
      trust: string
      time: string
    }) => Uint8Array,
  ): Promise<void> {
    this.#seq += 1
    const time = `2026-11-20T12:00:${String(this.#seq).padStart(2, "0")}.000Z`
    const bytes = encode({ repository, agent, seq: this.#seq, prev: this.#head, seen: [], trust: this.#trust, time })
    this.#head = [sha256(bytes)]
    const key = commitKey(agent, this.#seq, bytes)
    this.commitKeys.push(key)
    await this.#put(key, bytes)
  }

  #list(bytes: Uint8Array, kind: "pack" | "meta"): ListedPack {
    return [digestSchema.parse(sha256(bytes)), bytes.length, "keep-35", kind, "2026-11-20"]
  }

  #recipientOf(account: string): string {
    const recipient = this.#identities.get(account)
    if (recipient === undefined) throw new Error(`no account ${account}`)
    return recipient
  }

  async #put(key: string, bytes: Uint8Array): Promise<void> {
    await mkdir(join(this.site, dirname(key)), { recursive: true })
    await writeFile(join(this.site, key), bytes)
  }
}

async function encrypt(plaintext: Uint8Array, recipients: readonly string[]): Promise<Uint8Array> {
  const encrypter = new Encrypter()
  for (const recipient of recipients) encrypter.addRecipient(recipient)
  return await encrypter.encrypt(plaintext)
}

function part(path: Buffer | string, bytes: Buffer, piece?: number): Part {
  return { path: Buffer.from(path), content: bytes, mode: 0o640, mtimeNs, ...(piece === undefined ? {} : { piece }) }
}

const entry = { size: 0, mtimeNs, mode: 0o640, uid: 1000, gid: 1000, flags: [] }

function file(path: Buffer | string, bytes: Buffer, segments: Item["segments"]): Item {
  return { manifest: { ...entry, path: Buffer.from(path), type: "file", size: bytes.length, sha256: sha256(bytes) }, segments }
}

/** Two runs of an archive: the second has a newer version of one recording, and says what it could not read and what is gone. */
function recordings(): Snapshot[] {
  const [one, two, newer, other, unusual, big] = [
    content("one", 3000),
    content("two", 0),
    content("newer", 4000),
    content("other", 700),
    content("unusual", 100_000),
    content("big", 100_001),
  ] as const
  const cut = [big.subarray(0, 40_000), big.subarray(40_000, 80_000), big.subarray(80_000)] as const
  const first = tarSegment([part("2026/one.wav", one), part("2026/two.wav", two), part(unusualName, unusual), part("big.wav", cut[0], 1)])
  const second = tarSegment([part("big.wav", cut[1], 2), part("big.wav", cut[2], 3)])
  const birch = tarSegment([part(longName, other)])
  const base = { dataset: "call-recordings", mode: "archive", complete: true } as const
  return [
    {
      ...base,
      packs: new Map([
        [
          "first",
          [
            { account: accounts.alder, segment: first },
            { account: accounts.birch, segment: birch },
          ],
        ],
        ["second", [{ account: accounts.alder, segment: second }]],
      ]),
      pieces: [
        {
          account: accounts.alder,
          partition: "2026-11-19",
          items: [
            file("2026/one.wav", one, [{ pack: "first", segment: 0, part: 0 }]),
            file("2026/two.wav", two, []),
            file(unusualName, unusual, [{ pack: "first", segment: 0, part: 2 }]),
            file("big.wav", big, [
              { pack: "first", segment: 0, part: 3 },
              { pack: "second", segment: 0, part: 0 },
              { pack: "second", segment: 0, part: 1 },
            ]),
          ],
        },
        { account: accounts.birch, partition: "2026-11-19", items: [file(longName, other, [{ pack: "first", segment: 1, part: 0 }])] },
      ],
    },
    {
      ...base,
      packs: new Map([["third", [{ account: accounts.alder, segment: tarSegment([part("2026/one.wav", newer)]) }]]]),
      pieces: [
        {
          account: accounts.alder,
          partition: "2026-11-19",
          items: [
            file("2026/one.wav", newer, [{ pack: "third", segment: 0, part: 0 }]),
            { manifest: { ...entry, path: Buffer.from("2026/two.wav"), type: "file", gone: true }, segments: [] },
            { manifest: { ...entry, path: unusualName, type: "file", missing: { reason: "unreadable", detail: "EIO" } }, segments: [] },
            {
              manifest: { ...entry, path: Buffer.from("2026/never.wav"), type: "file", missing: { reason: "torn", detail: "x" } },
              segments: [],
            },
          ],
        },
      ],
    },
  ]
}

export const stateFiles: ReadonlyMap<string, Buffer> = new Map([
  ["autoload/sofia.conf.xml", content("sofia", 9000)],
  ["autoload/switch.conf.xml", content("switch", 300)],
  ["autoload/vars.xml", Buffer.alloc(0)],
  ["sip_profiles/internal.xml", content("internal", 70_000)],
])

/** Three runs of a state: an older one, the newest complete one, and a partial one after it. */
function configurations(): Snapshot[] {
  return [
    configuration("old", new Map([["old.xml", content("old", 10)]]), true),
    configuration("new", stateFiles, true),
    configuration("partial", new Map([["autoload/switch.conf.xml", content("half", 10)]]), false),
  ]
}

function configuration(name: string, files: ReadonlyMap<string, Buffer>, complete: boolean): Snapshot {
  const paths = [...files.keys()]
  const segment = framedSegment(
    [...files].map(([path, bytes]) => part(path, bytes)),
    5000,
  )
  const directory = (path: string, mode: number): Item => ({
    manifest: { ...entry, path: Buffer.from(path), type: "directory", mode },
    segments: [],
  })
  const link: Item = {
    manifest: { ...entry, path: Buffer.from("current\tlink"), type: "symlink", mode: 0o777, link: Buffer.from("../../etc/passwd") },
    segments: [],
  }
  return {
    dataset: "switch-config",
    mode: "state",
    complete,
    packs: new Map([[name, [{ account: "platform", segment }]]]),
    pieces: [
      {
        account: "platform",
        partition: name,
        items: [
          directory("autoload", 0o550),
          directory("empty", 0o700),
          link,
          ...paths.map((path, index) => file(path, files.get(path) ?? Buffer.alloc(0), [{ pack: name, segment: 0, part: index }])),
        ],
      },
    ],
  }
}

/** What a trusted agent that was taken over might write to get out of the folder that is restored into. */
export function hostile(): Snapshot {
  const bytes = content("hostile", 20)
  const paths = ["../escaped", "/escaped", "folder/../../escaped", "folder//escaped", "folder/./escaped", "harmless", "link/through"]
  const places = paths.map((path, index) => file(path, bytes, [{ pack: "hostile", segment: 0, part: index }]))
  const link: Item = { manifest: { ...entry, path: Buffer.from("link"), type: "symlink", link: Buffer.from("/tmp") }, segments: [] }
  const folder: Item = { manifest: { ...entry, path: Buffer.from("../escaped-folder"), type: "directory" }, segments: [] }
  return {
    dataset: "hostile",
    mode: "archive",
    complete: true,
    packs: new Map([
      ["hostile", [{ account: accounts.alder, segment: tarSegment(paths.map((_, index) => part(`file-${String(index)}`, bytes))) }]],
    ]),
    pieces: [{ account: accounts.alder, partition: "2026-11-19", items: [...places, link, folder] }],
  }
}
