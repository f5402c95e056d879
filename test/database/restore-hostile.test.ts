import { existsSync } from "node:fs"
import { chmod, mkdir, readFile, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, beforeAll, expect, test } from "vitest"
import type { DatabaseSettings } from "../../src/database/settings.ts"
import { restoreDatabase } from "../../src/operation/database-restore.ts"
import type { DatabaseRestoreReport } from "../../src/report/database-restore.ts"
import { type Lab, openLab } from "../operation/lab.ts"
import { sharedPool } from "../operation/lab-pool.ts"
import { runProgram } from "./process.ts"
import { captureFiles, targetIn } from "./restore-world.ts"
import { type MariadbServer, type PostgresServer, requireMariadb, requirePostgres, startMariadb, startPostgres } from "./servers.ts"

const pool = sharedPool()

const noPostgres = requirePostgres()
const noMariadb = requireMariadb()
let postgres: PostgresServer
let mariadb: MariadbServer
let databases = 0

beforeAll(async () => {
  if (noPostgres === null) postgres = await startPostgres()
  if (noMariadb === null) mariadb = await startMariadb()
  if (noPostgres === null) await postgres.sql("CREATE ROLE restorer LOGIN")
  if (noMariadb === null) await mariadb.sql("CREATE USER restorer@localhost")
}, 60_000)
afterAll(async () => {
  if (noPostgres === null) await postgres.stop()
  if (noMariadb === null) await mariadb.stop()
})

/** A file that nothing makes unless a dump runs code; servers and clients of the tests may write there. */
function marker(): string {
  return join(tmpdir(), `holdline-was-run-${process.pid}-${++databases}`)
}

async function load(lab: Lab, settings: DatabaseSettings, environment: Readonly<Record<string, string>>): Promise<DatabaseRestoreReport> {
  const target = await targetIn(lab, settings, environment)
  const request = { dataset: "account-data", identities: [lab.escrow] }
  return await restoreDatabase(request, target, { fromAccounts: false, jobs: 2 }, lab.world())
}

async function emptyPostgres(user = "restorer"): Promise<DatabaseSettings> {
  const name = `target${++databases}`
  await postgres.createDatabase(name, "OWNER restorer")
  return postgres.settings(name, user)
}

async function dumpOf(sql: string): Promise<Buffer> {
  const name = `source${++databases}`
  await postgres.createDatabase(name)
  await postgres.sql(sql, name)
  const to = join(postgres.socket, `${name}.dump`)
  const { PATH } = postgres.environment
  await runProgram(["pg_dump", "-Fc", "--compress=0", "-h", postgres.socket, "-U", "postgres", "-f", to, name], {
    environment: { PATH: PATH ?? "" },
  })
  return await readFile(to)
}

test.skipIf(noPostgres !== null)(
  "a plain dump with a meta-command in place of an archive is refused, and the command is not run",
  async () => {
    await using lab = await openLab({ pool })
    const mark = marker()
    await captureFiles(lab, { "whole.dump": Buffer.from(`CREATE TABLE t (a int);\n\\! touch ${mark}\n`) })
    const report = await load(lab, await emptyPostgres(), postgres.environment)
    expect(report).toMatchObject({ outcome: "failed", rung: null })
    expect(report.failure).toContain("pg_restore")
    expect(existsSync(mark)).toBe(false)
  },
)

test.skipIf(noPostgres !== null)("names and comments that try a meta-command are names and comments", async () => {
  await using lab = await openLab({ pool })
  const mark = marker()
  const hostile = `CREATE TABLE "t
\\! touch ${mark}
" (a int); COMMENT ON TABLE "t
\\! touch ${mark}
" IS E'\\n\\\\! touch ${mark}\\n'; INSERT INTO "t
\\! touch ${mark}
" VALUES (1)`
  await captureFiles(lab, { "whole.dump": await dumpOf(hostile) })
  const settings = await emptyPostgres()
  const report = await load(lab, settings, postgres.environment)
  expect(report.failure).toBeUndefined()
  expect(report).toMatchObject({ outcome: "ok", rung: "loaded" })
  expect(report.warnings.join()).toContain("no fingerprints were kept")
  expect(existsSync(mark)).toBe(false)
})

test.skipIf(noPostgres !== null)(
  "an archive whose table of contents starts a program fails at the server, and a superuser loads none at all",
  async () => {
    await using lab = await openLab({ pool })
    const mark = marker()
    const comment = `COMMENT ON TABLE public.t IS '${"x".repeat(120)}';`
    const archive = await dumpOf(`CREATE TABLE t (a text); ${comment}`)
    const evil = `COPY public.t FROM PROGRAM 'touch ${mark}';`
    const at = archive.indexOf(comment)
    expect(at).toBeGreaterThan(0)
    archive.write(evil.padEnd(comment.length), at, "latin1")
    await captureFiles(lab, { "whole.dump": archive })
    const report = await load(lab, await emptyPostgres(), postgres.environment)
    expect(report).toMatchObject({ outcome: "failed", rung: null })
    expect(report.failure).toContain("pg_restore: ended with status 1")
    const mighty = await load(lab, await emptyPostgres("postgres"), postgres.environment)
    expect(mighty.failure).toContain("the role is a superuser")
    expect(existsSync(mark)).toBe(false)
  },
)

