import { timestamp } from "../clock.ts"
import { ConfigError, JobError, KeyError } from "../errors.ts"
import type { TrustBundle } from "../format/bundle.ts"
import { sshFingerprint, sshKeyType } from "../format/ssh-key.ts"
import { encodeTrust, type Person, type TrustBody, type TrustedClass, type TrustList } from "../format/trust.ts"
import type { SigningKey } from "../key/signing.ts"
import { fingerprintOf } from "../signature.ts"
import { type VerifiedTrust, verifyBundle } from "./trust-bundle.ts"
import type { TrustRequest } from "./trust-request.ts"

/** What the operator's configuration says and the root shall sign. */
export type SignedSettings = Pick<TrustBody, "classes" | "sites" | "durable">

export interface WantedTrust {
  readonly settings: SignedSettings
  /** Agents to believe from now on, each under its key. */
  readonly requests: readonly TrustRequest[]
  /** Ids of agents to believe no longer; what they signed before stays valid. */
  readonly removed: readonly string[]
  /** People who may approve from now on, each with one key; one who is named already gets this key and these roles instead. */
  readonly people: readonly Person[]
  /** Names of people who may approve no longer; what was recorded with their signatures before stays approved. */
  readonly removedPeople: readonly string[]
}

/** One line of the plan, before the root signs. */
export interface TrustChange {
  readonly sign: "+" | "~" | "-"
  /** Such as "agent pbx-fra-1", "class state-35: days", "durable: copies". */
  readonly what: string
  readonly before?: string
  readonly after?: string
  /** Less is promised than the last list that spoke of it did. */
  readonly weaker: boolean
}

export type TrustDraft = Omit<TrustBody, "v" | "crit" | "root">

/** The list after the newest: agents added or given new keys, settings replaced, recipients carried over. */
export function draftTrust(trust: VerifiedTrust, wanted: WantedTrust, now: Date): TrustDraft {
  const { v: _v, crit: _crit, root: _root, ...newest } = trust.newest.body
  const created = timestamp(now)
  if (created < newest.created) {
    throw new JobError("job/clock", `this machine's clock says ${created}, but trust list ${String(newest.n)} is of ${newest.created}`, {
      hint: "set the clock, then try again; nothing was signed",
    })
  }
  const { classes, sites, durable } = wanted.settings
  return {
    ...newest,
    ...{ n: newest.n + 1, prev: trust.newest.sha256, created, classes, sites, durable },
    agents: agentsAfter(trust, wanted, created),
    people: peopleAfter(trust, wanted),
  }
}

function peopleAfter({ newest, repository }: VerifiedTrust, { people, removedPeople, requests }: WantedTrust): TrustBody["people"] {
  const after = new Map(newest.body.people.map((person) => [person.name, person]))
  for (const name of removedPeople) {
    if (after.delete(name)) continue
    throw new ConfigError("config/not-found", `person ${name}: trust list ${String(newest.body.n)} does not name them`, {
      hint: `it names ${[...after.keys()].join(", ") || "nobody"}`,
    })
  }
  for (const person of people) {
    const machine = [...newest.body.agents, ...requests].some(({ key }) => key === person.key) || person.key === repository.root
    const other = [...after.values()].find((each) => each.name !== person.name && each.key === person.key)
    if (machine || other !== undefined) {
      throw new KeyError(
        "key/untrusted",
        `person ${person.name}: this key is ${other === undefined ? "the root's or an agent's" : `${other.name}'s`}`,
        {
          hint: "two people approve with two keys, and no machine approves for them: have this person make one with `ssh-keygen -t ed25519`",
        },
      )
    }
    after.set(person.name, person)
  }
  return [...after.values()].sort((a, b) => (a.name < b.name ? -1 : 1))
}

function agentsAfter({ newest, repository }: VerifiedTrust, { requests, removed }: WantedTrust, from: string): TrustBody["agents"] {
  const agents = new Map(newest.body.agents.map((agent) => [agent.id, agent]))
  for (const id of removed) {
    if (agents.delete(id)) continue
    throw new ConfigError("config/not-found", `agent ${id}: trust list ${String(newest.body.n)} does not name it`, {
      hint: `it names ${[...agents.keys()].join(", ") || "no agent"}`,
    })
  }
  for (const { agent: id, key } of requests) {
    const holder = [...agents.values()].find((other) => other.key === key && other.id !== id)
    if (holder !== undefined || key === repository.root) {
      throw new KeyError("key/untrusted", `request of ${id}: its key is ${holder === undefined ? "the root's" : `agent ${holder.id}'s`}`, {
        hint: "two hosts may not share a key, as after copying a machine: remove the key on the new host and run `holdline init agent` there",
      })
    }
    if (agents.get(id)?.key !== key) agents.set(id, { id, key, role: "agent", from })
  }
  return [...agents.values()].sort((a, b) => (a.id < b.id ? -1 : 1))
}

