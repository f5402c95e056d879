import { mkdir, readdir, rm, utimes, writeFile } from "node:fs/promises"
import { dirname, join } from "node:path"
import { expect, test } from "vitest"
import { escapeField } from "../../src/database/rows.ts"
import { sha256 } from "../../src/digest.ts"
import { type TraceRequest, traceCalls } from "../../src/operation/trace.ts"
import { parseNumber } from "../../src/operation/trace-number.ts"
import type { FoundCall } from "../../src/report/trace.ts"
import { type MemoryObjects, memorySite } from "../../src/site/memory.ts"
import { bytesItem, cdrPiecePath, descriptionPath } from "../../src/source/cdr-pieces.ts"
import { csvPiecePath } from "../../src/source/csv-pieces.ts"
import type { Found, Source } from "../../src/source/source.ts"
import { bytesAt, flipped, keysOf, put } from "../fault/damage.ts"
import { recordingsTemplate } from "../world/world.ts"
import { type Lab, openLab } from "./lab.ts"
import { sharedPool } from "./lab-pool.ts"

const pool = sharedPool()

const now = new Date("2031-03-04T12:00:00Z")
const day = "2031-03-03"

interface TableShape {
  readonly name: string
  readonly columns: readonly string[]
  readonly key: readonly string[]
}

const cdr: TableShape = {
  name: "public.v_xml_cdr",
  columns: ["xml_cdr_uuid", "start_stamp", "caller_id_number", "destination_number", "duration", "record_path", "record_name"],
  key: ["xml_cdr_uuid"],
}
const json: TableShape = { name: "public.v_xml_cdr_json", columns: ["id", "start_stamp", "json"], key: ["id"] }

function describedAs({ name, columns, key }: TableShape) {
  const [schema, table] = name.split(".")
  const typed = columns.map((column) => ({ name: column, type: column === "json" ? "jsonb" : "text" }))
  const at = { column: "start_stamp", stored: "instant", timezone: "UTC" }
  return Buffer.from(JSON.stringify({ v: 1, schema, name: table, columns: typed, key, day: at }))
}

interface Piece {
  readonly stableId: string
  readonly table: TableShape
  readonly day?: string
  /** Hour of the cut. */
  readonly cut: number
  readonly rows: readonly (readonly (string | null)[])[]
}

/** A source of call records as the capture of a database lays them out. */
function callRecords(pieces: readonly Piece[]): Source {
  async function* capture(): AsyncGenerator<Found> {
    for (const { stableId, table, day: of = day, cut, rows } of pieces) {
      const bytes = describedAs(table)
      const description = sha256(bytes).slice(0, 16)
      yield { item: bytesItem(bytes, { stableId: "platform", day: "2031-03-04", path: descriptionPath(table.name, description), now }) }
      const lines = Buffer.from(rows.map((row) => `${row.map(escapeField).join("\t")}\n`).join(""))
      const content = sha256(lines).slice(0, 16)
      const name = {
        stableId,
        table: table.name,
        day: of,
        cut: `20310304T${String(cut).padStart(2, "0")}0000Z`,
        number: 1,
        description,
        content,
      }
      yield { item: bytesItem(lines, { stableId, day: of, path: cdrPiecePath(name), now }) }
    }
  }
  return { description: "call records", capture }
}

function call(id: string, from: string, to: string, more: { at?: string; path?: string; name?: string } = {}): (string | null)[] {
  return [id, more.at ?? `${day} 10:00:00+00`, from, to, "61", more.path ?? null, more.name ?? null]
}

async function search(lab: Lab, request: Partial<TraceRequest> & { readonly of?: readonly string[] }) {
  const calls: FoundCall[] = []
  const scratch = join(lab.directory, "reading")
  await mkdir(scratch, { recursive: true })
  const numbers = (request.of ?? []).flatMap((text) => parseNumber(text) ?? [])
  const whole = { identities: [lab.operations], scratch, numbers, ...request }
  const report = await traceCalls(whole, lab.world(), async (found) => void calls.push(...found))
  expect(await readdir(scratch)).toEqual([])
  return { calls, report }
}

const acme = "7c9a0b52-aaaa-4bbb-8ccc-0123456789ab"

