import { mkdirSync, rmSync, utimesSync, writeFileSync } from "node:fs"
import { dirname, join } from "node:path"
import { describe, expect, test } from "vitest"
import { sha256 } from "../../src/digest.ts"
import { type LinkRule, otherDays, ruleOf, stemOf, tellsCalls } from "../../src/operation/link-paths.ts"
import type { LinkSettings } from "../../src/operation/links.ts"
import { paintWith } from "../../src/report/paint.ts"
import type { RunReport } from "../../src/report/run.ts"
import { runText } from "../../src/report/run-text.ts"
import { readStoredRun } from "../../src/report/stored-run.ts"
import type { Found, Source } from "../../src/source/source.ts"
import { type Lab, openLab } from "./lab.ts"
import { sharedPool } from "./lab-pool.ts"

const pool = sharedPool()

const minuteMs = 60_000
const dayMs = 86_400_000
const uuid = (n: number): string => `0f1e2d3c-4b5a-4978-8796-${String(n).padStart(12, "0")}`
const maple = "0a0a0a0a-1111-4111-8111-0000000000aa"
const fusion: LinkRule = { files: "recordings", path: "{record_path}/{record_name}", days: 0 }
const freepbx: LinkRule = { files: "recordings", path: "{yyyy}/{MM}/{dd}/{recordingfile}", days: 1 }

/** A provider an hour after its files were written, so that all of them have settled. */
async function provider() {
  const lab = await openLab({ pool, now: new Date(Date.now() + 60 * minuteMs) })
  const root = join(lab.directory, "recordings")
  mkdirSync(root)
  const today = lab.clock.now().toISOString().slice(0, 10)
  return { lab, root, today, [Symbol.asyncDispose]: () => lab[Symbol.asyncDispose]() }
}

const months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]

/** Where FusionPBX keeps a call of this day. */
function place(day: string, name: string, domain = "maple.example"): string {
  return `${domain}/archive/${day.slice(0, 4)}/${months[Number(day.slice(5, 7)) - 1] ?? ""}/${day.slice(8)}/${name}`
}

function write(root: string, path: string, content: Uint8Array | string = "sound"): void {
  mkdirSync(dirname(join(root, path)), { recursive: true })
  writeFileSync(join(root, path), content)
}

interface Row {
  /** null: the row pointed at something when it was captured before. */
  readonly path: string | Buffer | null
  readonly day: string
  /** How long ago the call ended. */
  readonly agoMs?: number
  readonly stableId?: string
  /** What tells the row apart; absent: nothing. */
  readonly row?: string
  readonly files?: string
}

/** What a database says of calls. */
function rows(lab: Lab, given: readonly Row[]): Source {
  const bytes = Buffer.from(JSON.stringify(given))
  const item = { stableId: "platform", day: "2031-01-01", path: Buffer.from(sha256(bytes)), type: "file" as const, size: bytes.length }
  const kept = { ...item, mtimeNs: 0n, mode: 0o600, uid: 0, gid: 0, compressible: true, flags: [] }
  return {
    description: "database pbx",
    async *capture(): AsyncGenerator<Found> {
      await Promise.resolve()
      yield { account: { stableId: maple, names: ["maple.example"] } }
      for (const { path, day, agoMs = 30 * minuteMs, stableId = maple, row = "", files = "recordings" } of given) {
        const ended = new Date(lab.clock.now().getTime() - agoMs)
        const from = { files, row: Buffer.from(row), stableId, day, ended }
        if (path === null) yield { unreferenced: from.row }
        else yield { reference: { ...from, path: Buffer.isBuffer(path) ? path : Buffer.from(path) } }
      }
      yield { item: { ...kept, content: { kind: "bytes", bytes, sha256: sha256(bytes) } } }
    },
  }
}

const cdrs = { name: "cdrs", dataset: "cdrs" }

async function captureRows(lab: Lab, given: readonly Row[]): Promise<void> {
  expect(await lab.run(cdrs, rows(lab, given))).toMatchObject({ outcome: "ok" })
}

