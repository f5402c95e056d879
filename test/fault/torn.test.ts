import { appendFileSync, mkdtempSync, renameSync, rmSync, statSync, symlinkSync, utimesSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, beforeAll, expect, test } from "vitest"
import { generateIdentity } from "../../src/key/recipient.ts"
import { packBufferBytes } from "../../src/limits.ts"
import { WorkerPool } from "../../src/stream/pool.ts"
import type { PackTask, PartResult } from "../../src/stream/task.ts"
import { Dice } from "../world/dice.ts"

const pieceBytes = 1_000_000
let pool: WorkerPool
let directory: string
beforeAll(() => {
  pool = new WorkerPool(1)
  directory = mkdtempSync(join(tmpdir(), "torn-"))
})
afterAll(async () => {
  await pool[Symbol.asyncDispose]()
  rmSync(directory, { recursive: true })
})

/** What a run that listed the file would ask of a worker, piece by piece: what happens to the file in between is the test's. */
function pieces(path: string): readonly [PackTask, PackTask] {
  const { size, mtimeNs, ctimeNs, ino, dev, mode } = statSync(path, { bigint: true })
  const expected = { size: Number(size), identity: { mtimeNs, ctimeNs, inode: ino, device: dev } }
  const recipient = generateIdentity("x25519").recipient
  const task = (number: number): PackTask => {
    const offset = (number - 1) * pieceBytes
    const from = { file: Buffer.from(path), offset, expected, audio: false }
    const piece = { number, last: number === 2 }
    const part = { id: 1, path: Buffer.from("file"), mode: Number(mode), mtimeNs, length: pieceBytes, from, piece }
    return { type: "pack", segments: [{ recipient, kind: "tar", parts: [part] }], buffer: new ArrayBuffer(packBufferBytes), reopen: "all" }
  }
  return [task(1), task(2)]
}

const misfortunes: readonly { readonly name: string; happen(path: string): void }[] = [
  { name: "grew", happen: (path) => appendFileSync(path, "more") },
  { name: "was cut", happen: (path) => writeFileSync(path, new Uint8Array(pieceBytes + 10)) },
  { name: "was written over with as many bytes", happen: (path) => writeFileSync(path, new Uint8Array(2 * pieceBytes)) },
  { name: "got another time", happen: (path) => utimesSync(path, 1, 1) },
]

async function readAround(path: string, happen: (path: string) => void): Promise<PartResult | undefined> {
  const [first, second] = pieces(path)
  const begun = await pool.pack(first, 0)
  expect([...begun.parts][0]).not.toHaveProperty("miss")
  happen(path)
  const [part] = (await pool.pack(second, 0)).parts
  await pool.abandon()
  return part
}

test.for(misfortunes)("a file that $name while it was read is torn, and no hash of it is given", async ({ happen }) => {
  const path = join(directory, "file")
  writeFileSync(path, new Dice("torn").bytes(2 * pieceBytes))
  expect(await readAround(path, happen)).toMatchObject({ miss: "torn" })
})

test("a file that another took the name of is read to its end as it was", async () => {
  const path = join(directory, "renamed")
  writeFileSync(path, new Dice("renamed").bytes(2 * pieceBytes))
  writeFileSync(`${path}.other`, "other")
  const part = await readAround(path, () => renameSync(`${path}.other`, path))
  // Losing its name changed the file's ctime: whether it is torn or whole, it is never a mixture.
  expect(part).toMatchObject({ miss: "torn" })
})

test("a link that took a file's place before it was read is not followed", async () => {
  const path = join(directory, "linked")
  writeFileSync(path, new Dice("linked").bytes(2 * pieceBytes))
  const [first] = pieces(path)
  writeFileSync(`${path}.secret`, new Uint8Array(2 * pieceBytes))
  rmSync(path)
  symlinkSync(`${path}.secret`, path)
  const [part] = (await pool.pack(first, 0)).parts
  await pool.abandon()
  expect(part).toMatchObject({ miss: "torn" })
})