test("a call is found by its number in any snapshot, as its latest piece has it, with where its row is kept", async () => {
  await using lab = await openLab({ pool })
  const first = call("call-1", "+4930123456", "1001")
  const others = call("call-2", "+4930999999", "1001")
  await lab.run({ name: "cdrs", dataset: "cdrs" }, callRecords([{ stableId: acme, table: cdr, cut: 9, rows: [first, others] }]))
  const changed = [...first.slice(0, 4), "75", null, null]
  await lab.run({ name: "cdrs", dataset: "cdrs" }, callRecords([{ stableId: acme, table: cdr, cut: 10, rows: [changed] }]))

  const { calls, report } = await search(lab, { of: ["030 123456"] })
  expect(calls).toHaveLength(1)
  expect(calls[0]).toMatchObject({
    ...{ dataset: "cdrs", agent: "pbx-1", stableId: acme, table: cdr.name, day, time: `${day}T10:00:00.000Z` },
    ...{ from: "+4930123456", to: "1001", seconds: 75, matched: ["caller_id_number"], version: "latest" },
    row: { xml_cdr_uuid: "call-1", record_name: null },
    kept: { sites: ["a", "b", "c"] },
  })
  expect(calls[0]?.kept.path).toContain("20310304T100000Z")
  expect(report).toMatchObject({ outcome: "ok", datasets: ["cdrs"], pieces: 2, rows: 3, calls: 1, losses: [] })
  expect(report.bytes).toBeGreaterThan(0)
})

test("a row that no longer has the number is found, and said to have had it", async () => {
  await using lab = await openLab({ pool })
  const piece = { stableId: acme, table: cdr }
  await lab.run({ name: "cdrs", dataset: "cdrs" }, callRecords([{ ...piece, cut: 9, rows: [call("call-1", "+4930123456", "1001")] }]))
  await lab.run({ name: "cdrs", dataset: "cdrs" }, callRecords([{ ...piece, cut: 10, rows: [call("call-1", "anonymous", "1001")] }]))
  const { calls } = await search(lab, { of: ["+4930123456"] })
  expect(calls).toMatchObject([{ from: "anonymous", version: "earlier", matched: ["caller_id_number"] }])
})

test("only partitions of the account and the days, and one day around them, are fetched", async () => {
  await using lab = await openLab({ pool })
  const days = ["2031-02-20", "2031-03-01", "2031-03-02", "2031-03-03", "2031-03-04"]
  const pieces = ["acme", "birch"].flatMap((stableId) =>
    days.map((of) => ({
      stableId,
      table: cdr,
      day: of,
      cut: 9,
      rows: [call(`${stableId}-${of}`, "5550100", "1001", { at: `${of} 23:30:00+00` })],
    })),
  )
  await lab.run({ name: "cdrs", dataset: "cdrs" }, callRecords(pieces))
  const since = new Date("2031-03-02T00:00:00Z")
  const until = new Date("2031-03-02T23:59:59.999Z")
  const { calls, report } = await search(lab, { accounts: ["acme"], since, until })
  expect(calls.map(({ row }) => row.xml_cdr_uuid)).toEqual(["acme-2031-03-02"])
  expect(report).toMatchObject({ partitions: 3, pieces: 3 })
})

test("a recording is found by the path that the row has, however the row names its root, and one that is not kept is said to be", async () => {
  await using lab = await openLab({ pool })
  const root = join(lab.directory, "recordings")
  const path = "acme/archive/2031/Mar/03"
  await mkdir(join(root, path), { recursive: true })
  await writeFile(join(root, path, "call-1.mp3"), "sound")
  const written = new Date("2031-03-03T10:02:00Z")
  await utimes(join(root, path, "call-1.mp3"), written, written)
  await lab.run({}, { kind: "directory", path: root, template: recordingsTemplate, settle: 0 })
  const folder = `/var/lib/freeswitch/recordings/${path}`
  const rows = [
    call("call-1", "5550100", "1001", { path: folder, name: "call-1.wav" }), // converted since
    call("call-2", "5550100", "1001", { path: folder, name: "call-2.wav" }),
    call("call-3", "5550100", "1001"),
  ]
  await lab.run({ name: "cdrs", dataset: "cdrs" }, callRecords([{ stableId: "acme", table: cdr, cut: 9, rows }]))

  const { calls, report } = await search(lab, { of: ["5550100"] })
  const byId = new Map(calls.map(({ row, recordings }) => [row.xml_cdr_uuid, recordings]))
  expect(byId.get("call-1")).toMatchObject([
    {
      state: "kept",
      dataset: "call-recordings",
      day,
      bytes: 5,
      note: "kept as .mp3",
      kept: { path: `${path}/call-1.mp3`, sites: ["a", "b", "c"] },
    },
  ])
  expect(byId.get("call-2")).toEqual([{ said: `${folder}/call-2.wav`, state: "not-kept" }])
  expect(byId.get("call-3")).toEqual([])
  expect(report).toMatchObject({ datasets: ["cdrs"], recordings: { kept: 1, others: 1 } })
})

