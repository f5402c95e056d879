import { expect, test } from "vitest"
import { bytesOf, keysAt, put } from "../contract/site.ts"
import { gcsStandIn, siteAt } from "../server/gcs/stand-in.ts"

const bytes = bytesOf(200_000)

async function scene() {
  const server = await gcsStandIn()
  return { server, bare: await siteAt(server) }
}

test.each([
  [400, "invalid", "site/unsupported"],
  [401, "authError", "site/denied"],
  [403, "forbidden", "site/denied"],
  [403, "retentionPolicyNotMet", "site/denied"],
  [403, "rateLimitExceeded", "site/throttled"],
  [408, "requestTimeout", "site/unavailable"],
  [409, "conflict", "site/unavailable"],
  [412, "conditionNotMet", "site/conflict"],
  [413, "uploadTooLarge", "site/unsupported"],
  [429, "rateLimitExceeded", "site/throttled"],
  [500, "backendError", "site/unavailable"],
  [502, "badGateway", "site/unavailable"],
  [503, "backendError", "site/unavailable"],
  [504, "gatewayTimeout", "site/unavailable"],
])("%i %s is %s, whatever was asked", async (status, reason, code) => {
  const { server, bare } = await scene()
  await put(bare.site, "v1/a/x", bytes)
  server.faults.plan({ action: { kind: "status", status, code: reason } })
  const { site, serverTime } = bare
  const expected = { name: "SiteError", code, message: expect.stringContaining("planned fault") }
  await expect(site.get("v1/a/x")).rejects.toMatchObject(expected)
  await expect(site.get("v1/a/x", { range: { offset: 0, length: 1 } })).rejects.toMatchObject(expected)
  await expect(site.head("v1/a/x")).rejects.toMatchObject(expected)
  await expect(keysAt(site)).rejects.toMatchObject(expected)
  await expect(serverTime()).rejects.toMatchObject(expected)
  // A put that finds its key taken asks what is there, and that fails as well.
  await expect(put(site, "v1/a/y", bytes)).rejects.toMatchObject(expected)
})

test("a server whose clock is off tells its own time", async () => {
  const { server, bare } = await scene()
  server.faults.plan({ operation: "storage.objects.get", nth: 1, action: { kind: "clock-skew", ms: 3_600_000 } })
  const [skewed, right] = [await bare.serverTime(), await bare.serverTime()]
  expect(skewed.getTime() - right.getTime()).toBeGreaterThan(3_000_000)
  expect(server.faults.unmet).toEqual([])
})

test("a site in a bucket that is not there is denied, not empty", async () => {
  const { server, bare } = await scene()
  server.store.deleteBucket("vault")
  const expected = { code: "site/denied", message: expect.stringContaining("no such bucket") }
  await expect(bare.site.head("v1/a/x")).rejects.toMatchObject(expected)
  await expect(bare.site.get("v1/a/x")).rejects.toMatchObject(expected)
  await expect(keysAt(bare.site)).rejects.toMatchObject(expected)
  await expect(put(bare.site, "v1/a/x", bytes)).rejects.toMatchObject(expected)
  await expect(bare.serverTime()).rejects.toMatchObject(expected)
})

test("a server that is not there is unavailable", async () => {
  const { server, bare } = await scene()
  await server.stop()
  const expected = { name: "SiteError", code: "site/unavailable" }
  await expect(bare.site.head("v1/a/x")).rejects.toMatchObject(expected)
  await expect(bare.site.get("v1/a/x")).rejects.toMatchObject(expected)
  await expect(keysAt(bare.site)).rejects.toMatchObject(expected)
  await expect(put(bare.site, "v1/a/x", bytes)).rejects.toMatchObject(expected)
  await expect(bare.serverTime()).rejects.toMatchObject(expected)
})
