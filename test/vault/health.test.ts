import { expect, test } from "vitest"
import { SiteError } from "../../src/errors.ts"
import { circuitFailuresMax, circuitRestMaxMs, circuitRestMs, circuitTrialCalls } from "../../src/limits.ts"
import { SiteHealth } from "../../src/vault/health.ts"

const away = () => Promise.reject(new SiteError("dub", "site/unavailable", "get x: no answer within 15 s"))

interface Scene {
  readonly health: SiteHealth
  /** Calls that reached the site. */
  readonly reached: () => number
  pass(ms: number): void
  call(answer?: () => Promise<string>): Promise<string>
}

function scene(): Scene {
  let now = new Date("2031-03-04T12:00:00Z").getTime()
  let reached = 0
  const health = new SiteHealth({ now: () => new Date(now) })
  return {
    health,
    reached: () => reached,
    pass: (ms) => {
      now += ms
    },
    call: (answer = async () => "there") =>
      health.guard("dub", () => {
        reached += 1
        return answer()
      }),
  }
}

async function failTimes({ call }: Scene, times: number): Promise<void> {
  for (let n = 0; n < times; n++) await expect(call(away)).rejects.toThrow("no answer within 15 s")
}

test("a site that fails a few times in a row is left alone for a while, and the refusal says since when and why", async () => {
  const world = scene()
  await failTimes(world, circuitFailuresMax)
  await expect(world.call()).rejects.toThrow("dub: get x: no answer within 15 s; left alone for 30.0 s")
  expect(world.reached()).toBe(circuitFailuresMax)
  expect(world.health.isFailing("dub")).toBe(true)
})

test("failures with an answer between them leave nobody alone", async () => {
  const world = scene()
  for (let round = 0; round < 5; round++) {
    await failTimes(world, circuitFailuresMax - 1)
    expect(await world.call()).toBe("there")
  }
})

test("a refusal is an answer: credentials or an object that is missing are no dead site", async () => {
  const world = scene()
  const denied = () => Promise.reject(new SiteError("dub", "site/denied", "put x: AccessDenied"))
  for (let n = 0; n < 10; n++) await expect(world.call(denied)).rejects.toThrow("AccessDenied")
  expect(world.reached()).toBe(10)
})

test("after its rest one call tries the site, and the others wait for what becomes of it", async () => {
  const world = scene()
  await failTimes(world, circuitFailuresMax)
  world.pass(circuitRestMs)
  const answer = Promise.withResolvers<string>()
  const tries = [world.call(() => answer.promise), world.call(), world.call()]
  await Promise.resolve()
  expect(world.reached()).toBe(circuitFailuresMax + 1)
  answer.resolve("back")
  expect(await Promise.all(tries)).toEqual(["back", "there", "there"])
})

test("a try that fails doubles the rest, up to a bound, and lets no other call through", async () => {
  const world = scene()
  await failTimes(world, circuitFailuresMax)
  for (let rest = circuitRestMs; rest < 3 * circuitRestMaxMs; rest *= 2) {
    world.pass(Math.min(rest, circuitRestMaxMs) - 1)
    await expect(world.call()).rejects.toThrow("left alone")
    world.pass(1)
    const tries = await Promise.allSettled([world.call(away), world.call()])
    expect(tries.map(({ status }) => status)).toEqual(["rejected", "rejected"])
  }
})

test("a site that is back is trusted only after a few answers: one failure among them sends it to rest again", async () => {
  const world = scene()
  await failTimes(world, circuitFailuresMax)
  world.pass(circuitRestMs)
  for (let n = 1; n < circuitTrialCalls; n++) await world.call()
  await failTimes(world, 1)
  await expect(world.call()).rejects.toThrow("left alone for 1m 00s")
  world.pass(2 * circuitRestMs)
  for (let n = 0; n < circuitTrialCalls; n++) await world.call()
  await failTimes(world, 1)
  expect(await world.call()).toBe("there")
})

test("a new process tries a site that failed with one call, and waits for it no longer than that", async () => {
  const world = scene()
  await failTimes(world, circuitFailuresMax)
  const later = new SiteHealth({ now: () => new Date("2031-03-04T12:00:10Z") }, world.health.conditions())
  expect(later.isFailing("dub")).toBe(true)
  expect(later.patienceMs("dub")).toBe(0)
  const tries = await Promise.allSettled([later.guard("dub", away), later.guard("dub", async () => "there")])
  expect(tries).toMatchObject([
    { status: "rejected" },
    { status: "rejected", reason: { message: expect.stringMatching(/left alone for 1m 00s$/) } },
  ])
  const back = new SiteHealth({ now: () => new Date("2031-03-04T12:00:20Z") }, later.conditions())
  expect(await Promise.all([back.guard("dub", async () => "back"), back.guard("dub", async () => "there")])).toEqual(["back", "there"])
})

test("a clock that was set back leaves no site alone for years", async () => {
  const world = scene()
  await failTimes(world, circuitFailuresMax)
  world.pass(-10 * 365 * 86_400_000)
  expect(await world.call()).toBe("there")
})
