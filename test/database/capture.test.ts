import { mkdtemp, readdir, readFile, rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, beforeAll, expect, test } from "vitest"
import { RowSum } from "../../src/database/rows.ts"
import { restore } from "../../src/operation/restore.ts"
import { databaseSource } from "../../src/source/database.ts"
import type { Source } from "../../src/source/source.ts"
import { tenancySchema } from "../../src/source/tenancy.ts"
import { type Lab, openLab } from "../operation/lab.ts"
import { type PostgresServer, requirePostgres, startPostgres } from "./servers.ts"

const missing = requirePostgres()

const schema = `
  CREATE TABLE v_domains (domain_uuid uuid PRIMARY KEY, domain_name text);
  CREATE TABLE v_extensions (extension_uuid uuid PRIMARY KEY DEFAULT gen_random_uuid(), domain_uuid uuid, extension text, password text);
  CREATE TABLE v_voicemails (id int PRIMARY KEY, extension_uuid uuid REFERENCES v_extensions, note bytea);
  CREATE TABLE v_default_settings (name text, value text);
  INSERT INTO v_domains SELECT ('00000000-0000-0000-0000-' || lpad(n::text, 12, '0'))::uuid, 'customer-' || n || '.example' FROM generate_series(1, 40) n;
  INSERT INTO v_extensions (domain_uuid, extension, password)
    SELECT domain_uuid, n::text, E'se\\tcret\\\\' || n FROM v_domains, generate_series(1, 200) n;
  INSERT INTO v_voicemails SELECT row_number() OVER (), extension_uuid, decode(md5(extension), 'hex') FROM v_extensions WHERE extension::int % 20 = 0;
  INSERT INTO v_default_settings SELECT 'setting-' || n % 7, n::text FROM generate_series(1, 50) n`

const tenancy = tenancySchema.parse({
  accounts: { table: "v_domains", id: "domain_uuid", name: "domain_name" },
  tables: {
    v_domains: { account: "domain_uuid" },
    v_extensions: { account: "domain_uuid" },
    v_voicemails: {
      account: "domain_uuid",
      via: [{ column: "extension_uuid", table: "v_extensions", key: "extension_uuid" }],
    },
    v_default_settings: "shared",
  },
})

function capturing(name: string, work: () => Promise<void>): void {
  test(name, async (context) => {
    if (missing !== null) context.skip(missing)
    await work()
  })
}

let server: PostgresServer
let lab: Lab
const folders: string[] = []

beforeAll(async () => {
  if (missing !== null) return
  server = await startPostgres()
  await server.createDatabase("origin")
  await server.sql(schema, "origin")
  lab = await openLab()
}, 60_000)

afterAll(async () => {
  if (missing !== null) return
  await server.stop()
  await lab[Symbol.asyncDispose]()
  for (const folder of folders) await rm(folder, { recursive: true, force: true })
})

async function filled(name: string): Promise<(ways?: readonly ("accounts" | "whole")[], readers?: number) => Source> {
  await server.createDatabase(name, "TEMPLATE origin")
  const { openDatabase } = await import("../../src/database/open.ts")
  return (ways = ["accounts"], readers = 3) =>
    databaseSource({ name, tenancy, ways, readers }, ({ scratch, signal }) =>
      openDatabase(server.settings(name), { password: undefined, environment: server.environment, scratch, signal }),
    )
}

async function restored(dataset: string, accounts?: readonly string[]): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), "restored-"))
  folders.push(path)
  const choice = { dataset, allowPartial: true, ...(accounts === undefined ? {} : { accounts }) }
  const report = await restore({ ...choice, identities: [lab.operations] }, { path, owners: false }, lab.world())
  expect(report.outcome).toBe("ok")
  return path
}

/** The rows of an account's files, by table, as someone reads them who knows only that a line "\\.schema.table" begins each table. */
async function rowsIn(folder: string): Promise<Map<string, string[]>> {
  const tables = new Map<string, string[]>()
  for (const name of await readdir(join(folder, "rows"))) {
    let rows: string[] = []
    for (const line of (await readFile(join(folder, "rows", name), "utf8")).trimEnd().split("\n")) {
      if (!line.startsWith("\\.")) rows.push(line)
      else {
        rows = tables.get(line.slice(2)) ?? []
        tables.set(line.slice(2), rows)
      }
    }
  }
  return tables
}

function sumOf(lines: readonly string[]): { readonly rows: number; readonly sum: string } {
  const sum = new RowSum()
  for (const line of lines) sum.add(Buffer.from(line))
  return { rows: sum.rows, sum: sum.digest() }
}

