import { mkdirSync } from "node:fs"
import { join } from "node:path"
import type { Identity } from "../../src/key/recipient.ts"
import type { Random } from "../../src/random.ts"
import type { Outcome, RunReport } from "../../src/report/run.ts"
import { type MemoryObjects, memorySite } from "../../src/site/memory.ts"
import { openedRetrying } from "../../src/site/retry.ts"
import { WorkerPool } from "../../src/stream/pool.ts"
import type { Tree } from "../fault/closure.ts"
import { jobOf, type Lab, openLab, vaultSites } from "../operation/lab.ts"
import { Dice } from "../world/dice.ts"
import { CallArchive, type Capturing } from "./calls.ts"
import { Configuration } from "./config.ts"
import { bringHome } from "./home.ts"
import { Host } from "./host.ts"
import {
  type Damage,
  type Death,
  type FaultKind,
  faultKinds,
  makePlan,
  type Plan,
  type SiteName,
  type SourceTrouble,
  siteNames,
} from "./plan.ts"
import { differences } from "./truth.ts"
import { Watch } from "./watch.ts"
import { Weather } from "./weather.ts"

export interface SimulationOptions {
  readonly seed: string
  /** At least two: the last one is quiet. */
  readonly days: number
  /** Customers whose calls are kept. */
  readonly accounts: number
  /** Where files are made; a file system in memory makes it faster. */
  readonly parent: string
}

export interface Simulated {
  readonly seed: string
  readonly days: number
  readonly runs: Readonly<Record<Outcome | "killed", number>>
  readonly commits: number
  readonly files: number
  readonly faults: readonly { readonly kind: FaultKind; readonly planned: number; readonly met: number }[]
}

const hourMs = 3_600_000
const start = new Date("2031-03-01T00:00:00Z")
/** The configuration is kept every so many hours. */
const configurationEvery = 12
/** Damage is found and repaired some hours after it was done. */
const repairAfterHours = 3
/** On the quiet day, so long before its end, every copy is read once: what rotted before any commit needed it is nobody's to see earlier. */
const lastRepairHours = 12

/** Something that must never be was seen. */
class Broken extends Error {
  constructor(seed: string, hour: number, problems: readonly string[]) {
    const [day, rest] = [Math.floor(hour / 24), hour % 24]
    const shown = problems.slice(0, 10).join("\n  ")
    super(`seed ${seed}, day ${String(day)}, hour ${String(rest)}: ${String(problems.length)} problems\n  ${shown}`)
    this.name = "Broken"
  }
}

/**
 * An operator's month: hourly runs of an agent against three sites while sites go away, calls fail, objects are lost or rot, and processes
 * die. Everything is real but the sites and the time, and what happens when follows from the seed; only encryption is random. Throws
 * Broken at the first hour after which something is not as FORMAT.md's invariants say, or, at the end, not at every site.
 */
export async function simulate(options: SimulationOptions): Promise<Simulated> {
  await using stack = new AsyncDisposableStack()
  const pool = stack.use(new WorkerPool(1))
  const dice = new Dice(`${options.seed} keys`)
  const random: Random = { bytes: (length) => dice.bytes(length) }
  const lab = stack.use(await openLab({ now: start, pool, parent: options.parent, random }))
  const month = new Month(lab, options)
  stack.defer(() => month.end())
  return await month.pass()
}

class Month {
  readonly #lab: Lab
  readonly #seed: string
  readonly #days: number
  readonly #dice: Dice
  readonly #plan: Plan
  readonly #objects = new Map<SiteName, MemoryObjects>(siteNames.map((name) => [name, new Map()]))
  readonly #weather: Weather
  readonly #watch: Watch
  readonly #calls: CallArchive
  readonly #configuration: Configuration
  readonly #host: Host
  readonly #runs = { ok: 0, partial: 0, failed: 0, killed: 0 }
  readonly #met = new Map<FaultKind, number>()
  #deaths: readonly Death[]
  #damages: readonly Damage[]
  #troubles: readonly SourceTrouble[]
  #unrepaired: Damage | null = null
  /** Commits that are at no site yet. */
  readonly #waiting = new Set<string>()
  #hour = 0

  constructor(lab: Lab, { seed, days, accounts }: SimulationOptions) {
    this.#lab = lab
    this.#seed = seed
    this.#days = days
    this.#dice = new Dice(`${seed} events`)
    this.#plan = makePlan(new Dice(`${seed} plan`), days)
    this.#deaths = this.#plan.deaths
    this.#damages = this.#plan.damages
    this.#troubles = this.#plan.troubles
    this.#weather = new Weather(this.#plan, lab.clock)
    this.#watch = new Watch(this.#objects, lab.agentKey.publicKey)
    this.#calls = new CallArchive(this.#directory("calls"), new Dice(`${seed} calls`), accounts)
    this.#configuration = new Configuration(this.#directory("configuration"), new Dice(`${seed} configuration`))
    this.#host = new Host(lab, this.#sites())
  }

