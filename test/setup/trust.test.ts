import { describe, expect, it } from "vitest"
import type { TrustBody } from "../../src/format/trust.ts"
import { generateSigningKey } from "../../src/key/signing.ts"
import { configSchema } from "../../src/wiring/schema.ts"
import { differencesFromTrust, refuseDifferenceFromTrust, requireTrustedAgent, signedSettingsOf } from "../../src/wiring/trust.ts"

const config = configSchema.parse({
  version: 1,
  agent: "pbx-fra-1",
  state: "/state",
  trust: { file: "/trust.json", root: "SHA256:…" },
  durable: { copies: 2, providers: 2 },
  classes: { "state-35": { days: 35, reuseDays: 7, tier: { s3: "STANDARD_IA" } }, constructor: { days: 28 } },
  sites: { fra: { kind: "directory", path: "/fra", provider: "own", region: "fra" } },
})

const key = generateSigningKey().publicKey
const body: TrustBody = {
  ...{ v: 1, repository: "0".repeat(32), n: 3, created: "2026-11-21T12:00:00.000Z", root: key, people: [], crit: [] },
  agents: [{ id: "pbx-fra-1", key, role: "agent", from: "2026-11-21T12:00:00.000Z" }],
  organisation: { epoch: 1, recipients: [] },
  catalog: { epoch: 1, recipient: "age1" },
  ...signedSettingsOf(config),
}

function keysWith(change: Partial<TrustBody>): string[] {
  return differencesFromTrust(config, { ...body, ...change }).map((difference) => difference.key)
}

describe("the configuration against the trust list", () => {
  it("has no difference where the root signed what it says, whatever else was signed", () => {
    expect(keysWith({})).toEqual([])
    const more = { classes: { ...body.classes, other: { days: 400, reuseDays: 0, tier: {} } } }
    expect(keysWith(more)).toEqual([])
  })

  it.each([
    ["durable.copies", { durable: { copies: 3, providers: 2 } }],
    ["durable.copies", { durable: { copies: 1, providers: 2 } }],
    ["durable.providers", { durable: { copies: 2, providers: 1 } }],
    ["classes.state-35.days", { classes: { ...body.classes, "state-35": { days: 36, reuseDays: 7, tier: { s3: "STANDARD_IA" } } } }],
    ["classes.state-35.reuseDays", { classes: { ...body.classes, "state-35": { days: 35, reuseDays: 6, tier: { s3: "STANDARD_IA" } } } }],
    ["classes.state-35.tier.s3", { classes: { ...body.classes, "state-35": { days: 35, reuseDays: 7, tier: {} } } }],
    ["sites.fra.provider", { sites: { fra: { provider: "aws", region: "fra" } } }],
    ["sites.fra", { sites: {} }],
  ])("differs in %s", (name, change) => {
    expect(keysWith(change)).toEqual([name])
  })

  it("does not take a name of JavaScript's own for a class that was signed", () => {
    expect(keysWith({ classes: { "state-35": { days: 35, reuseDays: 7, tier: { s3: "STANDARD_IA" } } } })).toEqual(["classes.constructor"])
  })

  it("is refused with every key, both values and the remedy", () => {
    const signed = { ...body, durable: { copies: 3, providers: 2 }, sites: {} }
    expect(() => refuseDifferenceFromTrust(config, signed)).toThrow(
      expect.objectContaining({
        code: "config/trust",
        message:
          "durable.copies: the configuration says 2, trust list 3 says 3\nsites.fra: the configuration says provider own, trust list 3 says nothing of this site",
        hint: "sign the change on the operator's machine with `holdline key trust`, or take it back here",
      }),
    )
  })

  it("believes an agent under its own id, key and role only", () => {
    expect(() => requireTrustedAgent("pbx-fra-1", key, body)).not.toThrow()
    const other = generateSigningKey().publicKey
    const untrusted = expect.objectContaining({ code: "key/untrusted" })
    expect(() => requireTrustedAgent("pbx-fra-1", other, body)).toThrow(untrusted)
    expect(() => requireTrustedAgent("pbx-fra-2", key, body)).toThrow(untrusted)
    const keeper = body.agents.map((agent) => ({ ...agent, role: "keeper" as const }))
    expect(() => requireTrustedAgent("pbx-fra-1", key, { ...body, agents: keeper })).toThrow(/names its key as a keeper's/)
  })
})