async function captureMedia(lab: Lab, root: string, links: Partial<LinkSettings> = {}, more: object = {}): Promise<RunReport> {
  const settings = { from: "cdrs", days: 35, tolerate: 0, root, settleMs: 5 * minuteMs, rules: [fusion], ...links }
  const source = { kind: "directory" as const, path: root, template: "{account}/archive/{yyyy}/{Mon}/{dd}/{name}", settle: 5 * minuteMs }
  return await lab.run({ links: settings }, { ...source, ...more })
}

/** A WAV file whose header nobody closed. */
function cutOff(): Buffer {
  const header = Buffer.alloc(44)
  header.write("RIFF", 0)
  header.write("WAVEfmt ", 8)
  header.writeUInt32LE(16, 16)
  header.writeUInt16LE(1, 20)
  header.writeUInt16LE(1, 22)
  header.writeUInt32LE(8000, 24)
  header.writeUInt32LE(16_000, 28)
  header.writeUInt16LE(2, 32)
  header.writeUInt16LE(16, 34)
  header.write("data", 36)
  return Buffer.concat([header, Buffer.alloc(4000, 7)])
}

describe("a row is resolved", () => {
  test("when its file is kept, also once the platform has deleted it", async () => {
    await using at = await provider()
    const { lab, root, today } = at
    const paths = [1, 2, 3].map((n) => place(today, `${uuid(n)}.mp3`))
    for (const path of paths) write(root, path)
    await captureRows(
      lab,
      paths.map((path) => ({ path, day: today })),
    )
    const none = { purged: 0, moved: 0, notSettled: 0, unknown: 0 }
    expect(await captureMedia(lab, root)).toMatchObject({
      outcome: "ok",
      links: { from: "cdrs", references: 3, resolved: 3, missing: none, orphans: { noRow: 0, truncated: 0 }, examples: [] },
      warnings: [],
    })
    rmSync(join(root, paths[0] ?? ""))
    expect(await captureMedia(lab, root)).toMatchObject({ outcome: "ok", links: { references: 3, resolved: 3, missing: none } })
  })

  test("when its file is kept under the day before or after, and no further", async () => {
    await using at = await provider()
    const { lab, root } = at
    const names = ["q-600-1001-20310304-235959-1930435199.1.wav", "q-600-1001-20310305-000001-1930435201.2.wav", "q-600-1-1930435202.3.wav"]
    lab.clock.set(new Date("2031-03-05T12:00:00Z"))
    write(root, `2031/03/04/${names[0] ?? ""}`)
    write(root, `2031/03/06/${names[1] ?? ""}`)
    write(root, `2031/03/08/${names[2] ?? ""}`)
    const mixed = names.map((name) => ({ path: `2031/03/05/${name}`, day: "2031-03-05", stableId: "mixed" }))
    await captureRows(lab, mixed)
    const source = { template: "{yyyy}/{MM}/{dd}/{name}", account: "mixed" }
    const report = await captureMedia(lab, root, { rules: [freepbx] }, source)
    expect(report).toMatchObject({ links: { references: 3, resolved: 2, missing: { moved: 1 }, orphans: { noRow: 0 } } })
  })
})

