import type { Command } from "commander"
import { BackupError, ConfigError } from "../errors.ts"
import { repositoryPrefix, trustPrefix } from "../format/names.ts"
import { type Ability, tryAbilities } from "../operation/abilities.ts"
import { examinePosture, summaryOf } from "../operation/posture.ts"
import { table } from "../report/table.ts"
import { visible } from "../report/visible.ts"
import { openSite } from "../site/open.ts"
import type { SitePosture } from "../site/posture.ts"
import type { SiteSettings } from "../site/settings.ts"
import type { OpenedSite } from "../site/site.ts"
import { formatDuration } from "../units.ts"
import type { Config } from "../wiring/schema.ts"
import { nearest } from "../wiring/suggest.ts"
import type { Bench } from "./bench.ts"
import { exitCodes } from "./exit.ts"
import { manual } from "./manual.ts"

interface CheckOptions {
  readonly timeout?: string
  readonly readOnly?: true
}

export function addSiteCheckCommand(site: Command, bench: Bench): void {
  const command = site
    .command("check")
    .summary("see whether sites can be used, and what they cannot do")
    .description(
      "Asks sites whether they answer, which clock they have, what is set at their buckets, and whether they hold what every site must " +
        "hold. Sites that are named are also tried: what each cannot do is said, and what follows. For that, four objects of a hundred " +
        "bytes are kept below v1/AGENT/check/, the same ones each time, and stay there.",
    )
    .argument("[site...]", "names of sites to try; without any, all are asked and none is tried")
    .option("--read-only", "write nothing; so it is on a host that only restores")
    .option("--timeout <duration>", "end after this long, such as 1m")
    .action(async (names: string[], options: CheckOptions) => {
      bench.limitTime(options.timeout)
      await checkSites(names, options, bench)
    })
  manual(command, {
    examples: [
      ["holdline site check", "ask every site, without writing anything"],
      ["holdline site check gcs-bru", "try one: a table of what it can do"],
      ["holdline site check s3-dub --read-only", "ask it, and what is set at its buckets"],
    ],
    reads: "a listing of each site's first objects, and what is set at its buckets; no pack",
    writes: "four small objects at each site that is named, the same ones each time; nothing with --read-only",
    exits: ["done", "usage", "notFound", "findings", "timeout", "interrupted"],
  })
}

interface SiteFinding {
  readonly code: string
  readonly message: string
  readonly hint?: string | undefined
}

/** What a check found at one site; `findings` are what somebody should act on. */
interface SiteCheck {
  readonly site: string
  readonly seconds: number
  readonly createOnly?: boolean
  readonly clockDiffersSeconds?: number
  readonly repositories?: number
  readonly trustLists?: number
  readonly posture?: SitePosture
  readonly abilities?: readonly Ability[]
  readonly notes: readonly SiteFinding[]
  readonly findings: readonly SiteFinding[]
}

async function checkSites(names: readonly string[], options: CheckOptions, bench: Bench): Promise<void> {
  const { config } = await bench.load()
  for (const name of names) siteSettingsOf(name, config)
  const chosen = Object.entries(config.sites).filter(([name]) => names.length === 0 || names.includes(name))
  const isTried = names.length > 0 && options.readOnly !== true && config.signingKey !== undefined
  const checks = await Promise.all(chosen.map(([name, settings]) => checkSite({ name, settings, config, isTried }, bench)))
  bench.signal.throwIfAborted()

  for (const check of checks) {
    bench.record("site", check)
    bench.out(...checkText(check, bench))
  }
  const findings = checks.reduce((sum, check) => sum + check.findings.length, 0)
  if (findings > 0) bench.ends("findings")
  bench.record("summary", { command: "site check", exit: exitCodes[bench.exit].code, sites: checks.length, findings })
}

interface Checked {
  readonly name: string
  readonly settings: SiteSettings
  readonly config: Config
  readonly isTried: boolean
}