test("a recording that is kept under a customer's name is found for a row that is kept under its id", async () => {
  await using lab = await openLab({ pool })
  const root = join(lab.directory, "recordings")
  const path = "acme.example/archive/2031/Mar/03"
  await mkdir(join(root, path), { recursive: true })
  await writeFile(join(root, path, "call-1.mp3"), "sound")
  await lab.run({}, { kind: "directory", path: root, template: recordingsTemplate, settle: 0 })
  const rows = [call("call-1", "5550100", "1001", { path: `/srv/recordings/${path}`, name: "call-1.mp3" })]
  await lab.run({ name: "cdrs", dataset: "cdrs" }, callRecords([{ stableId: acme, table: cdr, cut: 9, rows }]))
  const { calls } = await search(lab, { of: ["5550100"], accounts: [acme] })
  expect(calls[0]?.recordings).toMatchObject([{ state: "kept", kept: { path: `${path}/call-1.mp3` } }])
})

test("voicemail that a row points at is found in a whole, unless its name is given to one message after another", async () => {
  await using lab = await openLab({ pool })
  const root = join(lab.directory, "voicemail")
  const box = "default/maple.example/1001"
  const message = "msg_0f1e2d3c-4b5a-4978-8796-000000000001.wav"
  await mkdir(join(root, box), { recursive: true })
  for (const name of [message, "msg0003.wav"]) await writeFile(join(root, box, name), "please call back")
  const voicemail = { name: "voicemail", dataset: "voicemail", mode: "state" as const }
  await lab.run(voicemail, { kind: "directory", path: root, account: "mixed" })
  await rm(join(root, box, message))
  lab.clock.advance(24 * 3_600_000)
  await lab.run(voicemail, { kind: "directory", path: root, account: "mixed" })
  const folder = `/var/lib/freeswitch/storage/voicemail/${box}`
  const rows = [message, "msg0003.wav"].map((name) => call(name, "5550100", "1001", { path: folder, name }))
  await lab.run({ name: "cdrs", dataset: "cdrs" }, callRecords([{ stableId: acme, table: cdr, cut: 9, rows }]))
  const until = new Date("2031-03-03T23:00:00Z")
  const { calls, report } = await search(lab, { of: ["5550100"], until })
  const byId = new Map(calls.map(({ row, recordings }) => [row.xml_cdr_uuid, recordings]))
  expect(byId.get(message)).toMatchObject([{ state: "kept", dataset: "voicemail", kept: { path: `${box}/${message}` } }])
  expect(byId.get("msg0003.wav")).toMatchObject([{ state: "not-kept" }])
  expect(report).toMatchObject({ datasets: ["cdrs"], recordings: { kept: 1, others: 1 } })
})

test("a recording of another customer with the same name is not taken for it", async () => {
  await using lab = await openLab({ pool })
  const root = join(lab.directory, "recordings")
  await mkdir(join(root, "birch/archive/2031/Mar/03"), { recursive: true })
  await writeFile(join(root, "birch/archive/2031/Mar/03/same.mp3"), "sound")
  await lab.run({}, { kind: "directory", path: root, template: recordingsTemplate, settle: 0 })
  const rows = [call("call-1", "5550100", "1001", { name: "same.mp3" })]
  await lab.run({ name: "cdrs", dataset: "cdrs" }, callRecords([{ stableId: "acme", table: cdr, cut: 9, rows }]))
  const { calls } = await search(lab, { of: ["5550100"] })
  expect(calls[0]?.recordings).toEqual([{ said: "same.mp3", state: "not-kept" }])
})

test("tables whose columns hold no number are left out and named; where nothing says which hold numbers, every field is looked at", async () => {
  await using lab = await openLab({ pool })
  const rows = [["1", `${day} 10:00:00+00`, '{"caller": "5550100"}']]
  const both = [
    { stableId: acme, table: cdr, cut: 9, rows: [call("call-1", "5550100", "1001")] },
    { stableId: acme, table: json, cut: 9, rows },
  ]
  await lab.run({ name: "cdrs", dataset: "cdrs" }, callRecords(both))
  const { report, calls } = await search(lab, { of: ["5550100"] })
  expect(calls).toHaveLength(1)
  expect(report.left).toEqual([json.name])
  expect(report.searched).toEqual([{ dataset: "cdrs", table: cdr.name, columns: ["caller_id_number", "destination_number"] }])

  await using other = await openLab({ pool })
  const unnamed: TableShape = { name: "public.talk", columns: ["id", "start_stamp", "party_a", "party_b"], key: ["id"] }
  const talk = { stableId: acme, table: unnamed, cut: 9, rows: [["1", `${day} 10:00:00+00`, "x", "+15550100100"]] }
  await other.run({ name: "cdrs", dataset: "cdrs" }, callRecords([talk]))
  const found = await search(other, { of: ["5550100100"] })
  expect(found.calls).toMatchObject([{ matched: ["party_b"], table: "public.talk" }])
  expect(found.report.searched).toEqual([{ dataset: "cdrs", table: "public.talk", columns: [] }])
})

