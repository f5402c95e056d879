import { sha256 } from "../../src/digest.ts"
import type { Json } from "../../src/format/canonical.ts"
import { encodeBackupCommit, type ListedPack } from "../../src/format/commit.ts"
import { encodeInventory, type InventoryPartition } from "../../src/format/inventory.ts"
import { encodeListing } from "../../src/format/lines.ts"
import type { ManifestItem } from "../../src/format/manifest.ts"
import { commitKey, packKey } from "../../src/format/names.ts"
import { packBufferBytes } from "../../src/limits.ts"
import { readHistory } from "../../src/operation/history.ts"
import { Keyring } from "../../src/operation/keyring.ts"
import { Listings, type SnapshotPartition } from "../../src/operation/select.ts"
import { inForce } from "../../src/operation/world.ts"
import { randomId, systemRandom } from "../../src/random.ts"
import { memorySite } from "../../src/site/memory.ts"
import { sealListing } from "../../src/stream/listing.ts"
import { PackBuilder } from "../../src/stream/pack.ts"
import type { Scene } from "./scene.ts"

/** What a manifest says of one item, before anyone checks it. */
export type Entry = { readonly [field: string]: Json }

/** A snapshot that was honestly made, as its agent knows it. */
export interface Honest {
  readonly partition: SnapshotPartition
  /** An entry like the honest one's, with other fields. */
  like(path: string, change: Entry): Entry
}

/** Reads the newest snapshot, for whoever wants to tell lies about its bytes. */
export async function readHonest(scene: Scene): Promise<Honest> {
  const reader = scene.reader("a")
  try {
    const history = await readHistory(reader.world)
    const listings = new Listings(reader.world, new Keyring(reader.world, history, [scene.lab.escrow]))
    const snapshot = history.snapshots.at(-1)
    if (snapshot === undefined) throw new Error("nothing was backed up")
    const [partition] = await listings.partitions(snapshot)
    if (partition === undefined) throw new Error("a snapshot without partitions")
    const items = new Map<string, ManifestItem>()
    for await (const item of listings.items(partition)) items.set(item.path.toString(), item)
    const packs = packsOf(partition)
    return {
      partition,
      like(path, change) {
        const item = items.get(path)
        if (item === undefined) throw new Error(`${path} was not backed up`)
        return { ...entryOf(item, packs), ...change }
      },
    }
  } finally {
    reader.end()
  }
}

function packsOf({ snapshot }: SnapshotPartition): string[] {
  return snapshot.commit.body.packs.filter(([, , , kind]) => kind === "pack").map(([digest]) => digest)
}

function entryOf(item: ManifestItem, packs: readonly string[]): Entry {
  const at = item.at.map((e) => [packs.indexOf(e.pack), e.segmentOffset, e.segmentLength, e.frameOffset, e.frameLength, e.skip, e.length])
  return {
    path: item.path.toString(),
    type: item.type,
    size: item.size,
    mtime: String(item.mtimeNs),
    mode: item.mode,
    uid: item.uid,
    gid: item.gid,
    ...(item.sha256 === undefined ? {} : { sha256: item.sha256, at }),
    ...(item.link === undefined ? {} : { link: item.link.toString() }),
  }
}

export interface Lie {
  readonly entries: readonly Entry[]
  /** Other values than the truth in the manifest's first line. */
  readonly header?: Entry
  /** Packs that the manifest names; absent: the honest ones. */
  readonly packs?: readonly string[]
}

/**
 * An agent gone bad, with its signing key: a new newest snapshot at every site, in which everything is in order, the hashes, the
 * signatures and the encryption, except what the manifest says.
 */
export async function publishLie(scene: Scene, { partition }: Honest, lie: Lie): Promise<void> {
  const { snapshot, line } = partition
  const { v: _v, kind: _kind, crit: _crit, ...body } = snapshot.commit.body
  const { organisation, catalog } = inForce(scene.lab.world()).body
  const readers = [catalog.recipient, ...organisation.recipients.map(({ recipient }) => recipient)]
  const run = randomId(systemRandom)
  const { repository, agent, dataset } = body
  const account = { account: line.account, partition: run, part: 0, parts: 1 }
  const header = { v: 1, repository, agent, dataset, ...account, packs: [...(lie.packs ?? packsOf(partition))], ...lie.header }
  const manifest = encodeListing("MANIFEST.jsonl", header, lie.entries)
  const recipient = await recipientOf(scene, partition)
  const manifests = seal(manifest.tar, [recipient])
  const listed: InventoryPartition = { ...line, partition: run, manifests: [[manifests.sha256, 0, sha256(manifest.lines)]] }
  const inventory = seal(encodeInventory({ repository, agent, dataset, run, part: 0, parts: 1 }, [listed]), readers)
  const [first] = body.packs
  if (first === undefined) throw new Error("a snapshot without packs")
  const meta = [manifests, inventory].map((pack): ListedPack => [pack.sha256, pack.bytes.length, first[2], "meta", first[4]])
  const bytes = encodeBackupCommit(
    {
      ...body,
      seq: body.seq + 1,
      prev: [snapshot.commit.sha256],
      run,
      packs: [...body.packs.filter(([, , , kind]) => kind === "pack"), ...meta],
      inventory: [[inventory.sha256, 0]],
    },
    scene.lab.agentKey,
  )
  scene.lab.clock.advance(60_000)
  for (const site of scene.objects.keys()) {
    const opened = memorySite(site, scene.lab.clock, scene.objectsAt(site)).site
    for (const pack of [manifests, inventory]) {
      const key = packKey({ agent, kind: "meta", class: first[2], date: first[4], sha256: pack.sha256 })
      await opened.put(key, pack.bytes, { sha256: pack.sha256 })
    }
    await opened.put(commitKey(agent, body.seq + 1, bytes), bytes, { sha256: sha256(bytes) })
  }
}

async function recipientOf(scene: Scene, { line }: SnapshotPartition): Promise<string> {
  const reader = scene.reader("a")
  try {
    const keyring = new Keyring(reader.world, await readHistory(reader.world), [scene.lab.escrow])
    const [identity] = await keyring.identities(line.account, line.epoch)
    if (identity === undefined) throw new Error("the account has no identity")
    return identity.recipient
  } finally {
    reader.end()
  }
}

function seal(tar: Uint8Array, recipients: readonly string[]) {
  const buffer = new ArrayBuffer(packBufferBytes)
  const builder = new PackBuilder(buffer)
  builder.append("tar.zst", sealListing({ tar, recipients }, systemRandom))
  const { bytes, sha256: digest } = builder.finish()
  return { sha256: digest, bytes: new Uint8Array(buffer.slice(0, bytes)) }
}
