import type { Command } from "commander"
import { BackupError, ConfigError } from "../errors.ts"
import { repositoryPrefix, trustPrefix } from "../format/names.ts"
import { table } from "../report/table.ts"
import { visible } from "../report/visible.ts"
import { openSite } from "../site/open.ts"
import type { SiteSettings } from "../site/settings.ts"
import type { OpenedSite } from "../site/site.ts"
import { formatDuration } from "../units.ts"
import { nearest } from "../wiring/suggest.ts"
import type { Bench } from "./bench.ts"
import { exitCodes } from "./exit.ts"
import { manual } from "./manual.ts"

export function addSiteCommands(program: Command, bench: Bench): void {
  const site = program
    .command("site")
    .helpGroup("Sites")
    .summary("list and check the sites")
    .description("Lists and checks the places where packs are kept.")
  addList(site, bench)
  addCheck(site, bench)
}

function addList(site: Command, bench: Bench): void {
  const command = site
    .command("list")
    .summary("list the sites")
    .description("Lists the sites of the configuration, without asking any of them.")
    .action(async () => {
      const { config, jobs } = await bench.load()
      const usedBy = (name: string): string[] => [...jobs.values()].filter((job) => job.sites.includes(name)).map((job) => job.name)
      const sites = Object.entries(config.sites)
      const rows = sites.map(([name, settings]) => [
        ...[name, settings.kind, settings.provider, settings.region, settings.zone ?? "", placeOf(settings)],
        String(usedBy(name).length),
      ])
      bench.out(...table(["SITE", "KIND", "PROVIDER", "REGION", "ZONE", "PLACE", ">JOBS"], rows))
      for (const [name, settings] of sites) {
        const { kind, provider, region, zone } = settings
        bench.record("site", { name, kind, provider, region, zone, place: placeOf(settings), jobs: usedBy(name) })
      }
      bench.record("summary", { command: "site list", sites: sites.length })
    })
  manual(command, {
    examples: [["holdline site list", "all sites"]],
    reads: "the configuration",
    writes: "nothing",
    exits: ["done", "usage", "notFound"],
  })
}

function addCheck(site: Command, bench: Bench): void {
  const command = site
    .command("check")
    .summary("see whether sites can be used")
    .description("Asks sites whether they answer, which clock they have, and whether they hold what every site must hold.")
    .argument("[site...]", "names of sites; all of them where none is given")
    .option("--timeout <duration>", "end after this long, such as 1m")
    .action((names: string[], { timeout }: { timeout?: string }) => {
      bench.limitTime(timeout)
      return checkSites(names, bench)
    })
  manual(command, {
    examples: [
      ["holdline site check", "every site"],
      ["holdline site check gcs-bru", "one of them"],
    ],
    reads: "a listing of each site's first objects; no pack",
    writes: "nothing",
    exits: ["done", "usage", "notFound", "findings", "timeout", "interrupted"],
  })
}

/** What a check found at one site; `finding` is what somebody should act on. */
interface SiteCheck {
  readonly site: string
  readonly seconds: number
  readonly createOnly?: boolean
  readonly clockDiffersSeconds?: number
  readonly repositories?: number
  readonly trustLists?: number
  readonly finding?: { readonly code: string; readonly message: string; readonly hint?: string | undefined }
}

async function checkSites(names: readonly string[], bench: Bench): Promise<void> {
  const { config } = await bench.load()
  const known = Object.keys(config.sites)
  for (const name of names) if (!known.includes(name)) throw unknownSite(name, known)
  const chosen = Object.entries(config.sites).filter(([name]) => names.length === 0 || names.includes(name))
  const checks = await Promise.all(chosen.map(([name, settings]) => checkSite(name, settings, bench)))
  bench.signal.throwIfAborted()

  for (const check of checks) {
    bench.record("site", check)
    bench.out(...checkText(check, bench))
  }
  const findings = checks.filter(({ finding }) => finding !== undefined).length
  if (findings > 0) bench.ends("findings")
  bench.record("summary", { command: "site check", exit: exitCodes[bench.exit].code, sites: checks.length, findings })
}

async function checkSite(name: string, settings: SiteSettings, bench: Bench): Promise<SiteCheck> {
  const { clock, random, signal } = bench
  const started = clock.now().getTime()
  const seconds = (): number => (clock.now().getTime() - started) / 1000
  try {
    const opened = await openSite({ name, settings, readOnly: true, signal }, { random, sleep: bench.sleep })
    const found = await look(opened, bench)
    return { site: name, seconds: seconds(), ...found }
  } catch (error) {
    if (!(error instanceof BackupError)) throw error
    const { code, message, hint } = error
    return { site: name, seconds: seconds(), finding: { code, message, hint } }
  }
}

async function look(opened: OpenedSite, { clock, signal }: Bench): Promise<Omit<SiteCheck, "site" | "seconds">> {
  const { site, createOnly, ownClock } = opened
  const now = clock.now().getTime()
  const clockDiffersSeconds = ownClock ? ((await opened.serverTime({ signal })).getTime() - now) / 1000 : 0
  const objects = {
    repositories: await countBelow(opened, repositoryPrefix, signal),
    trustLists: await countBelow(opened, trustPrefix, signal),
  }
  const found = { createOnly, clockDiffersSeconds, ...objects }
  if (Math.abs(clockDiffersSeconds) > clockDiffersSecondsMax) {
    const message = `${site.name}: its clock differs from this host's by ${formatDuration(Math.abs(clockDiffersSeconds) * 1000)}`
    return { ...found, finding: { code: "job/clock", message, hint: "set this host's clock, best with NTP" } }
  }
  if (objects.repositories > 1) {
    const message = `${site.name}: ${String(objects.repositories)} repositories share it`
    return { ...found, finding: { code: "format/foreign", message, hint: "give each repository a bucket or a directory of its own" } }
  }
  return found
}

/** Beyond this, commits would be refused for their time. */
const clockDiffersSecondsMax = 300
/** More are not counted: one is right. */
const countedMax = 1000

async function countBelow({ site }: OpenedSite, prefix: string, signal: AbortSignal): Promise<number> {
  let found = 0
  for await (const _ of site.list(prefix, { signal })) {
    found += 1
    if (found === countedMax) break
  }
  return found
}

function checkText({ site, seconds, finding, repositories = 0, trustLists = 0 }: SiteCheck, { paint }: Bench): string[] {
  const took = formatDuration(seconds * 1000)
  if (finding !== undefined) {
    const { message, hint } = finding
    return [`${paint.status("bad", "finding")}  ${visible(message)}`, ...(hint === undefined ? [] : [`   ${paint.next(hint)}`])]
  }
  const holds =
    repositories === 0 ? "empty: the first run writes the repository and the trust list" : `repository, trust list ${String(trustLists)}`
  return [`${paint.status("good", "answers")}  ${site}: ${holds}, ${took}`]
}

function placeOf(settings: SiteSettings): string {
  return settings.kind === "directory" ? settings.path : settings.bucket
}

function unknownSite(name: string, known: readonly string[]): ConfigError {
  const meant = nearest(name, known)
  const hint = meant === undefined ? `the sites are ${known.join(", ")}` : `did you mean ${meant}?`
  return new ConfigError("config/not-found", `no such site: ${name}`, { hint })
}
