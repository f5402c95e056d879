import { mkdtempSync, rmSync } from "node:fs"
import { readdir, readFile } from "node:fs/promises"
import { join } from "node:path"
import { expect } from "vitest"
import { openDatabase } from "../../src/database/open.ts"
import { sectionsIn } from "../../src/database/sections.ts"
import { readHistory } from "../../src/operation/history.ts"
import { restore } from "../../src/operation/restore.ts"
import type { AgentWorld } from "../../src/operation/world.ts"
import { databaseSource } from "../../src/source/database.ts"
import type { Source } from "../../src/source/source.ts"
import { tenancySchema } from "../../src/source/tenancy.ts"
import type { Lab } from "../operation/lab.ts"
import { runProgram } from "./process.ts"
import type { PostgresServer } from "./servers.ts"

export const dataset = "account-data"

const tenancy = tenancySchema.parse({
  accounts: { table: "public.tenants", id: "id" },
  tables: {
    "public.tenants": { account: "id" },
    "public.calls": { account: "tenant" },
    "public.notes": { account: "tenant" },
    "public.plans": "shared",
  },
})

/** Rows that all say of which moment they are: `generation` changes in every table at once. */
const schema = `
  CREATE TABLE tenants (id text PRIMARY KEY, generation int);
  CREATE TABLE calls (id serial PRIMARY KEY, tenant text REFERENCES tenants, generation int, body text);
  CREATE TABLE notes (tenant text, generation int, body text);
  CREATE TABLE plans (number int PRIMARY KEY, generation int, body text);
  INSERT INTO tenants SELECT 'tenant-' || n, 0 FROM generate_series(1, 12) n;
  INSERT INTO calls (tenant, generation, body) SELECT 'tenant-' || (n % 12 + 1), 0, repeat(md5(n::text), 20) FROM generate_series(1, 3000) n;
  INSERT INTO notes SELECT 'tenant-' || (n % 12 + 1), 0, repeat(md5(n::text), 10) FROM generate_series(1, 2000) n;
  INSERT INTO plans SELECT n, 0, md5(n::text) FROM generate_series(1, 200) n`
const tables = ["tenants", "calls", "notes", "plans"] as const

/** The source of a job that keeps such a database by account and as a whole. */
export function killedSource(settings: ReturnType<PostgresServer["settings"]>, environment: Readonly<Record<string, string>>): Source {
  return databaseSource({ name: "pbx", tenancy, ways: ["accounts", "whole"], readers: 2 }, ({ scratch, signal }) =>
    openDatabase(settings, { password: undefined, environment, scratch, signal }),
  )
}

/** The rows of each table at one moment, as lines in any order. */
type Moment = ReadonlyMap<string, string>

/** A database that changes from moment to moment, and what it held at each. */
export class KilledDatabase {
  readonly server: PostgresServer
  readonly name: string
  readonly #moments = new Map<number, Moment>()
  readonly #proven = new Set<string>()

  private constructor(server: PostgresServer, name: string) {
    this.server = server
    this.name = name
  }

  static async make(server: PostgresServer, name: string): Promise<KilledDatabase> {
    await server.createDatabase(name)
    await server.sql(schema, name)
    return new KilledDatabase(server, name)
  }

  source(): Source {
    return killedSource(this.server.settings(this.name), this.server.environment)
  }

  /** A new moment: in each table some rows change, and all say so. */
  async next(): Promise<void> {
    const generation = this.#moments.size + 1
    await this.server.sql(
      `BEGIN; ${tables.map((table) => `UPDATE ${table} SET generation = ${String(generation)};`).join(" ")}
      UPDATE calls SET body = md5(body) || body WHERE id % 500 = ${String(generation % 500)}; COMMIT`,
      this.name,
    )
    const copies = tables.map((table) => `SELECT 'COPY public.${table} ('; COPY ${table} TO STDOUT; SELECT E'\\\\.';`)
    this.#moments.set(generation, rowsIn(await this.server.sql(copies.join(" "), this.name)))
  }

  /**
   * Brings every complete snapshot back that `world` sees and that was not before, and holds it against its moment, by account and as a
   * whole; gives how many snapshots claim to be complete.
   */
  async prove(lab: Lab, world: AgentWorld): Promise<number> {
    const { snapshots } = await readHistory(world)
    const complete = snapshots.filter(({ commit }) => commit.body.dataset === dataset && commit.body.complete)
    for (const { commit } of complete.filter(({ commit: { sha256 } }) => !this.#proven.has(sha256))) {
      const path = mkdtempSync(join(lab.directory, "home-"))
      const report = await restore({ dataset, only: commit.sha256, identities: [lab.escrow] }, { path, owners: false }, world)
      expect(report).toMatchObject({ outcome: "ok", lost: [], refused: [], unreachable: [], missingAtSource: 0 })
      await this.#holdAgainstItsMoment(path)
      rmSync(path, { recursive: true })
      this.#proven.add(commit.sha256)
    }
    return complete.length
  }

  async #holdAgainstItsMoment(path: string): Promise<void> {
    const rows = await rowsBelow(join(path, "accounts"))
    const generation = Number(rows.get("public.tenants")?.split("\n")[0]?.split("\t")[1])
    const moment = this.#moments.get(generation)
    if (moment === undefined) throw new Error(`nothing was ever of moment ${String(generation)}`)
    expect(rows).toEqual(moment)
    expect(rowsIn(await this.#program("pg_restore", "-a", "-f", "-", join(path, "whole.dump")))).toEqual(moment)
    expect(await this.#program("pg_restore", "-f", "-", join(path, "schema.dump"))).toContain("CREATE TABLE public.notes")
  }

  #program(name: string, ...args: readonly string[]): Promise<string> {
    return runProgram([name, ...args], { environment: this.server.environment })
  }
}

/** The rows of all accounts by table, as lines in any order. */
async function rowsBelow(accounts: string): Promise<ReadonlyMap<string, string>> {
  const texts = new Map<string, string>()
  for (const account of await readdir(accounts)) {
    const folder = join(accounts, account, "rows")
    for (const file of (await readdir(folder).catch(() => [])).toSorted()) {
      const bytes = await readFile(join(folder, file))
      const sections = sectionsIn(bytes, null)
      if (sections === null) throw new Error(`${file}: rows of no table`)
      for (const { table, from, to } of sections) texts.set(table, `${texts.get(table) ?? ""}${bytes.toString("utf8", from, to)}`)
    }
  }
  return new Map([...texts].map(([table, text]) => [table, sorted(text)]))
}

function sorted(text: string): string {
  return text.trimEnd().split("\n").toSorted().join("\n")
}

/** What follows the heads of COPY in a dump, by table. */
function rowsIn(dump: string): Moment {
  const found = dump.matchAll(/^COPY (\S+) \(.*\n((?:(?!\\\.$).*\n)*)\\\.$/gm)
  return new Map([...found].map(([, table = "", rows = ""]) => [table, sorted(rows)]))
}
