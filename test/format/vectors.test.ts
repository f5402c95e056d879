import { execFileSync } from "node:child_process"
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { describe, expect, test } from "vitest"
import { z } from "zod"
import { sha256 } from "../../src/digest.ts"
import { digestSchema } from "../../src/digest-schema.ts"
import { decodeCommit } from "../../src/format/commit.ts"
import { decodeInventory, encodeInventory } from "../../src/format/inventory.ts"
import { decodeManifest, encodeManifest } from "../../src/format/manifest.ts"
import { decodePack, encodePack } from "../../src/format/pack.ts"
import { encodeSigned } from "../../src/format/signed.ts"
import { readTar } from "../../src/format/tar.ts"
import { decodeRepository, decodeTrust, verifyTrustChain } from "../../src/format/trust.ts"
import { zstdFrameAt } from "../../src/format/zstd.ts"
import { requireTool } from "../requires.ts"
import * as world from "../vectors/world.ts"

const folder = join(import.meta.dirname, "../vectors/v1")
const indexBytes = readFileSync(join(folder, "index.json"))
const vectors = z
  .array(
    z.strictObject({
      file: z.string(),
      kind: z.enum(["pack", "segment", "manifest", "inventory", "commit", "repository", "trust"]),
      expect: z.string(),
      words: z.string().optional(),
      about: z.string(),
      digest: digestSchema.optional(),
      sha256: digestSchema,
    }),
  )
  .parse(JSON.parse(indexBytes.toString()))
type Vector = (typeof vectors)[number]

const bytesOf = (file: string): Buffer => readFileSync(join(folder, file))

function decode({ kind, file, digest }: Vector, bytes: Uint8Array): unknown {
  const { run, rootFingerprint } = world
  const { repository, agent, dataset } = world.place
  switch (kind) {
    case "pack":
      return decodePack(bytes)
    case "segment":
      return file.endsWith(".zst") ? zstdFrameAt(bytes, 0) : readTar(bytes, { what: file, membersMax: 100 })
    case "manifest":
      return decodeManifest(bytes, { ...world.place, sha256: digest ?? sha256("") })
    case "inventory":
      return decodeInventory(bytes, { repository, agent, dataset, run, part: 0, parts: 1 })
    case "commit":
      return decodeCommit(bytes, (name) => (name === agent ? [world.agentSigner.publicKey] : [world.stranger.publicKey]))
    case "repository":
      return decodeRepository(bytes, rootFingerprint)
    case "trust":
      return decodeTrust(bytes, rootFingerprint)
  }
}

describe("golden vectors of version 1", () => {
  test("are the very bytes they were when they were made", () => {
    expect(sha256(indexBytes)).toBe("1560d98b06606fef1cffc005d5c701884a6f701c8cbd8cb340d8d888d80b7772")
    for (const { file, sha256: digest } of vectors) expect(sha256(bytesOf(file)), file).toBe(digest)
    expect(readdirSync(folder).sort()).toEqual(["account.txt", "index.json", ...vectors.map(({ file }) => file)].sort())
  })

  test.each(vectors)("$file: $about: $expect", (vector) => {
    const bytes = bytesOf(vector.file)
    if (vector.expect === "ok") {
      expect(decode(vector, bytes)).toBeDefined()
    } else {
      expect(() => decode(vector, bytes)).toThrow(
        expect.objectContaining({ code: vector.expect, message: expect.stringContaining(vector.words ?? "no words") }),
      )
    }
  })

  test("what is decoded is encoded to the same bytes", () => {
    const pack = bytesOf("pack.tar")
    const members = decodePack(pack).map(({ kind, offset, length }) => ({ kind, bytes: pack.subarray(offset, offset + length) }))
    expect(Buffer.from(encodePack(members)).equals(pack)).toBe(true)
    const manifest = vectors.find(({ file }) => file === "manifest.tar")
    const { header, items } = decodeManifest(bytesOf("manifest.tar"), { ...world.place, sha256: manifest?.digest ?? sha256("") })
    expect(Buffer.from(encodeManifest(header, items).tar).equals(bytesOf("manifest.tar"))).toBe(true)
    const { run, place } = world
    const expected = { repository: place.repository, agent: place.agent, dataset: place.dataset, run, part: 0, parts: 1 }
    const inventory = decodeInventory(bytesOf("inventory.tar"), expected)
    expect(Buffer.from(encodeInventory(inventory.header, inventory.partitions)).equals(bytesOf("inventory.tar"))).toBe(true)
    for (const [file, kind, signer] of [
      ["commit-backup.json", "commit", world.agentSigner],
      ["commit-control.json", "commit", world.agentSigner],
      ["repository.json", "repository", world.root],
      ["trust-1.json", "trust", world.root],
    ] as const) {
      const [line = ""] = bytesOf(file).toString().split("\n")
      expect(Buffer.from(encodeSigned(kind, JSON.parse(line), signer)).equals(bytesOf(file)), file).toBe(true)
    }
  })

  test("the trust lists follow one another", () => {
    const lists = ["trust-2.json", "trust-1.json"].map((file) => decodeTrust(bytesOf(file), world.rootFingerprint))
    expect(verifyTrustChain(lists, world.repository).map(({ body }) => body.n)).toEqual([1, 2])
  })

  test("the pack passes tar, age, zstd, tar and sha256sum", (context) => {
    for (const tool of ["tar", "age", "zstd", "sha256sum"]) {
      const lacking = requireTool(tool)
      if (lacking !== null) context.skip(lacking)
    }
    const scratch = mkdtempSync(join(tmpdir(), "vectors-"))
    try {
      const steps = (member: string, inflate: string): string =>
        `tar xf "$V/pack.tar" ${member} && age -d -i "$V/account.txt" ${member} | ${inflate} | tar x --no-same-owner && sha256sum -c SHA256SUMS`
      for (const command of [steps("0000.tar.age", "cat"), steps("0001.tar.zst.age", "zstd -d")]) {
        const options = { cwd: scratch, env: { ...process.env, V: folder, LC_ALL: "C" } }
        const checked = execFileSync("bash", ["-o", "pipefail", "-ec", command], options)
        expect(checked.toString("latin1").match(/: OK$/gm)).toHaveLength(6)
      }
      expect(readFileSync(join(scratch, "d/2026/one.wav"), "utf8")).toBe("RIFF, one")
      const [pieces = ""] = readdirSync(join(scratch, "p"))
      expect(readdirSync(join(scratch, "p", pieces))).toEqual(["0000001", "0000002"])
    } finally {
      rmSync(scratch, { recursive: true })
    }
  })
})
