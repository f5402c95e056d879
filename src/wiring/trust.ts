import { ConfigError, KeyError } from "../errors.ts"
import type { TrustBody } from "../format/trust.ts"
import { readTrustFile, type VerifiedTrust, verifyBundle } from "../operation/trust-bundle.ts"
import type { SignedSettings } from "../operation/trust-list.ts"
import { fingerprintOf } from "../signature.ts"
import type { Loaded } from "./config.ts"
import { originText } from "./origin.ts"
import { type Config, unpinnedRoot } from "./schema.ts"
import { nearest } from "./suggest.ts"

export type LoadedTrust = VerifiedTrust

/** Reads the trust file of the configuration and verifies it against the pinned root. */
export async function loadTrust(loaded: Pick<Loaded, "config" | "origins">): Promise<LoadedTrust> {
  const root = pinnedRoot(loaded)
  return verifyBundle(await readTrustFile(loaded.config.trust.file), root)
}

/** The root's fingerprint; ConfigError config/trust where the configuration still has the placeholder. */
export function pinnedRoot({ config, origins }: Pick<Loaded, "config" | "origins">): string {
  const { root } = config.trust
  if (root !== unpinnedRoot) return root
  const place = originText(origins.get("trust.root") ?? { default: true })
  throw new ConfigError("config/trust", `${place}: trust.root is still the placeholder, which fits no key, so nothing is trusted`, {
    hint: "write the fingerprint there that `holdline init keys` printed; the escrow sheet has it too",
  })
}

/** One value of the configuration that is not the one the root signed. */
export interface Difference {
  /** Dotted, such as "classes.state-35.days". */
  readonly key: string
  readonly configured: string
  readonly signed: string
}

/** Everything in which classes, sites and durability of the configuration differ from a trust list. */
export function differencesFromTrust(config: Config, trust: TrustBody): Difference[] {
  return [...durableDifferences(config, trust), ...classDifferences(config, trust), ...siteDifferences(config, trust)]
}

/** ConfigError config/trust where there is any difference: what is kept how long is the root's word, not the configuration's. */
export function refuseDifferenceFromTrust(config: Config, trust: TrustBody): void {
  const differences = differencesFromTrust(config, trust)
  if (differences.length === 0) return
  const lines = differences.map(({ key, configured, signed }) => {
    return `${key}: the configuration says ${configured}, trust list ${String(trust.n)} says ${signed}`
  })
  throw new ConfigError("config/trust", lines.join("\n"), {
    hint: "sign the change on the operator's machine with `holdline key trust`, or take it back here",
  })
}

/** KeyError key/untrusted unless the newest list names this key for this agent. */
export function requireTrustedAgent(agentId: string, publicKey: string, trust: TrustBody): void {
  const list = `trust list ${String(trust.n)}`
  const known = trust.agents.filter(({ id }) => id === agentId)
  if (known.some(({ key, role }) => key === publicKey && role === "agent")) return
  const [other] = known
  const meant = nearest(
    agentId,
    trust.agents.map(({ id }) => id),
  )
  const why =
    other === undefined
      ? `${list} does not name it`
      : other.key === publicKey
        ? `${list} names its key as a ${other.role}'s`
        : `${list} has another key for it: ${fingerprintOf(other.key)} instead of ${fingerprintOf(publicKey)}`
  const request =
    "run `holdline init agent` here, hand the request to the operator (`holdline key trust REQUEST`), copy the new trust.json here"
  throw new KeyError("key/untrusted", `agent ${agentId}: ${why}`, {
    hint: other === undefined && meant !== undefined ? `is this host ${meant}? else ${request}` : request,
  })
}

function durableDifferences({ durable }: Config, trust: TrustBody): Difference[] {
  return [
    ...difference("durable.copies", durable.copies, trust.durable.copies),
    ...difference("durable.providers", durable.providers, trust.durable.providers),
  ]
}

function classDifferences(config: Config, trust: TrustBody): Difference[] {
  return Object.entries(config.classes).flatMap(([name, own]) => {
    const signed = new Map(Object.entries(trust.classes)).get(name)
    const key = `classes.${name}`
    if (signed === undefined) return [{ key, configured: `${String(own.days)} days`, signed: "nothing of this class" }]
    const kinds = [...new Set([...Object.keys(own.tier ?? {}), ...Object.keys(signed.tier)])].sort()
    const tiers = new Map(Object.entries(own.tier ?? {}))
    return [
      ...difference(`${key}.days`, own.days, signed.days),
      ...difference(`${key}.reuseDays`, own.reuseDays, signed.reuseDays),
      ...difference(`${key}.keyEpoch`, own.keyEpoch, signed.keyEpoch),
      ...kinds.flatMap((kind) => difference(`${key}.tier.${kind}`, tiers.get(kind), signed.tier[kind])),
    ]
  })
}

function siteDifferences(config: Config, trust: TrustBody): Difference[] {
  return Object.entries(config.sites).flatMap(([name, { provider }]) => {
    const signed = new Map(Object.entries(trust.sites)).get(name)
    if (signed === undefined) return [{ key: `sites.${name}`, configured: `provider ${provider}`, signed: "nothing of this site" }]
    return difference(`sites.${name}.provider`, provider, signed.provider)
  })
}

function difference(key: string, configured: string | number | undefined, signed: string | number | undefined): Difference[] {
  if (configured === signed) return []
  return [
    {
      key,
      configured: configured === undefined ? "nothing" : String(configured),
      signed: signed === undefined ? "nothing" : String(signed),
    },
  ]
}

/** What of a configuration the root signs. */
export function signedSettingsOf(config: Config): SignedSettings {
  const classes = Object.entries(config.classes).map(([name, { days, reuseDays, keyEpoch, tier = {} }]) => {
    const tiers = Object.entries(tier).flatMap(([kind, storage]) => (storage === undefined ? [] : [[kind, storage] as const]))
    return [name, { days, reuseDays, ...(keyEpoch === undefined ? {} : { keyEpoch }), tier: Object.fromEntries(tiers) }] as const
  })
  const sites = Object.entries(config.sites).map(([name, { provider, region, zone }]) => {
    return [name, { provider, region, ...(zone === undefined ? {} : { zone }) }] as const
  })
  return { classes: Object.fromEntries(classes), sites: Object.fromEntries(sites), durable: { ...config.durable } }
}