test.skipIf(noPostgres !== null)("a pg_restore that was killed never counts as loaded, whatever it had done", async () => {
  await using lab = await openLab({ pool })
  await captureFiles(lab, { "whole.dump": await dumpOf("CREATE TABLE t AS SELECT generate_series(1, 10) AS a") })
  const folder = join(lab.directory, "bin")
  await mkdir(folder)
  const real = `PATH=${postgres.environment.PATH ?? ""} command pg_restore "$@"`
  await writeFile(join(folder, "pg_restore"), `#!/bin/sh\n${real} || exit 1\ncase "$*" in *--section=data*) kill -9 $$ ;; esac\n`)
  await chmod(join(folder, "pg_restore"), 0o755)
  const settings = await emptyPostgres()
  const report = await load(lab, settings, { PATH: `${folder}:${postgres.environment.PATH ?? ""}` })
  expect(report).toMatchObject({ outcome: "failed", rung: null })
  expect(report.failure).toContain("was ended by SIGKILL")
  expect(await postgres.sql("SELECT count(*) FROM t", settings.name)).toBe("10")
})

test.skipIf(noPostgres !== null)("a database that is not empty is left alone, and what it holds is named", async () => {
  await using lab = await openLab({ pool })
  await captureFiles(lab, { "whole.dump": await dumpOf("CREATE TABLE t (a int)") })
  const settings = await emptyPostgres()
  await postgres.sql("CREATE SCHEMA other; CREATE TABLE other.mine (a int)", settings.name)
  await expect(load(lab, settings, postgres.environment)).rejects.toThrow("is not empty: it holds schema other, table other.mine")
})

const begin = "/*M!999999\\- enable the sandbox mode */ \nCREATE TABLE `t` (`a` text);\n"
const hostile: readonly (readonly [what: string, sql: (mark: string) => string, refusal: string])[] = [
  ["a shell command", (mark) => `\\! touch ${mark}\n`, "line 3 of the dump: a command for a client"],
  ["a shell command in a line", (mark) => `INSERT INTO \`t\` VALUES (1) \\! touch ${mark}\n;`, "a command for a client"],
  ["system", (mark) => `system touch ${mark}\n;`, "a statement that no dump has: system"],
  ["source", (mark) => `source ${mark}\n;`, "a statement that no dump has: source"],
  ["a file written", (mark) => `SELECT 'x' INTO OUTFILE '${mark}';`, "a statement that no dump has: SELECT"],
  ["a file read", () => "INSERT INTO `t` VALUES (LOAD_FILE('/etc/passwd'));", "a statement that no dump has: INSERT"],
  ["a file of this machine", () => "LOAD DATA LOCAL INFILE '/etc/passwd' INTO TABLE `t`;", "a statement that no dump has: LOAD DATA"],
  ["an account", () => "CREATE USER evil;", "a statement that no dump has: CREATE USER"],
  ["a setting of the server", () => "SET GLOBAL general_log_file = '/tmp/x';", "a statement that no dump has: SET GLOBAL"],
  ["another database", () => "INSERT INTO `mysql`.`global_priv` VALUES ('a');", "a statement that no dump has: INSERT"],
  ["a statement within a setting", () => "SET STATEMENT max_statement_time=1 FOR DROP TABLE `t`;", "a statement that no dump has"],
  ["a library", () => "CREATE FUNCTION `f` RETURNS STRING SONAME 'evil.so';", "a statement that no dump has"],
  ["a table elsewhere", () => "CREATE TABLE `u` (`a` int) ENGINE=FEDERATED CONNECTION='mysql://x';", "a statement that no dump has"],
  ["an end within a statement", () => "INSERT INTO `t` VALUES ('a", "the dump ends within a statement"],
]

test.skipIf(noMariadb !== null).each(hostile)(
  "a dump with %s is refused where it stands, and nothing is run",
  async (_what, sql, refusal) => {
    await using lab = await openLab({ pool })
    const mark = marker()
    await captureFiles(lab, { "whole.sql": Buffer.from(begin + sql(mark)) })
    const name = `target${++databases}`
    await mariadb.createDatabase(name)
    await mariadb.sql(`GRANT ALL PRIVILEGES ON \`${name}\`.* TO restorer@localhost`)
    const report = await load(lab, mariadb.settings(name, "restorer"), mariadb.environment)
    expect(report).toMatchObject({ outcome: "failed", rung: null })
    expect(report.failure).toContain(refusal)
    expect(existsSync(mark)).toBe(false)
  },
)

test.skipIf(noMariadb !== null)("a role with rights on the whole server loads no dump", async () => {
  await using lab = await openLab({ pool })
  await captureFiles(lab, { "whole.sql": Buffer.from(begin) })
  const name = `target${++databases}`
  await mariadb.createDatabase(name)
  const report = await load(lab, mariadb.settings(name), mariadb.environment)
  expect(report.failure).toContain("the role has rights on the whole server")
})