capturing("gives each account its own rows, and fingerprints that fit them", async () => {
  const source = await filled("own")
  const report = await lab.run({ mode: "state", name: "own", dataset: "own" }, source())
  expect(report.failure).toBeUndefined()
  expect(report).toMatchObject({ outcome: "ok", accounts: 41 })

  const root = await restored("own")
  expect((await readdir(join(root, "accounts"))).length).toBe(41)
  const one = join(root, "accounts", "00000000-0000-0000-0000-000000000007")
  const { tables } = JSON.parse(await readFile(join(one, "fingerprint.json"), "utf8"))
  expect(Object.keys(tables)).toEqual(["public.v_domains", "public.v_extensions", "public.v_voicemails"])
  const rows = await rowsIn(one)
  expect(Object.fromEntries([...rows].map(([table, lines]) => [table, sumOf(lines)]))).toEqual(tables)
  const own = `COPY (SELECT * FROM v_extensions WHERE domain_uuid = '00000000-0000-0000-0000-000000000007') TO STDOUT`
  expect(rows.get("public.v_extensions")?.toSorted()).toEqual((await server.sql(own, "own")).trimEnd().split("\n").toSorted())
  const { tables: described } = JSON.parse(await readFile(join(root, "database.json"), "utf8"))
  expect(described.find(({ name }: { name: string }) => name === "v_voicemails")).toMatchObject({
    rows: 400,
    owner: { kind: "column", column: "domain_uuid" },
  })
  expect((await rowsIn(join(root, "accounts", "platform"))).get("public.v_default_settings")).toHaveLength(50)
  expect((await readFile(join(root, "schema.dump"))).subarray(0, 5).toString()).toBe("PGDMP")
})

capturing("sends almost nothing when nothing changed, and one account's piece when one row did", async () => {
  const source = await filled("still")
  const first = await lab.run({ mode: "state", name: "still", dataset: "still" }, source())
  const second = await lab.run({ mode: "state", name: "still", dataset: "still" }, source())
  // The schema's dump is a stream, which nobody knows the content of before it is read.
  expect(second.captured.files).toBeLessThanOrEqual(1)
  expect(second.stored.bytes).toBeLessThan(first.stored.bytes / 20)

  await server.sql(
    "UPDATE v_extensions SET password = 'other' WHERE domain_uuid = '00000000-0000-0000-0000-000000000009' AND extension = '7'",
    "still",
  )
  const third = await lab.run({ mode: "state", name: "still", dataset: "still" }, source())
  // The piece of the account, its fingerprint, the schema, and what the whole table sums up to.
  expect(third.captured.files).toBeLessThanOrEqual(4)
  const root = await restored("still", ["00000000-0000-0000-0000-000000000009"])
  const folder = join(root, "accounts", "00000000-0000-0000-0000-000000000009")
  const { tables } = JSON.parse(await readFile(join(folder, "fingerprint.json"), "utf8"))
  expect(sumOf((await rowsIn(folder)).get("public.v_extensions") ?? [])).toEqual(tables["public.v_extensions"])
})

capturing("is captured alike by one reader and by many", async () => {
  const source = await filled("alike")
  await lab.run({ mode: "state", name: "alike", dataset: "alike" }, source(["accounts"], 1))
  const again = await lab.run({ mode: "state", name: "alike", dataset: "alike" }, source(["accounts"], 4))
  expect(again.captured.files).toBeLessThanOrEqual(1)
})

capturing("is kept as a whole beside it, under mixed", async () => {
  const source = await filled("both")
  const report = await lab.run({ mode: "state", name: "both", dataset: "both" }, source(["accounts", "whole"]))
  expect(report.outcome).toBe("ok")
  const root = await restored("both", ["mixed"])
  expect(await readdir(root)).toEqual(["whole.dump"])
})

capturing("with a table that nobody knows is not captured at all, and the line to add is said", async () => {
  const source = await filled("closed")
  await server.sql("CREATE TABLE v_new (id int PRIMARY KEY, domain_uuid uuid)", "closed")
  const report = await lab.run({ mode: "state", name: "closed", dataset: "closed" }, source())
  expect(report.outcome).toBe("failed")
  expect(report.failure?.message).toContain("public.v_new")
  expect(report.failure?.hint).toContain("public.v_new: {account: domain_uuid}")
})

capturing("rows of no account go to mixed and make the run partial; a table that was emptied does, too", async () => {
  const source = await filled("lost")
  await lab.run({ mode: "state", name: "lost", dataset: "lost" }, source())
  await server.sql("INSERT INTO v_extensions (extension) VALUES ('orphan'); DELETE FROM v_default_settings", "lost")
  const report = await lab.run({ mode: "state", name: "lost", dataset: "lost" }, source())
  expect(report).toMatchObject({ outcome: "partial", notes: { unattributed: 1, emptied: 1 } })
  expect(report.commits[0]?.durable).toBe(true)
})

capturing("whose server dies while it is read is no snapshot", async () => {
  const source = await filled("dies")
  const dying: Source = {
    description: "dying",
    async *capture(options) {
      let items = 0
      for await (const found of source(["accounts"], 2).capture(options)) {
        items += 1
        if (items === 20) await server.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'dies'")
        yield found
      }
    },
  }
  const report = await lab.run({ mode: "state", name: "dies", dataset: "dies" }, dying)
  expect(report.outcome).toBe("failed")
  expect(report.commits).toEqual([])
})
