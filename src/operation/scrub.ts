import { scrubsOf } from "../catalog/scrubs.ts"
import { timestamp } from "../clock.ts"
import { VaultError } from "../errors.ts"
import { inFlightBytesMax, packBytesMax, upkeepPortionMax } from "../limits.ts"
import type { ScrubReport } from "../report/scrub.ts"
import type { Rung, RungReport } from "../report/verify.ts"
import { count } from "../units.ts"
import { isDurable, sitesChosen } from "../vault/vault.ts"
import { Ladder } from "./ladder.ts"
import type { AgentLog } from "./logs.ts"
import { type OwedObject, owedOf, portionsOf } from "./owed.ts"
import type { Reading } from "./rolling.ts"
import { SiteLook } from "./site-look.ts"
import { beginRounds } from "./upkeep.ts"
import type { UpkeepWorld } from "./world.ts"

export interface ScrubRequest {
  readonly reading: Reading
  /** Only these sites; absent: all. */
  readonly sites?: readonly string[] | undefined
}

const scrubbed = ["present", "checksummed", "hashed"] as const satisfies readonly Rung[]

/**
 * Looks at every object that a commit, a register or the root says must be at a site: whether it is there, whether the provider's own
 * checksum fits its name, and, of the part whose turn it is, whether its bytes do. Needs no key and changes nothing at any site;
 * what is wrong is remembered, so that a repair knows what to replace.
 */
export async function scrub(request: ScrubRequest, outer: UpkeepWorld): Promise<ScrubReport> {
  const started = outer.clock.now()
  const warnings: string[] = []
  const told: UpkeepWorld = {
    ...outer,
    tell(event) {
      if (event.type === "warning" || event.type === "failover") warnings.push(event.message)
      outer.tell(event)
    },
  }
  const named = sitesChosen(outer.vault, request.sites)
  const { world, logs } = await beginRounds(told)
  const chosen = world.vault.sites.filter((site) => named.includes(site))
  const ladder = new Ladder()
  judgeLogs(logs, ladder, world)
  const before = new Map(scrubsOf(world.catalog).map((scrub) => [scrub.site, scrub]))
  const readers = Math.max(1, Math.floor(inFlightBytesMax / packBytesMax / Math.max(1, chosen.length)))
  const looks = chosen.map((site) => {
    return new SiteLook(site, { world, ladder, started, readers, reading: request.reading, before: before.get(site.name) })
  })
  for (const { site, message } of logs.flatMap(({ unreadable }) => unreadable)) looks.find(({ name }) => name === site)?.giveUp(message)
  const short = await lookAtAll(looks, owedOf(logs, world, []), world)

  const sites = looks.map((look) => look.end())
  const owed = sites.reduce((sum, { objects }) => sum + objects, 0)
  const rungs = rungsOf(ladder, owed)
  return {
    outcome: ladder.findingCount === 0 ? "ok" : "findings",
    proven: ladder.findingCount === 0 ? provenOf(rungs, owed) : null,
    sites,
    short: chosen.length === world.vault.sites.length ? short : null,
    rungs,
    findings: ladder.findings,
    findingCount: ladder.findingCount,
    started: timestamp(started),
    seconds: (world.clock.now().getTime() - started.getTime()) / 1000,
    warnings,
  }
}

/** What the logs themselves lack. Who writes something else into a log is told of, and can do no more. */
function judgeLogs(logs: readonly AgentLog[], ladder: Ladder, world: UpkeepWorld): void {
  for (const { agent, refused, missing } of logs) {
    for (const { key, error } of refused) {
      if (error instanceof VaultError) ladder.failed({ rung: "hashed", object: key, detail: error.message })
      else world.tell({ type: "warning", message: `${key}: not believed: ${error.message}` })
    }
    if (missing === 0) continue
    const detail = `${count(missing, "commit")} of it at no site that answers`
    ladder.failed({ rung: "present", object: `log of ${agent}`, detail })
  }
}

/** An object and the sites that must have it; absent: all. */
interface Wanted extends OwedObject {
  readonly sites?: ReadonlySet<string>
  readonly shared?: boolean
}

/** Resolves to how many objects have fewer good copies than were promised. */
async function lookAtAll(looks: readonly SiteLook[], owed: ReturnType<typeof owedOf>, world: UpkeepWorld): Promise<number> {
  let short = 0
  const met = new Set<string>()
  async function lookAt(objects: readonly Wanted[]): Promise<void> {
    const fresh = objects.filter((object) => isFresh(object, met))
    await Promise.all(looks.map((look) => look.at(fresh.filter(({ sites }) => sites?.has(look.name) ?? true))))
    for (const { key } of fresh) if (!isDurable(holdersOf(key, looks), world.vault)) short += 1
    tellProgress(looks, world)
  }
  await lookAt(owed.roots.map(({ key, bytes }) => ({ key, length: bytes.length })))
  const keys = owed.keys.filter(({ mayBeGone }) => mayBeGone !== true)
  for (let start = 0; start < keys.length; start += upkeepPortionMax) await lookAt(keys.slice(start, start + upkeepPortionMax))
  for (const { packs, commits } of portionsOf(owed.commits, upkeepPortionMax)) await lookAt([...packs, ...commits])
  return short
}

// A state lists the same packs run after run: they are looked at once. By their sites too, as jobs may change these.
function isFresh({ key, sites = new Set(), shared = false }: Wanted, met: Set<string>): boolean {
  const id = [key, ...sites].join(" ")
  if (met.has(id)) return false
  if (shared) met.add(id)
  return true
}

function holdersOf(key: string, looks: readonly SiteLook[]): string[] {
  return looks.filter((look) => look.hasGood(key)).map(({ name }) => name)
}

function tellProgress(looks: readonly SiteLook[], world: UpkeepWorld): void {
  const sum = (field: "objects" | "readBytes"): number => looks.reduce((total, { seen }) => total + seen[field], 0)
  world.tell({
    type: "progress",
    progress: { phase: "scrubbing", files: sum("objects"), bytes: sum("readBytes"), unchanged: 0, noun: "object" },
  })
}

function rungsOf(ladder: Ladder, owed: number): RungReport[] {
  ladder.skip(
    "checksummed",
    "not-applicable",
    "these sites tell no checksum of their own that can be compared; hashed reads the bytes instead",
  )
  ladder.skip("hashed", "not-checked", "of these objects none had its turn")
  const reports = ladder.report(() => ["object at a site", "objects at sites"])
  return reports.flatMap((report) => {
    if (!scrubbed.some((rung) => rung === report.rung)) return []
    const isPart = report.rung !== "present" && report.checked > 0 && report.checked < owed
    return [isPart ? { ...report, detail: `${report.detail}, of ${owed.toLocaleString("en-US")}` } : report]
  })
}

/** What part of the objects reached is no rung that all of them did. */
function provenOf(rungs: readonly RungReport[], owed: number): Rung | null {
  return rungs.findLast(({ result, checked }) => result === "passed" && checked >= owed)?.rung ?? null
}