  #directory(name: string): string {
    const path = join(this.#lab.directory, name)
    mkdirSync(path)
    return path
  }

  #sites() {
    const { clock } = this.#lab
    const dice = new Dice(`${this.#seed} retries`)
    const policy = {
      attempts: 3,
      firstDelayMs: 500,
      maxDelayMs: 5000,
      callTimeoutMs: 120_000,
      patienceMs: 300_000,
      retryAfterMaxMs: 60_000,
    }
    const world = { random: { bytes: (length: number) => dice.bytes(length) }, sleep: async (ms: number) => clock.advance(ms) }
    const opened = siteNames.map((name) => {
      const site = this.#weather.around(name, memorySite(name, clock, this.#objects.get(name)), (key) => this.#watch.placed(name, key))
      return [name, openedRetrying(site, policy, world)] as const
    })
    return vaultSites(Object.fromEntries(opened))
  }

  end(): void {
    this.#host.close()
  }

  async pass(): Promise<Simulated> {
    const moments = [0.3, 0.6].map((share) => Math.floor((share + this.#dice.next() / 4) * this.#days * 24))
    const asOf: number[] = []
    for (this.#hour = 0; this.#hour < this.#days * 24; this.#hour++) {
      await this.#passHour()
      if (this.#hour === this.#days * 24 - lastRepairHours) await this.#repairAll()
      this.#refuse(this.#watch.problems)
      if (moments.includes(this.#hour)) asOf.push(this.#lab.clock.now().getTime())
    }
    this.#watch.converged()
    this.#refuse(this.#watch.problems)
    const now = this.#lab.clock.now().getTime()
    const { operations, escrow } = this.#lab
    for (const site of siteNames) await this.#compare([site], now, site === "a" ? escrow : operations)
    for (const moment of asOf) await this.#compare(siteNames, moment, operations)
    return this.#summary()
  }

  #refuse(problems: readonly string[]): void {
    if (problems.length > 0) throw new Broken(this.#seed, this.#hour, problems)
  }

  async #passHour(): Promise<void> {
    const { clock } = this.#lab
    const hour = new Date(start.getTime() + this.#hour * hourMs)
    if (clock.now() < hour) clock.set(hour)
    this.#weather.begin(this.#hour)
    this.#calls.live(hour)
    this.#configuration.live(hour)
    const trouble = this.#troubles.find((each) => each.hour <= this.#hour)
    const source = this.#calls.capturing(hour, trouble?.kind ?? null)
    const report = await this.#runCalls(source)
    if (report !== null) this.#judge(report, source)
    if (report !== null && report.outcome !== "failed") this.#weather.calm = false
    // A run that failed for another reason says nothing of this one.
    if (trouble !== undefined && (report?.outcome === "partial" || (report !== null && source.failed))) {
      this.#troubles = this.#troubles.filter((each) => each !== trouble)
      this.#meet(trouble.kind)
    }
    if (this.#hour % configurationEvery === 0) {
      this.#weather.forget()
      this.#judge(await this.#host.run(jobOf({ mode: "state" }), this.#configuration), this.#configuration)
    }
    await this.#damageAndRepair()
  }

  async #runCalls(source: Capturing): Promise<RunReport | null> {
    const death = this.#deaths.find(({ hour }) => hour <= this.#hour)
    if (death === undefined) return await this.#host.run(jobOf({}), source)
    const report = await this.#host.runUntil(death, jobOf({}), source)
    this.#deaths = this.#deaths.filter((each) => each !== death)
    if (report === null) {
      this.#meet(death.kind)
      this.#runs.killed += 1
      if (death.kind === "killed, host lost") this.#waiting.clear()
      // An agent without memory takes for its log what the sites say that answer: it begins again while all of them do.
      if (death.kind !== "killed") this.#weather.calm = true
      // It came later than the run ended: the next one dies earlier.
    } else this.#deaths = [...this.#deaths, { ...death, call: Math.ceil(death.call / 2) }]
    return report
  }

  #meet(kind: FaultKind): void {
    this.#met.set(kind, (this.#met.get(kind) ?? 0) + 1)
  }

  /** Whether a run said what happened: no more than is true, and no failure where nothing justifies one. */
  #judge(report: RunReport, source: { promise(now: number): void; readonly missed?: boolean; readonly failed?: boolean }): void {
    const { outcome, commits } = report
    this.#runs[outcome] += 1
    this.#watch.reported(report)
    const problems: string[] = []
    const said = `${report.job} ended ${outcome}`
    const why = JSON.stringify({ failure: report.failure, warnings: report.warnings, commits })
    // What a damaged site lacks may be what another needs.
    const troubled = new Set([...this.#weather.troubled.keys(), ...(this.#unrepaired === null ? [] : [this.#unrepaired.site])]).size
    const { missed = false, failed = false } = source
    if (outcome !== "failed" && (failed || commits.length === 0)) problems.push(`${said}, and its source failed`)
    if (outcome !== "failed" && (outcome === "partial") !== missed) problems.push(`${said}, items missed: ${String(missed)}: ${why}`)
    if (outcome === "failed" && !failed && troubled < 2) problems.push(`${said}, with trouble at ${String(troubled)} sites: ${why}`)
    this.#refuse(problems)
    for (const { sha256, waits } of commits) if (waits) this.#waiting.add(sha256)
    for (const sha256 of this.#waiting) if (this.#watch.has(sha256)) this.#waiting.delete(sha256)
    // No snapshot counts as older than one before it in the log: as of which moment it is found is known once that one is at a site.
    if (outcome !== "failed" && this.#waiting.size === 0) source.promise(this.#lab.clock.now().getTime())
  }

  async #damageAndRepair(): Promise<void> {
    const damage = this.#damages.find(({ hour }) => hour <= this.#hour)
    if (this.#unrepaired === null && damage !== undefined) {
      this.#damages = this.#damages.filter((each) => each !== damage)
      this.#do(damage)
      this.#unrepaired = { ...damage, hour: this.#hour }
    } else if (this.#unrepaired !== null && this.#hour >= this.#unrepaired.hour + repairAfterHours) await this.#repair(this.#unrepaired)
  }

  #do({ kind, site, objects: count }: Damage): void {
    const objects = this.#objects.get(site) ?? new Map()
    // What only one site has is durable nowhere, and promised to nobody.
    const others = [...this.#objects].filter(([name]) => name !== site)
    const keys = [...objects.keys()].filter((key) => others.some(([, there]) => there.has(key)))
    for (let done = 0; done < count; done++) {
      const [key] = keys.splice(this.#dice.between(0, keys.length - 1), 1)
      const kept = key === undefined ? undefined : objects.get(key)
      if (key === undefined || kept === undefined) continue
      if (kind === "objects lost") objects.delete(key)
      else {
        const bytes = Uint8Array.from(kept.bytes)
        const at = this.#dice.between(0, bytes.length - 1)
        bytes[at] = (bytes[at] ?? 0) ^ 1
        objects.set(key, { ...kept, bytes })
      }
    }
    this.#meet(kind)
  }

  // A repair that cannot mend all of it now is begun again in the next hour.
  async #repair({ site, kind }: Damage): Promise<void> {
    this.#weather.forget()
    const report = await this.#host.repair(kind === "objects rotten")
    if (report === null && this.#weather.troubled.size < siteNames.length) this.#refuse(["a repair found no site, though one was there"])
    if (report === null) return
    this.#refuse(report.lost.map(({ object, detail }) => `lost: ${object}: ${detail}`))
    const mended = report.sites.find((each) => each.site === site)
    if (mended?.unreadable === null && mended.remaining === 0) this.#unrepaired = null
  }

  async #repairAll(): Promise<void> {
    const report = await this.#host.repair(true)
    if (report?.outcome !== "ok") this.#refuse([`the last repair: ${JSON.stringify(report)}`])
  }

  /** What comes home from these sites alone is what it was. */
  async #compare(sites: readonly SiteName[], moment: number, identity: Identity): Promise<void> {
    const left = new Map([...this.#objects].filter(([name]) => sites.includes(name)))
    const calls = await bringHome(this.#lab, { dataset: "call-recordings", identity, moment, sites: left })
    const configuration = await bringHome(this.#lab, { dataset: "switch-config", identity, moment, sites: left })
    const problems = [...calls.problems, ...configuration.problems, ...differences(calls.files, this.#calls.pasts, moment)]
    const { values, absent } = this.#configuration.past.allowedAt(moment)
    const allowed = absent ? [...values, new Map<string, string>()] : values
    if (!allowed.some((tree) => isSame(tree, configuration.files))) problems.push("switch-config: never was like this")
    const from = `from ${sites.join(", ")} as of ${new Date(moment).toISOString()}`
    this.#refuse(problems.map((problem) => `${from}: ${problem}`))
  }

  #summary(): Simulated {
    const planned = [...this.#plan.outages, ...this.#plan.bursts, ...this.#plan.damages, ...this.#plan.deaths, ...this.#plan.troubles]
    return {
      ...{ seed: this.#seed, days: this.#days, runs: this.#runs, commits: this.#watch.commits, files: this.#calls.pasts.size },
      faults: faultKinds.map((kind) => ({
        kind,
        planned: planned.filter((fault) => fault.kind === kind).length,
        met: this.#weather.met(kind) + (this.#met.get(kind) ?? 0),
      })),
    }
  }
}

function isSame(a: Tree, b: Tree): boolean {
  return a.size === b.size && [...a].every(([path, looks]) => b.get(path) === looks)
}
