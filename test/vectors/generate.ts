import { existsSync, mkdirSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { sha256 } from "../../src/digest.ts"
import type { Json } from "../../src/format/canonical.ts"
import { encodeBackupCommit, encodeControlCommit } from "../../src/format/commit.ts"
import { encodeInventory, type InventoryPartition, ListingDigest } from "../../src/format/inventory.ts"
import { encodeManifest, type ManifestItem } from "../../src/format/manifest.ts"
import { decodePack, encodePack } from "../../src/format/pack.ts"
import { encodeSigned } from "../../src/format/signed.ts"
import { paddingOf, tarHeader, trailer } from "../../src/format/tar.ts"
import { encodeRepository, encodeTrust } from "../../src/format/trust.ts"
import { framedSegment, type Part, tarSegment } from "../recover/segments.ts"
import * as world from "./world.ts"

/**
 * Writes the golden vectors of format version 1 into test/vectors/v1, once: they are never regenerated, so that no later change of
 * the encoders can change what was promised to be readable. New vectors get a folder and an index of their own.
 *
 *   node test/vectors/generate.ts
 */
export type VectorKind = "pack" | "segment" | "manifest" | "inventory" | "commit" | "repository" | "trust"

export interface Vector {
  readonly file: string
  readonly kind: VectorKind
  /** "ok", or the code of the error. */
  readonly expect: string
  /** Part of the error's sentence. */
  readonly words?: string
  /** What is in it, or what is wrong with it. */
  readonly about: string
  /** Of a manifest: the SHA-256 of its lines that the inventory names. */
  readonly digest?: string
}

interface NewVector extends Vector {
  readonly bytes: Uint8Array
}

const { account, agent, created, dataset, mtimeNs, partition, place, repository, run } = world

const parts: readonly Part[] = [
  { path: Buffer.from("2026/one.wav"), content: Buffer.from("RIFF, one"), mode: 0o640, mtimeNs },
  { path: world.unusualName, content: Buffer.alloc(700, 0x61), mode: 0o600, mtimeNs: -1n },
  { path: Buffer.from(`${"long/".repeat(49)}e.wav`), content: Buffer.from("long"), mode: 0o444, mtimeNs },
  { path: Buffer.from("n".repeat(250)), content: Buffer.alloc(0), mode: 0o777, mtimeNs },
  { path: Buffer.from("big.wav"), content: Buffer.from("first piece, "), mode: 0o640, mtimeNs, piece: 1 },
  { path: Buffer.from("big.wav"), content: Buffer.from("second piece"), mode: 0o640, mtimeNs, piece: 2 },
]
const plain = tarSegment(parts)
const framed = framedSegment(parts, 2000)
const pack = encodePack([
  { kind: "tar", bytes: world.sealedTo("plain", plain.plaintext) },
  { kind: "tar.zst", bytes: world.sealedTo("framed", framed.plaintext) },
])

function good(file: string, kind: VectorKind, about: string, bytes: Uint8Array, digest?: string): NewVector {
  return { file, kind, expect: "ok", about, bytes, ...(digest === undefined ? {} : { digest }) }
}

function bad(
  file: string,
  kind: VectorKind,
  [expect, words]: readonly [string, string],
  about: string,
  bytes: Uint8Array,
  digest?: string,
): NewVector {
  return {
    file,
    kind,
    expect: expect.includes("/") ? expect : `format/${expect}`,
    words,
    about,
    bytes,
    ...(digest === undefined ? {} : { digest }),
  }
}

function changed(bytes: Uint8Array, at: number, value: number): Buffer {
  const copy = Buffer.from(bytes)
  copy.writeUInt8(value, at)
  return copy
}

function member(name: string, size: number, mode = 0o600): Uint8Array {
  return tarHeader({ name: Buffer.from(name), size, mode, mtime: 0 })
}

function packs(): NewVector[] {
  const [, second] = decodePack(pack)
  const secondHeader = (second?.offset ?? 0) - 512
  const one = Buffer.concat([Buffer.from("x"), Buffer.alloc(511)])
  return [
    good("pack.tar", "pack", "two data segments, one of them compressed, sealed to account.txt", pack),
    bad(
      "pack-cut-in-header.tar",
      "pack",
      ["malformed", "cut inside a tar header"],
      "ends within the second member's header",
      pack.subarray(0, secondHeader + 300),
    ),
    bad(
      "pack-cut-in-member.tar",
      "pack",
      ["malformed", "cut inside a tar member"],
      "ends within the second member",
      pack.subarray(0, secondHeader + 600),
    ),
    bad(
      "pack-one-zero-block.tar",
      "pack",
      ["malformed", "tar header"],
      "lacks the second of the two zero blocks",
      pack.subarray(0, pack.length - 512),
    ),
    bad(
      "pack-trailing.tar",
      "pack",
      ["malformed", "bytes after the end"],
      "a third zero block follows",
      Buffer.concat([pack, Buffer.alloc(512)]),
    ),
    bad(
      "pack-checksum.tar",
      "pack",
      ["malformed", "not as this format writes it"],
      "the first header's checksum is of another header",
      changed(pack, 150, (pack[150] ?? 0) ^ 1),
    ),
    bad(
      "pack-owner.tar",
      "pack",
      ["malformed", "not as this format writes it"],
      "the first member belongs to user 1",
      changed(changed(pack, 114, 0x31), 153, (pack[153] ?? 0) + 1),
    ),
    bad(
      "pack-gap.tar",
      "pack",
      ["malformed", "pack member 0"],
      "its only member is 0001",
      Buffer.concat([member("0001.tar.age", 1), one, trailer]),
    ),
    bad(
      "pack-mode.tar",
      "pack",
      ["malformed", "pack member 0"],
      "its member can be read by all",
      Buffer.concat([member("0000.tar.age", 1, 0o644), one, trailer]),
    ),
    bad(
      "pack-suffix.tar",
      "pack",
      ["malformed", "pack member 0"],
      "its member is no segment",
      Buffer.concat([member("0000.sh", 1), one, trailer]),
    ),
    bad(
      "pack-padding.tar",
      "pack",
      ["malformed", "padding is not zero"],
      "a secret message after the member",
      Buffer.concat([member("0000.tar.age", 1), changed(one, 100, 1), trailer]),
    ),
    bad("pack-empty.tar", "pack", ["malformed", "pack without members"], "two zero blocks and nothing else", trailer),
    bad(
      "pack-huge-member.tar",
      "pack",
      ["malformed", "cut inside a tar member"],
      "its member claims 8 GiB",
      Buffer.concat([member("0000.tar.age", 2 ** 33 - 1), one, trailer]),
    ),
    bad("pack-huge-pax.tar", "pack", ["malformed", "cut inside a tar header"], "a pax header that claims 8 GiB", hugePax()),
  ]
}

// tarHeader writes pax headers only where it needs one: the member's own block is turned into one, with the checksum it then has.
function hugePax(): Buffer {
  const block = Buffer.from(member("0000.tar.age", 2 ** 33 - 1))
  block.writeUInt8(0x78, 156)
  const sum = block.reduce((total, byte, index) => total + (index >= 148 && index < 156 ? 0x20 : byte), 0)
  block.write(`${sum.toString(8).padStart(6, "0")}\u0000 `, 148, "latin1")
  return Buffer.concat([block, Buffer.from("11 path=aa\n")])
}

function segments(): NewVector[] {
  return [
    good("segment.tar", "segment", "whole files and pieces, names that need a prefix, a pax header, an escape; padded", plain.plaintext),
    good("segment.tar.zst", "segment", "the same tar in frames of 2000 bytes, padded with a skippable frame", framed.plaintext),
    bad("segment-link.tar", "segment", ["malformed", "not as this format writes it"], "a symbolic link to /etc/passwd", linkTar()),
  ]
}

function linkTar(): Buffer {
  const block = Buffer.from(member("d/link", 0))
  block.writeUInt8(0x32, 156)
  block.write("/etc/passwd", 157)
  const sum = block.reduce((total, byte, index) => total + (index >= 148 && index < 156 ? 0x20 : byte), 0)
  block.write(`${sum.toString(8).padStart(6, "0")}\u0000 `, 148, "latin1")
  return Buffer.concat([block, trailer])
}

const packDigest = sha256(pack)
const empty = { size: 0, mtimeNs, mode: 0o640, uid: 1000, gid: 1000, at: [], flags: [] } as const
const unsorted: readonly ManifestItem[] = [
  { ...empty, path: Buffer.from("2026"), type: "directory", mode: 0o750 },
  {
    ...empty,
    path: Buffer.from("2026/one.wav"),
    type: "file",
    size: 9,
    sha256: sha256("RIFF, one"),
    at: [{ pack: packDigest, segmentOffset: 512, segmentLength: 8000, frameOffset: 512, frameLength: 9, skip: 0, length: 9 }],
    flags: ["truncated-header"],
  },
  { ...empty, path: Buffer.from("empty"), type: "file", sha256: sha256(""), mtimeNs: -1_500_000_000n },
  { ...empty, path: Buffer.from("gone.wav"), type: "file", gone: true },
  { ...empty, path: Buffer.from("link"), type: "symlink", mode: 0o777, link: Buffer.from("../elsewhere") },
  { ...empty, path: Buffer.from("lost.wav"), type: "file", missing: { reason: "unreadable", detail: "EIO" } },
  { ...empty, path: world.unusualName, type: "file", sha256: sha256("") },
]
const items = unsorted.toSorted((a, b) => Buffer.compare(a.path, b.path))

/** A listing of exactly these lines, canonical or not. */
function listing(name: string, lines: readonly string[], end = "\n"): { readonly tar: Buffer; readonly digest: string } {
  const text = Buffer.from(lines.join("\n") + end)
  return { tar: Buffer.concat([member(name, text.length), text, new Uint8Array(paddingOf(text.length)), trailer]), digest: sha256(text) }
}

const manifestLine = `{"account":"${account}","agent":"${agent}","dataset":"${dataset}","packs":["${packDigest}"],"part":0,"partition":"${partition}","parts":1,"repository":"${repository}","v":1}`
const itemLine = (path: string): string =>
  `{"gid":0,"mode":420,"mtime":"0","path":${path},"sha256":"${sha256("")}","size":0,"type":"file","uid":0}`

function manifests(): NewVector[] {
  const whole = encodeManifest({ ...place, part: 0, parts: 1 }, items)
  const broken = (file: string, fault: readonly [string, string], about: string, lines: readonly string[], end?: string): NewVector => {
    const { tar, digest } = listing("MANIFEST.jsonl", lines, end)
    return bad(file, "manifest", fault, about, tar, digest)
  }
  const transplanted = (Object.keys(place) as (keyof typeof place)[]).map((field) => {
    const other = { repository: "f".repeat(32), agent: "pbx-2", account: "f".repeat(32), dataset: "cdrs", partition: "2026-11-21" }[field]
    const made = encodeManifest({ ...place, [field]: other, part: 0, parts: 1 }, items)
    return bad(
      `manifest-other-${field}.tar`,
      "manifest",
      ["foreign", `${field} is not the inventory's`],
      `whole, of another ${field}`,
      made.tar,
      made.sha256,
    )
  })
  return [
    good("manifest.tar", "manifest", "files, a directory, a link, something missing and something gone", whole.tar, whole.sha256),
    { ...good("manifest-unknown-field.tar", "manifest", "fields that a later release added", new Uint8Array()), ...later() },
    bad(
      "manifest-other-digest.tar",
      "manifest",
      ["mismatch", "not the one the inventory names"],
      "whole, and not the one asked for",
      whole.tar,
      sha256("another"),
    ),
    bad(
      "manifest-is-segment.tar",
      "manifest",
      ["too-large", "more than 1 members"],
      "a data segment in a manifest's place",
      plain.plaintext,
      sha256("x"),
    ),
    bad(
      "manifest-in-d.tar",
      "manifest",
      ["malformed", "not the only member"],
      "a captured file called MANIFEST.jsonl",
      capturedManifest(whole.tar),
      whole.sha256,
    ),
    ...transplanted,
    broken("manifest-version-2.tar", ["unsupported", "format version 2"], "of version 2", [manifestLine.replace('"v":1', '"v":2')]),
    broken("manifest-crit.tar", ["unsupported", "needs a newer release"], "needs a field that this version does not know", [
      manifestLine.replace('"dataset"', '"crit":["sparse-map"],"dataset"'),
    ]),
    broken("manifest-cut.tar", ["malformed", "last line is cut"], "its last line does not end", [manifestLine, itemLine('"a"')], ""),
    broken("manifest-order.tar", ["malformed", "out of order"], "b before a", [manifestLine, itemLine('"b"'), itemLine('"a"')]),
    broken("manifest-twice.tar", ["malformed", "twice"], "a path twice", [manifestLine, itemLine('"a"'), itemLine('"a"')]),
    broken("manifest-space.tar", ["malformed", "not canonical"], "white space", [manifestLine, itemLine(' "a"')]),
    broken("manifest-escape.tar", ["malformed", "not canonical"], "a letter written as an escape", [manifestLine, itemLine('"\\u0061"')]),
    broken("manifest-duplicate-key.tar", ["malformed", "not canonical"], "a key twice", [manifestLine, itemLine('"a","path":"b"')]),
    broken("manifest-float.tar", ["malformed", "integer below"], "a size that is no integer", [
      manifestLine,
      itemLine('"a"').replace('"size":0', '"size":0.5'),
    ]),
    broken("manifest-huge-number.tar", ["malformed", "integer below"], "a size of 2^53", [
      manifestLine,
      itemLine('"a"').replace('"size":0', '"size":9007199254740992'),
    ]),
    broken("manifest-deep.tar", ["too-large", "nested deeper"], "nested a thousand deep", [
      manifestLine,
      `${"[".repeat(1000)}${"]".repeat(1000)}`,
    ]),
    broken("manifest-no-digest.tar", ["malformed", "without SHA-256"], "a file without its SHA-256", [
      manifestLine,
      itemLine('"a"').replace(/"sha256":"[0-9a-f]+",/, ""),
    ]),
    broken("manifest-short.tar", ["malformed", "do not add up"], "a file of 5 bytes whose locations hold 4", [
      manifestLine,
      itemLine('"a"').replace('{"gid"', '{"at":[[0,512,1000,0,4,0,4]],"gid"').replace('"size":0', '"size":5'),
    ]),
    broken("manifest-pack-index.tar", ["malformed", "not in the header"], "a location in a pack that line 1 does not name", [
      manifestLine,
      itemLine('"a"').replace('{"gid"', '{"at":[[1,512,1000,0,4,0,4]],"gid"').replace('"size":0', '"size":4'),
    ]),
    broken("manifest-b64.tar", ["malformed", "base64"], "a path in base64 that is UTF-8", [manifestLine, itemLine('{"b64":"YQ=="}')]),
    broken("manifest-zero-byte.tar", ["malformed", "bad path"], "a path with a zero byte", [manifestLine, itemLine('"a\\u0000b"')]),
  ]
}

function later(): { readonly bytes: Uint8Array; readonly digest: string } {
  const lines = [manifestLine.replace('"v":1', '"v":1,"w":"later"'), itemLine('"a"').replace('"uid":0', '"uid":0,"xattrs":[1,2]')]
  const { tar, digest } = listing("MANIFEST.jsonl", lines)
  return { bytes: tar, digest }
}

function capturedManifest(tar: Uint8Array): Buffer {
  const lines = tar.subarray(512, tar.length - trailer.length)
  const size = Buffer.from(tar.subarray(124, 135)).toString("latin1")
  return Buffer.concat([member("d/MANIFEST.jsonl", Number.parseInt(size, 8)), lines, trailer])
}

function partitionLine(): InventoryPartition {
  const listed = new ListingDigest("5".repeat(32))
  listed.add(Buffer.from("2026/one.wav"), 9, mtimeNs)
  return {
    account,
    epoch: "1",
    partition,
    manifests: [[sha256("meta"), 0, sha256("manifest")]],
    files: 1,
    bytes: 9,
    missing: [["unreadable", 1]],
    salt: "5".repeat(32),
    listing: listed.digest(),
  }
}

function inventories(): NewVector[] {
  const header = { repository, agent, dataset, run, part: 0, parts: 1 }
  const whole = encodeInventory(header, [partitionLine()])
  return [
    good("inventory.tar", "inventory", "one partition, with something missing", whole),
    bad(
      "inventory-other-run.tar",
      "inventory",
      ["foreign", "run is not the commit's"],
      "of another run",
      encodeInventory({ ...header, run: "0".repeat(32) }, []),
    ),
    bad(
      "inventory-other-part.tar",
      "inventory",
      ["foreign", "part is not the commit's"],
      "its second part",
      encodeInventory({ ...header, part: 1 }, []),
    ),
    bad(
      "inventory-is-manifest.tar",
      "inventory",
      ["malformed", "not the only member"],
      "a manifest in an inventory's place",
      encodeManifest({ ...place, part: 0, parts: 1 }, items).tar,
    ),
  ]
}

const shared = { repository, agent, seq: 7, prev: [sha256("head")], seen: [], trust: `1-${"1".repeat(32)}`, time: created }
const backup = {
  ...shared,
  run,
  job: dataset,
  dataset,
  mode: "archive" as const,
  cut: created,
  complete: true,
  final: true,
  packs: [[packDigest, pack.length, "recordings-90", "pack", "2026-11-20"] as [typeof packDigest, number, string, "pack", string]],
  inventory: [[sha256("meta"), 1] as [typeof packDigest, number]],
}
const keyRecord = {
  type: "key" as const,
  account,
  epoch: "1",
  orgEpoch: 1,
  object: `v1/keys/${account}/1-e1-${"2".repeat(32)}.age`,
  entry: Buffer.from("an age file").toString("base64"),
}

function commits(): NewVector[] {
  const whole = encodeBackupCommit(backup, world.agentSigner)
  const text = Buffer.from(whole).toString()
  const body = { ...backup, v: 1, kind: "backup", crit: [] }
  const signed = (value: Json): Uint8Array => encodeSigned("commit", value, world.agentSigner)
  const resigned = (line: string): Buffer => signedLine("commit", line)
  const control = { ...shared, v: 1, kind: "control", packs: [], crit: [] }
  const [line = "", signature = ""] = text.split("\n")
  // The last letter before == carries four bits that must be zero: with one of them set, it still decodes to the same bytes.
  const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
  const loose = `${signature.slice(0, -3)}${alphabet[alphabet.indexOf(signature.at(-3) ?? "A") + 1] ?? ""}==`
  return [
    good("commit-backup.json", "commit", "of an archive", whole),
    good("commit-control.json", "commit", "births of a key", encodeControlCommit({ ...shared, records: [keyRecord] }, world.agentSigner)),
    good(
      "commit-later.json",
      "commit",
      "with a field and a record of a later release",
      signed({ ...control, extra: { a: [1] }, records: [{ type: "weather", wind: 3 }] }),
    ),
    bad(
      "commit-flipped.json",
      "commit",
      ["mismatch", "not signed by a trusted key"],
      "complete was made of partial",
      Buffer.from(text.replace('"seq":7', '"seq":8')),
    ),
    bad(
      "commit-stranger.json",
      "commit",
      ["mismatch", "not signed by a trusted key"],
      "signed by a key that is not the agent's",
      encodeBackupCommit(backup, world.stranger),
    ),
    bad(
      "commit-other-agent.json",
      "commit",
      ["mismatch", "not signed by a trusted key"],
      "signed by one agent for another",
      encodeBackupCommit({ ...backup, agent: "pbx-2" }, world.agentSigner),
    ),
    bad(
      "commit-other-domain.json",
      "commit",
      ["mismatch", "not signed by a trusted key"],
      "signed as a trust list",
      encodeSigned("trust", body, world.agentSigner),
    ),
    bad("commit-one-line.json", "commit", ["malformed", "not two lines"], "without signature", Buffer.from(`${line}\n`)),
    bad("commit-three-lines.json", "commit", ["malformed", "not two lines"], "a line follows", Buffer.from(`${text}{}\n`)),
    bad("commit-no-line-end.json", "commit", ["malformed", "not two lines"], "its last line does not end", Buffer.from(text.slice(0, -1))),
    bad(
      "commit-loose-base64.json",
      "commit",
      ["malformed", "canonical base64"],
      "a second way to write the same signature",
      Buffer.from(`${line}\n${loose}\n`),
    ),
    bad("commit-version-2.json", "commit", ["unsupported", "format version 2"], "of version 2", signed({ ...body, v: 2 })),
    bad(
      "commit-other-kind.json",
      "commit",
      ["unsupported", 'of kind "compaction"'],
      "of a kind this version does not know",
      signed({ ...body, kind: "compaction" }),
    ),
    bad(
      "commit-crit.json",
      "commit",
      ["unsupported", "needs a newer release to read fence"],
      "needs a field that this version does not know",
      signed({ ...body, fence: 1, crit: ["fence"] }),
    ),
    bad(
      "commit-unsorted.json",
      "commit",
      ["malformed", "not canonical"],
      "its keys are not sorted",
      resigned(`{"v":1,${line.slice(1).replace(',"v":1', "")}`),
    ),
    bad(
      "commit-duplicate-key.json",
      "commit",
      ["malformed", "not canonical"],
      "a key twice",
      resigned(line.replace('"seq":7', '"seq":7,"seq":7')),
    ),
    bad(
      "commit-float.json",
      "commit",
      ["malformed", "not canonical"],
      "a number with an exponent",
      resigned(line.replace('"seq":7', '"seq":7e0')),
    ),
    bad(
      "commit-bad-record.json",
      "commit",
      ["malformed", "records"],
      "a key record without its entry",
      signed({ ...control, records: [{ type: "key", account, epoch: "1", orgEpoch: 1, object: keyRecord.object }] }),
    ),
    bad(
      "commit-bad-agent.json",
      "commit",
      ["malformed", "agent"],
      "of an agent whose folder would be that of the keys",
      signed({ ...body, agent: "keys" }),
    ),
    bad(
      "commit-pack-of-four.json",
      "commit",
      ["malformed", "packs"],
      "a pack without its date",
      signed({ ...body, packs: [backup.packs[0]?.slice(0, 4) ?? []] }),
    ),
  ]
}

/** A line that is not canonical, signed all the same: only its form is wrong. */
function signedLine(kind: string, line: string): Buffer {
  const signature = Buffer.from(world.agentSigner.sign(Buffer.from(`holdline/v1/${kind}\n${line}`))).toString("base64")
  const [, second = ""] = Buffer.from(encodeSigned("commit", {}, world.agentSigner))
    .toString()
    .split("\n")
  return Buffer.from(`${line}\n${second.split(" ").slice(0, 2).join(" ")} ${signature}\n`)
}

function trusts(): NewVector[] {
  const limits = { packBytesMax: 33_554_432, packMembersMax: 4096 }
  const list = {
    repository,
    n: 1,
    created,
    agents: [{ id: agent, key: world.agentSigner.publicKey, role: "agent" as const, from: created }],
    organisation: {
      epoch: 1,
      recipients: [
        { name: "operations", recipient: world.accountRecipient },
        { name: "escrow", recipient: world.accountRecipient },
      ],
    },
    catalog: { epoch: 1, recipient: world.accountRecipient },
    people: [{ name: "Ada", key: world.stranger.publicKey, roles: ["erase"] }],
    classes: {
      "recordings-90": { days: 90, reuseDays: 0, tier: { s3: "STANDARD_IA" } },
      "mixed-28": { days: 28, reuseDays: 0, keyEpoch: "week" as const, tier: {} },
    },
    sites: { fra: { provider: "own", region: "fra", zone: "fra-2" } },
    durable: { copies: 2, providers: 2 },
  }
  const first = encodeTrust(list, world.root)
  const claimed = { ...list, v: 1, crit: [], root: world.root.publicKey }
  return [
    good("repository.json", "repository", "the repository object", encodeRepository({ id: repository, created, limits }, world.root)),
    bad(
      "repository-other-root.json",
      "repository",
      ["key/untrusted", "signed by root"],
      "signed by another root",
      encodeRepository({ id: repository, created, limits }, world.stranger),
    ),
    bad(
      "repository-claimed-root.json",
      "repository",
      ["key/untrusted", "signature is not the root's"],
      "names the root and is signed by another",
      encodeSigned("repository", { v: 1, id: repository, created, limits, crit: [], root: world.root.publicKey }, world.stranger),
    ),
    good("trust-1.json", "trust", "the first list", first),
    good(
      "trust-2.json",
      "trust",
      "the second list, which names the first",
      encodeTrust({ ...list, n: 2, prev: sha256(first) }, world.root),
    ),
    bad("trust-other-root.json", "trust", ["key/untrusted", "signed by root"], "signed by another root", encodeTrust(list, world.stranger)),
    bad(
      "trust-claimed-root.json",
      "trust",
      ["key/untrusted", "signature is not the root's"],
      "names the root and is signed by another",
      encodeSigned("trust", claimed, world.stranger),
    ),
    bad(
      "trust-version-2.json",
      "trust",
      ["unsupported", "format version 2"],
      "of version 2",
      encodeSigned("trust", { ...claimed, v: 2 }, world.root),
    ),
    bad(
      "trust-crit.json",
      "trust",
      ["unsupported", "needs a newer release"],
      "needs a field that this version does not know",
      encodeSigned("trust", { ...claimed, crit: ["quorum"] }, world.root),
    ),
    bad(
      "trust-one-recipient.json",
      "trust",
      ["malformed", "organisation.recipients"],
      "a single organisation recipient",
      encodeSigned("trust", { ...claimed, organisation: { epoch: 1, recipients: list.organisation.recipients.slice(1) } }, world.root),
    ),
  ]
}

function write(folder: string): void {
  if (existsSync(folder)) throw new Error(`${folder}: is there already, and vectors are never made again`)
  mkdirSync(folder)
  const all = [...packs(), ...segments(), ...manifests(), ...inventories(), ...commits(), ...trusts()]
  const lines = all.map(({ bytes, ...vector }) => {
    writeFileSync(join(folder, vector.file), bytes, { flag: "wx" })
    return `  ${JSON.stringify({ ...vector, sha256: sha256(bytes) })}`
  })
  writeFileSync(
    join(folder, "account.txt"),
    `# an identity for these vectors only\n# recipient: ${world.accountRecipient}\n${world.accountIdentity}\n`,
  )
  writeFileSync(join(folder, "index.json"), `[\n${lines.join(",\n")}\n]\n`)
}

if (import.meta.main) write(join(import.meta.dirname, "v1"))
