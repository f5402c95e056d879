import { expect, test } from "vitest"
import { bareAccounts } from "../../src/catalog/bare-accounts.ts"
import { Catalog } from "../../src/catalog/catalog.ts"
import { accountNamed, accountsEverNamed, rememberAccountNames } from "../../src/catalog/memory.ts"
import { readHistory } from "../../src/operation/history.ts"
import { Keyring } from "../../src/operation/keyring.ts"
import { accountsNamed } from "../../src/operation/register.ts"
import { bytesItem } from "../../src/source/cdr-pieces.ts"
import type { Found, Source } from "../../src/source/source.ts"
import { type Lab, openLab } from "./lab.ts"
import { sharedPool } from "./lab-pool.ts"

const pool = sharedPool()

/** A platform with these accounts, each with a file of its own. */
function platform(accounts: Readonly<Record<string, readonly string[]>>, now: Date): Source {
  return {
    description: "accounts",
    async *capture(): AsyncGenerator<Found> {
      await Promise.resolve()
      for (const [stableId, names] of Object.entries(accounts)) {
        yield { account: { stableId, names } }
        const at = { stableId, day: "2031-03-04", path: Buffer.from(`${stableId}/row`), now }
        yield { item: bytesItem(Buffer.from(stableId), at) }
      }
    },
  }
}

async function capture(lab: Lab, accounts: Readonly<Record<string, readonly string[]>>): Promise<void> {
  expect(await lab.run({ name: "cdrs" }, platform(accounts, lab.clock.now()))).toMatchObject({ outcome: "ok" })
}

/** Whose the accounts are that a name means. */
async function meant(lab: Lab, name: string): Promise<string[]> {
  const world = lab.world()
  const history = await readHistory(world)
  const ids = await accountsNamed(history, new Keyring(world, history, [lab.escrow]), [name], world.catalog)
  const rows = world.catalog.all("SELECT DISTINCT account, stable_id FROM account")
  return rows.filter(({ account }) => ids.has(String(account))).map(({ stable_id }) => String(stable_id))
}

test("a customer is meant by the platform's id, by its own, and by the name that people use, whatever its case", async () => {
  await using lab = await openLab({ pool })
  await capture(lab, { "c-1": ["maple.example"], "c-2": ["birch.example"] })
  expect(await meant(lab, "c-1")).toEqual(["c-1"])
  expect(await meant(lab, "maple.example")).toEqual(["c-1"])
  expect(await meant(lab, "Maple.Example")).toEqual(["c-1"])
  await expect(meant(lab, "oak.example")).rejects.toMatchObject({ code: "job/not-found", message: "account oak.example: not known" })
})

test("a name that two customers have had is refused with both, so that nobody is given the other's data", async () => {
  await using lab = await openLab({ pool })
  await capture(lab, { "c-1": ["maple.example"] })
  await capture(lab, { "c-2": ["maple.example"], "c-3": ["oak.example"], "c-4": ["OAK.example"] })
  await expect(meant(lab, "maple.example")).rejects.toMatchObject({
    code: "job/not-found",
    message: "account maple.example: this is the name of several: c-2, and formerly c-1",
    hint: "say which, by its id",
  })
  expect(await meant(lab, "oak.example"), "written so").toEqual(["c-3"])
  await expect(meant(lab, "Oak.Example")).rejects.toThrow("this is the name of several: c-3, c-4")
})

test("what was kept under a customer's name, before its id was known, is the same customer's", async () => {
  await using lab = await openLab({ pool })
  await capture(lab, { "maple.example": [] })
  await capture(lab, { "c-1": ["maple.example"] })
  expect((await meant(lab, "maple.example")).toSorted()).toEqual(["c-1", "maple.example"])
  expect(await meant(lab, "c-1")).toEqual(["c-1"])
  await capture(lab, { "c-2": ["maple.example"] })
  const [own] = lab.world().catalog.all("SELECT account FROM account WHERE stable_id = 'maple.example'")
  const hint = `say which, by its id; what was kept under the name itself is ${String(own?.account)}`
  await expect(meant(lab, "maple.example")).rejects.toMatchObject({ hint })
  expect(await meant(lab, String(own?.account))).toEqual(["maple.example"])
})

test("a name stands for whom it was given last, and its former owner is no account that was left out", () => {
  using catalog = Catalog.open(":memory:", () => undefined)
  rememberAccountNames(catalog, "c-1", ["maple.example"])
  rememberAccountNames(catalog, "c-2", ["maple.example"])
  expect(accountNamed(catalog, "maple.example")).toBe("c-2")
  expect(accountsEverNamed(catalog, "maple.example")).toEqual({ now: ["c-2"], before: ["c-1"] })
  expect(bareAccounts(catalog)).toEqual(["c-2"])
  rememberAccountNames(catalog, "c-1", ["maple.example"])
  expect(accountsEverNamed(catalog, "maple.example")).toEqual({ now: ["c-1"], before: ["c-2"] })
})