test("rows without a key are as many as the piece with most of them says", async () => {
  await using lab = await openLab({ pool })
  const asterisk: TableShape = { name: "asteriskcdrdb.cdr", columns: ["calldate", "src", "dst", "start_stamp"], key: [] }
  const row = (times: string) => [times, `${day} 10:00:00`, "5550100", "1001", `${day} 10:00:00+00`]
  const piece = { stableId: acme, table: asterisk }
  await lab.run(
    { name: "cdrs", dataset: "cdrs" },
    callRecords([
      { ...piece, cut: 9, rows: [row("1")] },
      { ...piece, cut: 10, rows: [row("3")] },
    ]),
  )
  const { calls } = await search(lab, { of: ["5550100"] })
  expect(calls).toMatchObject([{ times: 3, matched: ["src"], row: { src: "5550100" } }])
})

test("rows of CSV files are looked at by their columns, and those that were read twice are given once", async () => {
  await using lab = await openLab({ pool })
  const columns = ["clid", "caller_id_number", "destination_number", "start_stamp", "billsec"]
  const described = { v: 1, file: "Master.csv", columns, delimiter: ",", quote: '"', account: null }
  const description = Buffer.from(
    JSON.stringify({ ...described, day: { column: "start_stamp", stored: "local", timezone: "Europe/Berlin" } }),
  )
  const short = sha256(description).slice(0, 16)
  const wanted = `"""Ada, Dr."" <5550100>",5550100,1001,${day} 11:00:00,61\n`
  const other = `x,5550199,1001,${day} 11:00:00,9\n`
  async function* capture(): AsyncGenerator<Found> {
    yield { item: bytesItem(description, { stableId: "platform", day, path: descriptionPath("Master.csv", short), now }) }
    for (const [cut, text] of [
      ["20310304T090000Z", wanted],
      ["20310304T100000Z", wanted + other],
    ] as const) {
      const name = { stableId: acme, file: "Master.csv", day, cut, origin: "0".repeat(16), from: 0, to: text.length, description: short }
      yield { item: bytesItem(Buffer.from(text), { stableId: acme, day, path: csvPiecePath(name), now }) }
    }
  }
  await lab.run({ name: "csv", dataset: "csv" }, { description: "csv", capture })
  const { calls, report } = await search(lab, { of: ["+15550100"] })
  expect(calls).toMatchObject([
    {
      table: "Master.csv",
      day,
      time: `${day}T10:00:00.000Z`,
      matched: ["clid", "caller_id_number"],
      from: "5550100",
      to: "1001",
      seconds: 61,
    },
  ])
  expect(calls[0]?.row.clid).toBe('"Ada, Dr." <5550100>')
  expect(report.rows).toBe(3)
})

test("calls are found as long as one site has good bytes; what none has is a loss, without a customer's name", async () => {
  const kept = new Map<string, MemoryObjects>(["a", "b", "c"].map((name) => [name, new Map()]))
  const clock = { now: () => now }
  const sites = Object.fromEntries([...kept].map(([name, objects]) => [name, memorySite(name, clock, objects)]))
  await using lab = await openLab({ pool, sites })
  await lab.run(
    { name: "cdrs", dataset: "cdrs" },
    callRecords([{ stableId: acme, table: cdr, cut: 9, rows: [call("call-1", "5550100", "1001")] }]),
  )
  for (const name of ["a", "b"]) rot(kept.get(name))
  const healed = await search(lab, { of: ["5550100"] })
  expect(healed.calls).toHaveLength(1)
  expect(healed.report.outcome).toBe("ok")
  rot(kept.get("c"))
  const lost = await search(lab, { of: ["5550100"] })
  expect(lost.calls).toEqual([])
  expect(lost.report.outcome).toBe("partial")
  expect(lost.report.losses).toContainEqual(expect.stringContaining(`a piece of ${cdr.name} of ${day}`))
  expect(JSON.stringify([lost.report, lab.events])).not.toContain(acme)
})

function rot(objects: MemoryObjects | undefined): void {
  if (objects === undefined) throw new Error("no such site")
  for (const key of keysOf(objects, "data pack")) put(objects, key, flipped(bytesAt(objects, key), bytesAt(objects, key).length >> 1))
}

test("without call records at the sites nothing is looked for", async () => {
  await using lab = await openLab({ pool, sites: { a: memorySite("a", { now: () => now }), b: memorySite("b", { now: () => now }) } })
  const file = join(lab.directory, "etc/a.xml")
  await mkdir(dirname(file), { recursive: true })
  await writeFile(file, "<a/>")
  await lab.run({ mode: "state" }, { kind: "directory", path: dirname(file), account: "platform" })
  await expect(search(lab, { of: ["5550100"] })).rejects.toMatchObject({ code: "job/not-found" })
  await expect(search(lab, { of: ["5550100"], datasets: ["nothing"] })).rejects.toThrow(/no dataset of that name/)
})
