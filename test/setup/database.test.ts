import { execFile } from "node:child_process"
import { mkdir, readdir, readFile, utimes, writeFile } from "node:fs/promises"
import { dirname, join } from "node:path"
import { promisify } from "node:util"
import { expect, test } from "vitest"
import { requirePostgres, startPostgres } from "../database/servers.ts"
import { place } from "./holdline.ts"

const exec = promisify(execFile)
const maple = "6f0c9d1e-5a1c-4c55-9f0e-2f1a7d5f6a10"
const config = ["--config", "q/config/holdline.yaml"]

const fusionpbx = `
CREATE TABLE v_domains (domain_uuid uuid PRIMARY KEY, domain_name text);
CREATE TABLE v_extensions (extension_uuid uuid PRIMARY KEY, domain_uuid uuid REFERENCES v_domains, extension text);
CREATE TABLE v_billing_notes (id int PRIMARY KEY, domain_uuid uuid, note text);
INSERT INTO v_domains VALUES ('${maple}', 'maple-dental.example'), ('00000000-0000-4000-8000-000000000002', 'oak.example');
INSERT INTO v_extensions SELECT gen_random_uuid(), domain_uuid, '100' FROM v_domains;
INSERT INTO v_billing_notes VALUES (1, '${maple}', E'tab\\there');
`

// docs/howto-database.md, step by step.
test("a database is captured, its customers' recordings with it, and comes back by hand", async ({ skip, onTestFinished }) => {
  const missing = requirePostgres()
  if (missing !== null) skip(missing)
  const server = await startPostgres()
  onTestFinished(() => server.stop())
  await server.createDatabase("fusionpbx")
  await server.sql(fusionpbx, "fusionpbx")
  await using at = await place()
  const run = (...argv: readonly string[]) => at.run([...config, ...argv], { env: { PATH: server.environment.PATH ?? "" } })
  await at.run(["--agent", "pbx", "init", "host", "--dir", "q", "--recipients", "x25519"])
  await mkdir(at.path("q/config/conf.d"))
  const { tls: _, ...pbx } = server.settings("fusionpbx")
  await writeFile(at.path("q/config/conf.d/databases.yaml"), JSON.stringify({ databases: { pbx } }))
  const recording = at.path("recordings/maple-dental.example/archive/2026/Nov/20/one.wav")
  await mkdir(dirname(recording), { recursive: true })
  await writeFile(recording, "sound")
  await utimes(recording, 1, 1)

  const database = ["--source", "database", "--database", "pbx", "--profile", "fusionpbx", "--capture", "accounts", "whole"]
  expect(await run("init", "job", "account-data", ...database, "--class", "state-35")).toMatchObject({ exit: 0 })
  const checked = await run("source", "check", "account-data")
  expect(checked.stdout + checked.stderr).toContain("v_billing_notes: {account: domain_uuid}")
  const refused = await run("run", "account-data")
  expect(refused).toMatchObject({ exit: 2 })
  expect(refused.stdout).toContain("v_billing_notes: {account: domain_uuid}")
  const job = at.path("q/jobs/account-data.yaml")
  const overrides = "overrides: {databases: {fusionpbx: {tables: {v_billing_notes: {account: domain_uuid}}}}}"
  await writeFile(job, (await readFile(job, "utf8")).replace("  profile: fusionpbx\n", `  profile: fusionpbx\n  ${overrides}\n`))
  expect(await run("run", "account-data")).toMatchObject({ exit: 0 })

  const directory = ["--source", "directory", "--mode", "archive", "--profile", "fusionpbx", "--files", "recordings"]
  const where = ["--path", at.path("recordings"), "--settle", "1ms", "--class", "recordings-90"]
  expect(await run("init", "job", "call-recordings", ...directory, ...where)).toMatchObject({ exit: 0 })
  expect(await run("run", "call-recordings")).toMatchObject({ exit: 0 })

  const identity = ["--identity", "q/keys/escrow.identity"]
  const heard = await run("restore", "run", "call-recordings@latest", "--account", maple, "--to", "heard", ...identity)
  expect(heard).toMatchObject({ exit: 0 })
  expect(await readdir(at.path("heard"))).toEqual(["maple-dental.example"])

  expect(await run("restore", "run", "account-data@latest", "--path", "whole.dump", "--to", "back", ...identity)).toMatchObject({ exit: 0 })
  await server.createDatabase("restored")
  const connection = ["--host", server.socket, "--port", String(pbx.port), "--username", "postgres"]
  const env = { ...process.env, ...server.environment }
  const load = ["--no-owner", "--exit-on-error", "--jobs", "2", "--dbname", "restored", at.path("back/whole.dump")]
  await exec("pg_restore", [...connection, ...load], { env })
  expect(await server.sql("SELECT note FROM v_billing_notes", "restored")).toContain("tab\there")

  expect(await run("restore", "run", "account-data@latest", "--account", maple, "--to", "maple", ...identity)).toMatchObject({ exit: 0 })
  expect(await readdir(at.path("maple/accounts"))).toEqual([maple])
  const rows = at.path("maple/accounts", maple, "rows")
  const files = (await readdir(rows)).sort().map((name) => join(rows, name))
  // As docs/howto-database.md has it.
  const table = String.raw`/^\\\./ {wanted = ($0 == "\\.public.v_extensions"); next} wanted`
  expect((await exec("awk", [table, ...files])).stdout).toMatch(new RegExp(`^[0-9a-f-]{36}\\t${maple}\\t100\\n$`))
})
