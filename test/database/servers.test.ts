import { existsSync } from "node:fs"
import { expect, test } from "vitest"
import { requireMariadb, requirePostgres, startMariadb, startPostgres } from "./servers.ts"

test("a private Postgres answers, and is gone with its folder after stop", async (context) => {
  const lacking = requirePostgres()
  if (lacking !== null) context.skip(lacking)
  const server = await startPostgres()
  await server.createDatabase("some name")
  expect(await server.sql("SELECT 1, current_database(); SELECT 2", "some name")).toBe("1\tsome name\n2")
  await expect(server.sql("SELECT no_such_column; SELECT 3")).rejects.toThrow(/no_such_column/)
  await server.stop()
  expect(existsSync(server.socket)).toBe(false)
})

test("a private MariaDB answers, and is gone with its folder after stop", async (context) => {
  const lacking = requireMariadb()
  if (lacking !== null) context.skip(lacking)
  const server = await startMariadb({ tls: true })
  await server.createDatabase("some name")
  expect(await server.sql("SELECT 1, database(); SELECT 2; SELECT @@have_ssl", "some name")).toBe("1\tsome name\n2\nYES")
  await expect(server.sql("SELECT no_such_column; SELECT 3")).rejects.toThrow(/no_such_column/)
  await server.stop()
  expect(existsSync(server.socket)).toBe(false)
})