async function checkSite({ name, settings, config, isTried }: Checked, bench: Bench): Promise<SiteCheck> {
  const { clock, random, sleep, signal } = bench
  const started = clock.now().getTime()
  const seconds = (): number => (clock.now().getTime() - started) / 1000
  try {
    const opened = await openSite({ name, settings, readOnly: !isTried, signal }, { clock, random, sleep })
    const found = await look(opened, bench)
    const set = await setAt(opened, settings, signal)
    const lock = settings.kind === "directory" ? undefined : settings.lock
    const abilities = isTried ? await tryAbilities(opened, { agent: config.agent, lock, signal }) : undefined
    const cannot = (abilities ?? []).flatMap(({ ability, text, isFinding }) =>
      isFinding ? [{ code: "site/unsupported", message: `${name}: ${ability}: no: ${text}` }] : [],
    )
    return {
      ...{ site: name, seconds: seconds(), ...found, notes: set.notes },
      ...(set.posture !== undefined && { posture: set.posture }),
      ...(abilities !== undefined && { abilities }),
      findings: [...found.findings, ...set.findings, ...cannot],
    }
  } catch (error) {
    if (!(error instanceof BackupError)) throw error
    const { code, message, hint } = error
    return { site: name, seconds: seconds(), notes: [], findings: [{ code, message, hint }] }
  }
}

async function look(opened: OpenedSite, { clock, signal }: Bench) {
  const { site, createOnly, ownClock } = opened
  const now = clock.now().getTime()
  const clockDiffersSeconds = ownClock ? ((await opened.serverTime({ signal })).getTime() - now) / 1000 : 0
  const repositories = await countBelow(opened, repositoryPrefix, signal)
  const trustLists = await countBelow(opened, trustPrefix, signal)
  const findings: SiteFinding[] = []
  if (Math.abs(clockDiffersSeconds) > clockDiffersSecondsMax) {
    const message = `${site.name}: its clock differs from this host's by ${formatDuration(Math.abs(clockDiffersSeconds) * 1000)}`
    findings.push({ code: "job/clock", message, hint: "set this host's clock, best with NTP" })
  }
  if (repositories > 1) {
    const message = `${site.name}: ${String(repositories)} repositories share it`
    findings.push({ code: "format/foreign", message, hint: "give each repository a bucket or a directory of its own" })
  }
  return { createOnly, clockDiffersSeconds, repositories, trustLists, findings }
}

interface SetAt {
  readonly posture?: SitePosture
  readonly notes: readonly SiteFinding[]
  readonly findings: readonly SiteFinding[]
}

async function setAt(opened: OpenedSite, settings: SiteSettings, signal: AbortSignal): Promise<SetAt> {
  if (opened.posture === undefined || settings.kind === "directory") return { notes: [], findings: [] }
  const posture = await opened.posture({ signal })
  const { name } = opened.site
  const all = examinePosture(name, posture, settings)
  const of = (state: "wrong" | "note") =>
    all.flatMap((finding) =>
      finding.state === state ? [{ code: "site/posture", message: `${name}: ${finding.text}`, hint: finding.hint }] : [],
    )
  return { posture, notes: of("note"), findings: of("wrong") }
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

function checkText(check: SiteCheck, { paint }: Bench): string[] {
  const { site, seconds, findings, notes, posture, abilities = [], repositories, trustLists = 0 } = check
  const holds =
    repositories === 0 ? "empty: the first run writes the repository and the trust list" : `repository, trust list ${String(trustLists)}`
  const answers = `${paint.status("good", "answers")}  ${site}: ${holds}, ${formatDuration(seconds * 1000)}`
  return [
    ...(repositories === undefined ? [] : [answers]),
    ...(posture === undefined ? [] : [posture.packs, posture.keys].map((bucket) => `   ${bucket.bucket}: ${visible(summaryOf(bucket))}`)),
    ...findings.flatMap(({ message, hint }) => [
      `${paint.status("bad", "finding")}  ${visible(message)}`,
      ...(hint === undefined ? [] : [`   ${paint.next(hint)}`]),
    ]),
    ...notes.flatMap(({ message, hint }) => [
      `${paint.status("attention", "note")}  ${visible(message)}`,
      ...(hint === undefined ? [] : [`   ${paint.next(hint)}`]),
    ]),
    ...(abilities.length === 0 ? [] : abilityLines(abilities)),
  ]
}

function abilityLines(abilities: readonly Ability[]): string[] {
  const rows = abilities.map(({ ability, answer, text }) => [ability, answer, visible(text)])
  return table(["IT", "", "WHAT FOLLOWS"], rows).map((line) => `   ${line}`)
}

/** What the configuration says of a site; ConfigError where it names none. */
export function siteSettingsOf(name: string, { sites }: Config): SiteSettings {
  const settings = sites[name]
  if (settings !== undefined) return settings
  const known = Object.keys(sites)
  const meant = nearest(name, known)
  const hint = meant === undefined ? `the sites are ${known.join(", ")}` : `did you mean ${meant}?`
  throw new ConfigError("config/not-found", `no such site: ${name}`, { hint })
}
