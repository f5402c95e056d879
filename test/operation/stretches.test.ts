import { appendFileSync, chmodSync, mkdirSync, renameSync, rmSync, utimesSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { describe, expect, test, vi } from "vitest"
import { Items } from "../../src/catalog/items.ts"
import type { RunReport } from "../../src/report/run.ts"
import { type Lab, openLab } from "./lab.ts"
import { sharedPool } from "./lab-pool.ts"

const pool = sharedPool()
const files = 20
const lastChanged = 1_750_000_000
const day = "maple.example/archive/2026/Nov/03"

function recordings(lab: Lab) {
  const path = join(lab.directory, "recordings")
  mkdirSync(join(path, day), { recursive: true })
  for (let call = 0; call < files; call++) {
    writeFileSync(join(path, day, callNamed(call)), `call ${String(call)} `)
    utimesSync(join(path, day, callNamed(call)), lastChanged, lastChanged)
  }
  return { kind: "directory" as const, path, template: "{account}/archive/{yyyy}/{Mon}/{dd}/{name}", settle: 0 }
}

function callNamed(call: number): string {
  return `${String(call).padStart(4, "0")}.txt`
}

function amounts({ captured, unchanged }: RunReport): readonly [captured: number, unchanged: number] {
  return [captured.files, unchanged.files]
}

/** A lab whose archive was found unchanged once, so that the next run knows it as a stretch. */
async function settled() {
  const lab = await openLab({ pool })
  const source = recordings(lab)
  expect(amounts(await lab.run({}, source))).toEqual([files, 0])
  expect(amounts(await lab.run({}, source))).toEqual([0, files])
  const file = (call: number) => join(source.path, day, callNamed(call))
  return { lab, source, file, [Symbol.asyncDispose]: () => lab[Symbol.asyncDispose]() }
}

test("files that were found unchanged side by side are asked about as one", async () => {
  await using at = await settled()
  const asked = vi.spyOn(at.lab.world().catalog, "get")
  const ofFiles = () => asked.mock.calls.filter(([sql]) => /FROM item\s+WHERE dataset = \? AND path = \?/.test(sql)).length
  expect(amounts(await at.lab.run({}, at.source))).toEqual([0, files])
  expect(ofFiles()).toBe(0)
  appendFileSync(at.file(3), "more")
  expect(amounts(await at.lab.run({}, at.source))).toEqual([1, files - 1])
  expect(ofFiles()).toBe(files)
})

describe("of files that were found unchanged side by side, one is captured again", () => {
  const changes: Readonly<Record<string, (file: string) => void>> = {
    "that grew": (file) => appendFileSync(file, "more"),
    "with other bytes, as many, and the time it had": (file) => {
      writeFileSync(file, "CALL 3 ")
      utimesSync(file, lastChanged, lastChanged)
    },
    "with another time": (file) => utimesSync(file, 1_700_000_000, 1_700_000_000),
    "with other permissions": (file) => chmodSync(file, 0o600),
    "that another took the place of": (file) => {
      writeFileSync(`${file}.new`, "call 3 ")
      renameSync(`${file}.new`, file)
    },
    "under a new name": (file) => renameSync(file, file.replace(".txt", ".wav")),
  }

  test.each(Object.entries(changes))("%s", async (_, change) => {
    await using at = await settled()
    change(at.file(3))
    expect(amounts(await at.lab.run({}, at.source))).toEqual([1, files - 1])
    expect(amounts(await at.lab.run({}, at.source))).toEqual([0, files])
    expect(amounts(await at.lab.run({}, at.source))).toEqual([0, files])
  })

  test("the first of them or beside them, where another went", async () => {
    await using at = await settled()
    appendFileSync(at.file(0), "more")
    writeFileSync(at.file(files), "a new one")
    rmSync(at.file(7))
    expect(amounts(await at.lab.run({}, at.source))).toEqual([2, files - 2])
    expect(amounts(await at.lab.run({}, at.source))).toEqual([0, files])
  })
})

describe("files that were found unchanged side by side are captured again", () => {
  test("one of which is not remembered any more", async () => {
    await using at = await settled()
    at.lab.world().catalog.run("DELETE FROM item WHERE path = ?", Buffer.from(join(day, callNamed(3))))
    expect(amounts(await at.lab.run({}, at.source))).toEqual([1, files - 1])
  })

  test("that rest on a commit no site has", async () => {
    await using at = await settled()
    const items = new Items(at.lab.world().catalog, "call-recordings")
    for (const commit of items.commitsInUse()) items.forgetCommit(commit)
    expect(amounts(await at.lab.run({}, at.source))).toEqual([files, 0])
  })

  test("one of which the sites remember otherwise", async () => {
    await using at = await settled()
    const items = new Items(at.lab.world().catalog, "call-recordings")
    const [commit] = items.commitsInUse()
    const path = Buffer.from(join(day, callNamed(3)))
    const known = items.known(path)
    if (commit === undefined || known === undefined) throw new Error("a run was committed")
    const older = { size: 1, mtimeNs: 0n, ctimeNs: null, inode: null, at: [], flags: [] }
    const { type, mode, uid, gid, account, epoch, day: of, class: className } = known
    items.recall([{ ...older, path, type, mode, uid, gid, account, epoch, day: of, class: className }], [], commit)
    expect(amounts(await at.lab.run({}, at.source))).toEqual([1, files - 1])
  })

  test("that belong to another class or account now", async () => {
    await using at = await settled()
    const other = { class: { name: "mixed-28", days: 28 } }
    expect(amounts(await at.lab.run(other, at.source))).toEqual([files, 0])
    expect(amounts(await at.lab.run(other, at.source))).toEqual([0, files])
    const renamed = { ...at.source, template: "maple.example/{account}/{yyyy}/{Mon}/{dd}/{name}" }
    expect(amounts(await at.lab.run(other, renamed))).toEqual([files, 0])
    expect(amounts(await at.lab.run(other, renamed))).toEqual([0, files])
    at.lab.world().catalog.run("UPDATE account SET stable_id = 'somebody else' WHERE stable_id = 'archive'")
    expect(amounts(await at.lab.run(other, renamed))).toEqual([files, 0])
  })
})
