import { sha256 } from "../../src/digest.ts"
import { FormatError } from "../../src/errors.ts"
import { decodeCommit } from "../../src/format/commit.ts"
import { decodeInventory } from "../../src/format/inventory.ts"
import { decodeManifest } from "../../src/format/manifest.ts"
import { decodePack } from "../../src/format/pack.ts"
import { paddingOf, tarHeader, trailer } from "../../src/format/tar.ts"
import { zstdFrameAt } from "../../src/format/zstd.ts"

/** Run with little memory: each of these must be refused before it is held in any larger form than its bytes. */
const place = { repository: "1".repeat(32), agent: "pbx-1", dataset: "cdrs" }
const MiB = 1024 * 1024

function listing(name: string, lines: Buffer): Buffer {
  const head = tarHeader({ name: Buffer.from(name), size: lines.length, mode: 0o600, mtime: 0 })
  return Buffer.concat([head, lines, new Uint8Array(paddingOf(lines.length)), trailer])
}

const inventoryHead = JSON.stringify({ agent: "pbx-1", dataset: "cdrs", part: 0, parts: 1, repository: place.repository, run: "r", v: 1 })
const inventory = (lines: Buffer) => decodeInventory(listing("INVENTORY.jsonl", lines), { ...place, run: "r", part: 0, parts: 1 })
const manifest = (lines: Buffer) => {
  const expected = { ...place, account: "2".repeat(32), partition: "p", sha256: sha256(lines) }
  return decodeManifest(listing("MANIFEST.jsonl", lines), expected)
}
const newlines = Buffer.alloc(31 * MiB, "\n")
const frame = Buffer.alloc(64)
frame.writeUInt32LE(0xfd2fb528)
frame.writeUInt8(0xe4, 4)
frame.writeBigUInt64LE(2n ** 40n, 5)

const bombs: readonly (() => unknown)[] = [
  () => inventory(newlines),
  () => inventory(Buffer.concat([Buffer.from(`${inventoryHead}\n`), newlines])),
  () => manifest(newlines),
  () => manifest(Buffer.alloc(33 * MiB, "\n")),
  () => inventory(Buffer.concat([Buffer.alloc(8 * MiB, "["), Buffer.from("\n")])),
  () => decodePack(Buffer.alloc(33 * MiB)),
  () => decodeCommit(Buffer.alloc(9 * MiB, "\n"), () => []),
  () => decodeCommit(Buffer.alloc(8 * MiB, "\n"), () => []),
  () => zstdFrameAt(frame, 0),
]

let refused = 0
for (const bomb of bombs) {
  try {
    bomb()
  } catch (error) {
    if (!(error instanceof FormatError)) throw error
    refused += 1
  }
}
process.stdout.write(`${String(refused)} refused\n`)
