import fc from "fast-check"
import { afterAll, beforeAll, expect, test } from "vitest"
import { type Lab, openLab } from "../operation/lab.ts"
import { runProgram } from "./process.ts"
import { databases, everyType, type MadeDatabase } from "./property-schema.ts"
import { columnTypes } from "./property-types.ts"
import { broughtBack, captured, equal, sourceOf } from "./property-world.ts"
import { type PostgresServer, requirePostgres, startPostgres } from "./servers.ts"

const lacking = requirePostgres()
/** More on demand: HOLDLINE_PROPERTY_RUNS=200, and HOLDLINE_PROPERTY_SEED with the seed that a failure printed. */
const runs = Number(process.env.HOLDLINE_PROPERTY_RUNS ?? 3)
const seed = process.env.HOLDLINE_PROPERTY_SEED
const msPerRun = 60_000

let server: PostgresServer
let lab: Lab
let made = 0

beforeAll(async () => {
  if (lacking !== null) return
  server = await startPostgres()
  await server.sql("CREATE ROLE restorer LOGIN; CREATE ROLE reader LOGIN; GRANT pg_read_all_data TO reader")
  lab = await openLab()
}, 60_000)
afterAll(async () => {
  if (lacking !== null) return
  await lab[Symbol.asyncDispose]()
  await server.stop()
})

/** All that a database holds, as the server's own program says it in statements; their order is not part of it. */
async function everything(name: string): Promise<readonly string[]> {
  const text = await runProgram(
    ["pg_dump", "--inserts", "--no-owner", "--no-privileges", "-h", server.socket, "-U", "postgres", "-d", name],
    { environment: server.environment },
  )
  return text
    .split("\n")
    .filter((line) => !/^\\(?:un)?restrict /.test(line))
    .toSorted()
}

async function comesBack(database: MadeDatabase): Promise<void> {
  const number = ++made
  const [from, whole, accounts] = [`from-${number}`, `whole ${number}`, `accounts ${number}`]
  await server.createDatabase(from)
  await server.sql(database.sql, from)
  const at = (name: string, user: string) => ({
    settings: server.settings(name, user),
    environment: server.environment,
  })
  const run = await captured(lab, from, sourceOf(at(from, "reader"), database.tenancy))
  expect(run.failure).toBeUndefined()
  const expected = await everything(from)
  for (const [to, way] of [
    [whole, "whole"],
    [accounts, "accounts"],
  ] as const) {
    await server.createDatabase(to, "OWNER restorer")
    const report = await broughtBack(lab, from, at(to, "restorer"), way)
    expect(report.failure).toBeUndefined()
    expect(report).toMatchObject({ ...equal, way })
    expect(await everything(to)).toEqual(expected)
  }
  for (const name of [from, whole, accounts]) await server.sql(`DROP DATABASE "${name}"`)
}

test.skipIf(lacking !== null)(
  "values of every type come back as they were",
  async () => {
    const sampleOf = (type: { readonly values: fc.Arbitrary<string> }): readonly string[] =>
      fc.sample(type.values, { numRuns: 12, seed: Number(seed ?? 20_261_122) })
    await comesBack(everyType(sampleOf))
    expect(columnTypes.length).toBeGreaterThan(50)
  },
  msPerRun,
)

test.skipIf(lacking !== null)(
  "any database comes back equal, from its dump and from its accounts' rows, by fingerprints and by the server's own word",
  async () => {
    await fc.assert(fc.asyncProperty(databases, comesBack), {
      numRuns: runs,
      endOnFailure: true,
      ...(seed === undefined ? {} : { seed: Number(seed) }),
    })
  },
  runs * msPerRun,
)

test("the databases that are made are of every layout", () => {
  // A generator that no longer made them would find nothing; a few databases may have none of one.
  const features = fc.sample(databases, { numRuns: 100, seed: 20_261_122 }).flatMap((database) => [...database.features])
  for (const layout of ["plain", "inherits"]) expect(features).toContain(`layout ${layout}`)
})