describe("a row without its file", () => {
  test("is moved where a file of its name and account is kept in another format, or at another place", async () => {
    await using at = await provider()
    const { lab, root, today } = at
    for (const name of [`copy-of-${uuid(9)}.wav`, `${uuid(1)}.mp3`, `${uuid(2)}.ogg`]) write(root, place(today, name))
    await captureRows(lab, [
      { path: place(today, `${uuid(1)}.wav`), day: today },
      { path: `maple.example/elsewhere/${uuid(2)}.wav`, day: today },
    ])
    expect(await captureMedia(lab, root)).toMatchObject({
      outcome: "ok",
      links: { resolved: 0, missing: { moved: 2, unknown: 0 }, orphans: { noRow: 1 } },
    })
  })

  test("is not moved to another account's file, nor to one whose name tells no call", async () => {
    await using at = await provider()
    const { lab, root, today } = at
    write(root, place(today, `${uuid(1)}.wav`, "birch.example"))
    write(root, place(today, "msg0001.wav"))
    await captureRows(lab, [
      { path: `maple.example/elsewhere/${uuid(1)}.wav`, day: today },
      { path: "maple.example/elsewhere/msg0001.wav", day: today },
    ])
    expect(await captureMedia(lab, root)).toMatchObject({ outcome: "partial", links: { missing: { moved: 0, unknown: 2 } } })
  })

  test("is not settled while the file is too young, or the call only just over", async () => {
    await using at = await provider()
    const { lab, root, today } = at
    const young = place(today, `${uuid(1)}.wav`)
    write(root, young)
    utimesSync(join(root, young), lab.clock.now(), lab.clock.now())
    await captureRows(lab, [
      { path: young, day: today },
      { path: place(today, `${uuid(2)}.wav`), day: today, agoMs: 4 * minuteMs },
    ])
    expect(await captureMedia(lab, root)).toMatchObject({ outcome: "ok", notes: { settling: 1 }, links: { missing: { notSettled: 2 } } })
    lab.clock.advance(10 * minuteMs)
    expect(await captureMedia(lab, root)).toMatchObject({
      outcome: "partial",
      links: { resolved: 1, missing: { notSettled: 0, unknown: 1 }, examples: [place(today, `${uuid(2)}.wav`)] },
    })
  })

  test("is purged once the platform's own retention has passed, and not a moment before", async () => {
    await using at = await provider()
    const { lab, root, today } = at
    write(root, place(today, "other.wav"))
    const day = new Date(lab.clock.now().getTime() - 10 * dayMs).toISOString().slice(0, 10)
    await captureRows(lab, [
      { path: place(day, `${uuid(1)}.wav`), day, agoMs: 10 * dayMs },
      { path: place(day, `${uuid(2)}.wav`), day, agoMs: 10 * dayMs - 1000 },
    ])
    const rules = [{ ...fusion, purgedMs: 10 * dayMs }]
    expect(await captureMedia(lab, root, { rules })).toMatchObject({ outcome: "partial", links: { missing: { purged: 1, unknown: 1 } } })
  })

  test("and without a reason makes the run partial, unless so many are tolerated; five are named, where a person asks", async () => {
    await using at = await provider()
    const { lab, root, today } = at
    write(root, place(today, "other.wav"))
    const paths = Array.from({ length: 7 }, (_, n) => place(today, `${uuid(n)}.wav`))
    await captureRows(
      lab,
      paths.map((path) => ({ path, day: today })),
    )
    const report = await captureMedia(lab, root, { tolerate: 6 })
    expect(report).toMatchObject({ outcome: "partial", warnings: [expect.stringContaining("7 rows of cdrs point at media")] })
    expect(report.links?.examples).toEqual(paths.slice(0, 5))
    expect(readStoredRun(JSON.stringify(report))).toEqual(report)
    const [log, shown] = [false, true].map((named) => runText(report, { paint: paintWith({ colour: false }), paths: named }).join("\n"))
    expect(log).toContain("links    0 of 7 references of cdrs kept, 7 missing, nothing says why")
    expect(log).not.toContain("maple")
    expect(shown).toContain(`${paths[0] ?? ""}: missing`)
    expect(await captureMedia(lab, root, { tolerate: 7 })).toMatchObject({ outcome: "ok", warnings: [] })
  })

  test("may name any path at all: nothing outside the root is looked at, and nothing fails", async () => {
    await using at = await provider()
    const { lab, root, today } = at
    write(root, place(today, "other.wav"))
    write(lab.directory, "young.wav")
    utimesSync(join(lab.directory, "young.wav"), lab.clock.now(), lab.clock.now())
    const hostile = ["../young.wav", "/etc/passwd", "a/../../young.wav", "a\0b.wav", `${"x".repeat(300)}.wav`, "y/".repeat(3000), "", "."]
    await captureRows(lab, [...hostile.map((path) => ({ path, day: today })), { path: Buffer.from([0xff, 0xfe, 0x2f, 0x80]), day: today }])
    expect(await captureMedia(lab, root)).toMatchObject({ outcome: "partial", links: { references: 9, missing: { unknown: 9 } } })
  })
})

