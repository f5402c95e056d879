import { afterAll, beforeAll, expect, test, vi } from "vitest"
import type { RunReport } from "../../src/report/run.ts"
import { Dice } from "../world/dice.ts"
import { Beginning } from "./beginning.ts"
import { actionOf } from "./clients.ts"
import { clients, type RunRow, runRows } from "./matrix.ts"
import { siteNames, type Trio } from "./trio.ts"

/** Every nth request of every row, where HOLDLINE_FAULTS is "all"; else one request of one row of each fault. */
const everything = process.env.HOLDLINE_FAULTS === "all"
if (everything) vi.setConfig({ testTimeout: 1_800_000 })

let beginning: Beginning
beforeAll(async () => {
  beginning = await Beginning.make()
})
afterAll(async () => {
  await beginning[Symbol.asyncDispose]()
})

/** Where each fault is planted: at every request that may meet it, or at one. */
const cases: readonly { readonly row: RunRow; readonly share: number }[] = everything
  ? runRows.map((row) => ({ row, share: 0 }))
  : Object.entries(Object.groupBy(runRows, sampleOf)).flatMap(([name, rows = []]) => {
      const dice = new Dice(name)
      const row = rows[dice.between(0, rows.length - 1)]
      return row === undefined ? [] : [{ row, share: dice.next() }]
    })

function sampleOf({ fault, lasting, during }: RunRow): string {
  return `${fault} ${String(lasting)} ${during === "restore" ? "restore" : "backup"}`
}

test.for(cases.map(({ row, share }) => [nameOf(row), row, share] as const))("%s", async ([, row, share]) => {
  const requests = await countOf(row)
  expect(requests, "requests that may meet it").toBeGreaterThan(0)
  const nths = everything ? Array.from({ length: requests }, (_, index) => index + 1) : [1 + Math.floor(share * requests)]
  for (const nth of nths) await tryRow(row, nth)
})

function nameOf({ client, during, request, fault, lasting, ending }: RunRow): string {
  return `${client}, ${during}: ${fault} at ${request ?? "any request"}${lasting ? " and all after it" : ""}: ${ending}`
}

const counted = new Map<string, ReadonlyMap<string, number>>()

/** How many requests of that name, or of any, a journey without faults makes at the bucket. */
async function countOf({ client, during, request }: Pick<RunRow, "client" | "during" | "request">): Promise<number> {
  const name = `${client} ${during}`
  if (!counted.has(name)) {
    await using world = await beginning.again()
    await journey(world.trio, { client, during }, 30_000)
    counted.set(name, new Map(world.services[client].requests))
  }
  return sum([...(counted.get(name) ?? [])].filter(([each]) => each === (request ?? each)).map(([, requests]) => requests))
}

function sum(numbers: Iterable<number>): number {
  return [...numbers].reduce((all, one) => all + one, 0)
}

/** What asks for bytes asks the bucket first. */
async function journey(trio: Trio, { client, during }: Pick<RunRow, "client" | "during">, deadlineMs: number): Promise<RunReport | null> {
  const names = [client, ...siteNames.filter((name) => name !== client)]
  const deadlines = { [client]: deadlineMs }
  if (during !== "restore") return await trio.run({ deadlines, names, forgetful: during === "forgetful" })
  const { files, report } = await trio.restore(names, deadlines)
  expect(report).toMatchObject({ outcome: "ok", lost: [], refused: [] })
  expect(files).toEqual(beginning.versions[0])
  return null
}

async function tryRow(row: RunRow, nth: number): Promise<void> {
  const { client, request, fault, lasting } = row
  await using world = await beginning.again()
  const server = world.services[client]
  server.faults.plan({
    ...(request !== undefined && { operation: request }),
    ...(lasting ? { from: nth } : { nth }),
    action: actionOf(client, fault),
  })
  const report = await journey(world.trio, row, fault.startsWith("late") ? 400 : 30_000)
  const where = `${fault} at the request ${String(nth)}`
  expect(server.faults.unmet, where).toEqual([])
  // Who is refused is not asked again and again: for each object once, and once more at the end of the run.
  if (fault === "denied") expect(sum(server.requests.values())).toBeLessThanOrEqual(2 * (await countOf({ ...row, request: undefined })))
  server.faults.clear()
  if (report !== null) {
    expectEnding(row, report, where)
    await beginning.expectSafe(world.trio, report, where)
    await beginning.expectConverged(world.trio, where)
  }
  for (const each of clients) expect(world.services[each].mistakes).toEqual([])
}

const said: Readonly<Record<string, RegExp>> = {
  500: /500|InternalError/,
  503: /503|SlowDown/,
  429: /429|TooManyRequests|rateLimitExceeded/,
  reset: /socket|ECONNRESET|aborted/i,
  late: /no answer|no longer/,
  denied: /40[13]|InvalidAccessKeyId/,
  quota: /[qQ]uotaExceeded/,
}

function expectEnding({ client, fault, ending }: RunRow, report: RunReport, where: string): void {
  expect(report, where).toMatchObject({ outcome: "ok" })
  for (const site of report.sites) {
    if (site.name !== client || ending === "held") expect(site, where).toMatchObject({ held: true })
    if (site.name !== client || ending !== "missed") continue
    expect(site, where).toMatchObject({ held: false })
    expect(site.reason, where).toMatch(said[fault] ?? /^$/)
  }
}
