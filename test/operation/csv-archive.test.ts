import { appendFileSync, mkdirSync } from "node:fs"
import { join } from "node:path"
import { expect, test } from "vitest"
import { csvSource } from "../../src/source/csv.ts"
import { openLab } from "./lab.ts"

test("a file of call records is read on by the next run, and not again: what was read is remembered with what is kept", async () => {
  await using lab = await openLab()
  const path = join(lab.directory, "csv")
  mkdirSync(path)
  const add = (number: string): void => appendFileSync(join(path, "Master.csv"), `"acme","${number}","2031-03-04 10:00:00"\n`)
  const rules = { path, files: ["*.csv"], columns: ["account", "number", "start"], account: "account" }
  const source = csvSource({
    ...{ name: "master", single: undefined, timezone: "UTC" },
    rules: { ...rules, day: { column: "start", stored: "instant" } },
  })
  const run = async () => {
    lab.clock.advance(3_600_000)
    return await lab.run({ mode: "archive", name: "cdr-csv", guard: { shrink: 0.5 } }, source)
  }
  add("100")
  add("101")
  expect(await run()).toMatchObject({ outcome: "ok", captured: { files: 2 } })
  expect(await run()).toMatchObject({ outcome: "ok", captured: { files: 0, bytes: 0 } })
  add("102")
  expect(await run()).toMatchObject({ captured: { files: 1, bytes: Buffer.byteLength('"acme","102","2031-03-04 10:00:00"\n') } })
})