describe("a row that changed", () => {
  test("does not point any more at what it pointed at, once it says nothing or another path", async () => {
    await using at = await provider()
    const { lab, root, today } = at
    write(root, place(today, "other.wav"))
    const [gone, moved, left] = [1, 2, 3].map((n) => place(today, `${uuid(n)}.wav`))
    if (gone === undefined || moved === undefined || left === undefined) throw new Error("three")
    await captureRows(lab, [
      { path: gone, day: today, row: "a" },
      { path: moved, day: today, row: "b" },
      { path: left, day: today, row: "c" },
    ])
    expect(await captureMedia(lab, root)).toMatchObject({ links: { references: 3, missing: { unknown: 3 } } })
    await captureRows(lab, [
      { path: null, day: today, row: "a" },
      { path: null, day: today, row: "b" },
      { path: place(today, "other.wav"), day: today, row: "b" },
    ])
    expect(await captureMedia(lab, root)).toMatchObject({
      links: { references: 2, resolved: 1, missing: { unknown: 1 }, examples: [left] },
    })
  })

  test("leaves a recording to the other rows of its call", async () => {
    await using at = await provider()
    const { lab, root, today } = at
    write(root, place(today, "other.wav"))
    const path = place(today, `${uuid(1)}.wav`)
    await captureRows(lab, [
      { path, day: today, row: "a" },
      { path, day: today, row: "b" },
    ])
    expect(await captureMedia(lab, root), "one recording").toMatchObject({ links: { references: 1, missing: { unknown: 1 } } })
    await captureRows(lab, [{ path: null, day: today, row: "b" }])
    expect(await captureMedia(lab, root)).toMatchObject({ links: { references: 1, missing: { unknown: 1 } } })
    await captureRows(lab, [{ path: null, day: today, row: "a" }])
    expect(await captureMedia(lab, root)).toMatchObject({ outcome: "ok", links: { references: 0 } })
  })
})

test("files are held against the rows that point at them, and not against those of voicemail or faxes", async () => {
  await using at = await provider()
  const { lab, root, today } = at
  const call = place(today, `${uuid(1)}.wav`)
  write(root, call)
  write(root, "default/100/INBOX/msg0001.wav")
  await captureRows(lab, [
    { path: call, day: today },
    { path: "default/100/INBOX/msg0001.wav", day: today, files: "voicemail" },
    { path: "default/100/INBOX/msg0002.wav", day: today, files: "voicemail" },
  ])
  const voicemail: LinkRule = { files: "voicemail", path: "{folder}/{name}", days: 0 }
  const rules = [fusion, voicemail]
  expect(await captureMedia(lab, root, { rules, files: ["recordings"] })).toMatchObject({
    links: { references: 1, resolved: 1, missing: { unknown: 0 }, orphans: { noRow: 1 } },
  })
  expect(await captureMedia(lab, root, { rules })).toMatchObject({
    links: { references: 3, missing: { unknown: 1 }, orphans: { noRow: 0 } },
  })
})

test("files that no row points at are counted, by whether something cut them off, and are kept all the same", async () => {
  await using at = await provider()
  const { lab, root, today } = at
  write(root, place(today, `${uuid(1)}.wav`))
  write(root, place(today, "msg_voicemail.wav"))
  write(root, place(today, `${uuid(2)}.wav`), cutOff())
  await captureRows(lab, [{ path: place(today, `${uuid(1)}.wav`), day: today }])
  const report = await captureMedia(lab, root)
  expect(report).toMatchObject({ outcome: "ok", captured: { files: 3 }, links: { resolved: 1, orphans: { noRow: 1, truncated: 1 } } })
  const text = runText(report, { paint: paintWith({ colour: false }), paths: false }).join("\n")
  expect(text).toContain("2 files that no row points at, 1 of them cut off by a crash: kept all the same")
})