/** What a draft changes, agents first; [] where it would only repeat the newest list. */
export function planOf(lists: readonly TrustList[], draft: TrustDraft): TrustChange[] {
  const newest = lists.at(-1)?.body
  if (newest === undefined) throw new Error("no trust list")
  return [
    ...changes("agent", byName(newest.agents, "id"), byName(draft.agents, "id"), ({ key, role }) => ({
      [role === "agent" ? "key" : `${role}'s key`]: fingerprintOf(key),
    })),
    ...changes("person", byName(newest.people, "name"), byName(draft.people, "name"), (person) => ({
      [sshKeyType(person)]: sshFingerprint(person),
      "may approve": person.roles.join(" ") || "nothing",
    })),
    ...changes("class", new Map(Object.entries(newest.classes)), new Map(Object.entries(draft.classes)), classFacts).map((change) =>
      judged(change, lists, draft),
    ),
    ...changes("site", new Map(Object.entries(newest.sites)), new Map(Object.entries(draft.sites)), ({ provider, region, zone }) => ({
      provider,
      region,
      zone,
    })),
    ...(["copies", "providers"] as const).flatMap((key): TrustChange[] => {
      const [before, after] = [newest.durable[key], draft.durable[key]]
      if (before === after) return []
      return [{ sign: "~", what: `durable: ${key}`, before: String(before), after: String(after), weaker: after < before }]
    }),
  ]
}

/** ConfigError config/trust where the plan promises less than before and nobody said that this is meant. */
export function refuseWeaker(plan: readonly TrustChange[], n: number): void {
  const weaker = plan.filter((change) => change.weaker)
  if (weaker.length === 0) return
  const lines = weaker.map(({ what, before, after }) => `${what}: ${after ?? "nothing"} instead of ${before ?? "nothing"}`)
  throw new ConfigError("config/trust", `trust list ${String(n)} would promise less than the ones before it: ${lines.join("; ")}`, {
    hint: "restore the old values in the configuration, or repeat the command with --allow-weaker; what is kept already keeps its time",
  })
}

/** Signs the draft and adds it to the bundle, which is verified whole before anybody gets it. */
export function signTrust(trust: VerifiedTrust, draft: TrustDraft, root: SigningKey): VerifiedTrust {
  if (root.publicKey !== trust.repository.root) {
    throw new KeyError(
      "key/untrusted",
      `this root key is ${root.fingerprint}, the trust file's root is ${fingerprintOf(trust.repository.root)}`,
    )
  }
  const bundle: TrustBundle = { ...trust.bundle, lists: [...trust.lists.map(({ bytes }) => bytes), encodeTrust(draft, root)] }
  return verifyBundle(bundle, root.fingerprint, { n: trust.newest.body.n, sha256: trust.newest.sha256 })
}

type Facts = Readonly<Record<string, string | undefined>>

function classFacts({ days, reuseDays, keyEpoch, tier }: TrustedClass): Facts {
  const tiers = Object.entries(tier).map(([kind, storage]) => [`tier of ${kind}`, storage] as const)
  return {
    days: String(days),
    "days of reuse": reuseDays === 0 ? undefined : String(reuseDays),
    "new keys each": keyEpoch,
    ...Object.fromEntries(tiers),
  }
}

function changes<T>(
  what: string,
  before: ReadonlyMap<string, T>,
  after: ReadonlyMap<string, T>,
  factsOf: (value: T) => Facts,
): TrustChange[] {
  const names = [...new Set([...before.keys(), ...after.keys()])].sort()
  return names.flatMap((name): TrustChange[] => {
    const [old, young] = [before.get(name), after.get(name)]
    if (old === undefined && young === undefined) return []
    if (young === undefined && old !== undefined)
      return [{ sign: "-", what: `${what} ${name}`, before: factsText(factsOf(old)), weaker: false }]
    if (old === undefined && young !== undefined)
      return [{ sign: "+", what: `${what} ${name}`, after: factsText(factsOf(young)), weaker: false }]
    return old === undefined || young === undefined ? [] : factChanges(`${what} ${name}`, factsOf(old), factsOf(young))
  })
}

function factChanges(what: string, before: Facts, after: Facts): TrustChange[] {
  return [...new Set([...Object.keys(before), ...Object.keys(after)])]
    .filter((fact) => before[fact] !== after[fact])
    .map((fact) => ({ sign: "~", what: `${what}: ${fact}`, before: before[fact] ?? "none", after: after[fact] ?? "none", weaker: false }))
}

function factsText(facts: Facts): string {
  return Object.entries(facts)
    .flatMap(([fact, value]) => (value === undefined ? [] : [`${fact} ${value}`]))
    .join(", ")
}

// Compared with the last list that had the class, so that taking it out for one list is no way around.
function judged(change: TrustChange, lists: readonly TrustList[], draft: TrustDraft): TrustChange {
  const [, name = ""] = /^class ([^:]+)/.exec(change.what) ?? []
  const wanted = new Map(Object.entries(draft.classes)).get(name)
  const last = lists.findLast(({ body }) => Object.hasOwn(body.classes, name))
  const promised = new Map(Object.entries(last?.body.classes ?? {})).get(name)
  if (wanted === undefined || promised === undefined || wanted.days >= promised.days) return change
  if (change.sign === "~" && !change.what.endsWith(": days")) return change
  return { ...change, before: change.before ?? `days ${String(promised.days)}`, weaker: true }
}

function byName<K extends string, T extends Readonly<Record<K, string>>>(values: readonly T[], key: K): ReadonlyMap<string, T> {
  return new Map(values.map((value) => [value[key], value]))
}