test("rows of days before the window are not held against files", async () => {
  await using at = await provider()
  const { lab, root, today } = at
  write(root, place(today, "other.wav"))
  const old = new Date(lab.clock.now().getTime() - 36 * dayMs).toISOString().slice(0, 10)
  await captureRows(lab, [{ path: place(old, `${uuid(1)}.wav`), day: old, agoMs: 36 * dayMs }])
  expect(await captureMedia(lab, root)).toMatchObject({ outcome: "ok", links: { references: 0, orphans: { noRow: 0 } } })
  expect(await captureMedia(lab, root, { days: 40 })).toMatchObject({ outcome: "partial", links: { references: 1 } })
})

test("a job whose rows were never captured, or not for long, says which job comes first", async () => {
  await using at = await provider()
  const { lab, root, today } = at
  write(root, place(today, "other.wav"))
  const before = await captureMedia(lab, root)
  expect(before).toMatchObject({ outcome: "ok", links: { rowsAt: null, references: 0 } })
  expect(before.warnings).toEqual([expect.stringContaining("cdrs was not captured in the last 35 days: run its job before this one")])
  await captureRows(lab, [])
  expect(await captureMedia(lab, root)).toMatchObject({ links: { rowsAt: lab.clock.now().toISOString() }, warnings: [] })
  lab.clock.advance(37 * dayMs)
  expect((await captureMedia(lab, root)).links).toMatchObject({ rowsAt: null })
})

describe("the path of a row", () => {
  const day = "2031-03-01"

  test("has its dates in the directory moved, and those in its name left alone", () => {
    const path = Buffer.from("2031/03/01/q-600-20310301-1930000000.1.wav")
    expect(otherDays({ ...freepbx, days: 2 }, { path, day }).map(String)).toEqual([
      "2031/02/28/q-600-20310301-1930000000.1.wav",
      "2031/03/02/q-600-20310301-1930000000.1.wav",
      "2031/02/27/q-600-20310301-1930000000.1.wav",
      "2031/03/03/q-600-20310301-1930000000.1.wav",
    ])
    expect(otherDays(freepbx, { path: Buffer.from("2030/01/01/a.wav"), day }), "of another day").toEqual([])
    expect(otherDays({ ...fusion, days: 1 }, { path, day }), "without a date in the rule").toEqual([])
    const bytes = Buffer.from([...Buffer.from("2031/03/01/"), 0xff, 0x80])
    expect(otherDays(freepbx, { path: bytes, day })[0]).toEqual(Buffer.from([...Buffer.from("2031/02/28/"), 0xff, 0x80]))
  })

  test("fits the first rule that could have made it", () => {
    const rules = [freepbx, { files: "recordings", path: "voicemail/{mailbox}.wav", days: 0 }]
    expect(ruleOf(rules, { path: Buffer.from("voicemail/100.wav"), day })).toBe(rules[1])
    expect(ruleOf(rules, { path: Buffer.from("fax/100.tif"), day })).toBeUndefined()
  })

  test("ends in a name that tells calls apart, or does not", () => {
    expect(stemOf(Buffer.from("a/b.c/call.wav"))).toBe("call")
    expect(stemOf(Buffer.from("call.recording"))).toBe("call.recording")
    const telling = [uuid(1), "out-5551234-600-20310301-120000-1930000000.12", "1930000000.12"]
    expect(telling.map(tellsCalls)).toEqual([true, true, true])
    expect(["msg0001", "greeting", "sales-2031", ""].map(tellsCalls)).toEqual([false, false, false, false])
  })
})
