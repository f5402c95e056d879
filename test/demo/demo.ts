import { mkdirSync, readFileSync, renameSync } from "node:fs"
import { setTimeout as sleep } from "node:timers/promises"
import { z } from "zod"
import { count, formatSize } from "../../src/units.ts"
import { compareDatabase, compareTree, differences, isWhole } from "./compare.ts"
import { destroy, flipBits, packsAt, readableBytes } from "./disaster.ts"
import { type Expected, type JobName, jobs, Provider, providers, sites, strays, writeJobs } from "./provider.ts"
import {
  matrixText,
  meaning,
  type Proof,
  proofText,
  type Restored,
  readSnapshots,
  restoredText,
  type SnapshotLine,
  timesText,
  verifySchema,
} from "./report.ts"
import { Mismatch, Stage, seconds, summaryOf } from "./stage.ts"

/*
 * Holdline in one sitting, as an operator uses it: an invented voice provider is backed up by the real command line, loses its
 * machine and one of its three sites, and gets everything back. Each sentence with a ✓ was tested before it was printed.
 */

const seed = "demo"
const dayMs = 86_400_000
/** Longer than the jobs' `settle`: the operating system's time of change cannot be set back. */
const settleMs = 1200

/** Directories of the demo, in which commands find their configuration. */
const host = "host"
const rescue = "rescue"
const second = "rescue-2"
const operations = "../safe/operations.identity"
const escrow = "../safe/escrow.identity"

async function play(stage: Stage, signal: AbortSignal): Promise<void> {
  stage.say(
    stage.paint.strong("Holdline: back up a voice provider, lose it, get it back"),
    `Everything happens in ${stage.directory}, removed at the end. Invented data, seed "${seed}".`,
  )
  const provider = await stage.chapter("A voice provider", () => buildProvider(stage))
  const root = await stage.chapter("Keys, trust, configuration", () => setUp(stage, provider))
  await stage.chapter("The first backup", () => firstBackup(stage, provider, signal))
  await stage.chapter("Nothing has changed", () => unchanged(stage, provider))
  await stage.chapter("A day later", () => aDayLater(stage, provider, signal))
  const proofs = await stage.chapter("How far can it be proven?", () => prove(stage))
  const kept = await stage.chapter("What a thief of the sites would read", () => thief(stage, provider))

  const expected = new Map<JobName, Expected>(jobs.map((job) => [job, provider.expected(job)]))
  const { databaseDigest } = provider
  await stage.chapter("The disaster", () => disaster(stage))
  await stage.chapter("Beginning again from nothing", () => recover(stage, root, ["ams"], rescue))
  await stage.chapter("The customer who cannot wait", () => oneCustomer(stage, provider, expected))
  const restored = await stage.chapter("Everything back", () => restoreAll(stage, expected, databaseDigest))
  const left = await stage.chapter("A rotten disk at the site that was left", () => rot(stage, root, expected))

  report(stage, { proofs, kept, restored, left })
}

async function buildProvider(stage: Stage): Promise<Provider> {
  // Its last day lies in the past, so that the day that goes by later is no day in the future.
  const provider = await Provider.build(stage.path("switch"), seed, new Date(Date.now() - 2 * dayMs))
  const { world } = provider
  stage.say(
    `  ${count(world.accounts.length, "customer")}, ${count(provider.count("recordings"), "call recording")}, ` +
      `${count(provider.count("cdr"), "file")} of call records, ${count(provider.count("config"), "setting file")},`,
    `  a voicemail database: ${formatSize(provider.bytes)}, with what every real tree has: empty files, unclosed headers,`,
    "  odd names, files that no call made",
  )
  return provider
}

async function setUp(stage: Stage, { world }: Provider): Promise<string> {
  for (const site of sites) mkdirSync(stage.path("sites", site), { recursive: true })
  const places = sites.map((site) => `${site}=${stage.path("sites", site)}:${providers[site]}`)
  const made = summaryOf(
    await stage.ask(".", ["--agent", "pbx-1", "init", "host", "--dir", "host", "--site", ...places]),
    z.looseObject({ root: z.string() }),
  )
  stage.say("")
  await writeJobs(stage.path("host/jobs"), world)
  const job = ["init", "job", "switch-config", "--mode", "state", "--source", "directory", "--path", world.config]
  await stage.holdline(host, [...job, "--account", "platform", "--class", "state-35"])
  await stage.ask(host, ["doctor"], { exit: 6 })
  stage.claim(true, "while the identities still lie on the backup host, doctor objects (exit 6)")
  renameSync(stage.path("host/keys"), stage.path("safe"))
  await stage.ask(host, ["doctor"])
  stage.claim(true, "once they are moved away, it finds nothing (exit 0): this host can write backups and read none")
  stage.say("  ! all three sites are on this one disk (sameDevice: accepted): good for a demo, and said each time", `  root ${made.root}`)
  return made.root
}

const runSchema = z.looseObject({
  outcome: z.string(),
  captured: z.object({ files: z.number(), bytes: z.number() }),
  unchanged: z.object({ files: z.number(), bytes: z.number() }),
  stored: z.object({ packs: z.number(), bytes: z.number() }),
  notes: z.record(z.string(), z.number()),
  sites: z.array(z.looseObject({ name: z.string(), held: z.boolean() })),
})
type Run = z.infer<typeof runSchema>

/** What the newest run of each job did, as the host remembers it. */
async function runsOf(stage: Stage): Promise<ReadonlyMap<JobName, Run>> {
  const runs = new Map<JobName, Run>()
  stage.say("  What the runs remember (runs show JOB@latest --json) against what the provider really has:")
  for (const job of jobs) {
    const records = await stage.ask(host, ["runs", "show", `${job}@latest`], { silent: true })
    runs.set(job, runSchema.parse(records.find(({ type }) => type === "run")))
  }
  return runs
}

function runOf(runs: ReadonlyMap<JobName, Run>, job: JobName): Run {
  const run = runs.get(job)
  if (run === undefined) throw new Mismatch(`no run of ${job}`)
  return run
}

async function firstBackup(stage: Stage, provider: Provider, signal: AbortSignal): Promise<void> {
  await sleep(settleMs, undefined, { signal })
  await stage.holdline(host, ["run", ...jobs], { exit: 3 })
  const runs = await runsOf(stage)
  const calls = runOf(runs, "call-recordings")
  const captured = { recordings: calls, cdr: runOf(runs, "cdr-files"), config: runOf(runs, "switch-config") }
  for (const tree of ["recordings", "cdr", "config"] as const) {
    const wanted = provider.count(tree)
    const { files } = captured[tree].captured
    stage.claim(files === wanted, `${tree}: all ${count(wanted, "file")} captured`, `but ${String(files)}`)
  }
  const held = [...runs.values()].every((run) => run.sites.length === sites.length && run.sites.every((site) => site.held))
  stage.claim(held, "each commit, and all it needs, is held by 3 sites of 3 providers")
  const { unmatched = 0 } = calls.notes
  stage.claim(
    calls.outcome === "partial" && unmatched === 3,
    "3 files belong to no call: kept under a key of their own, and the run is `partial` (exit 3)",
    `${calls.outcome}, ${String(unmatched)} unmatched`,
  )
}

async function unchanged(stage: Stage, provider: Provider): Promise<void> {
  stage.say("  The operator has looked at the 3 files and tells the job to leave them out from now on.", "")
  await writeJobs(stage.path("host/jobs"), provider.world, { exclude: strays })
  await stage.holdline(host, ["run", ...jobs])
  const runs = await runsOf(stage)
  for (const job of ["call-recordings", "cdr-files", "switch-config"] as const) {
    const { captured, unchanged: same, stored } = runOf(runs, job)
    const isQuiet = captured.files === 0 && same.files > 0 && stored.bytes === 0
    stage.claim(isQuiet, `${job}: ${count(same.files, "file")} known again, nothing sent`, JSON.stringify({ captured, same, stored }))
  }
}

async function aDayLater(stage: Stage, provider: Provider, signal: AbortSignal): Promise<void> {
  const touched = await provider.day()
  stage.say(
    `  A day goes by: ${count(touched.recordings, "recording")} new, longer or converted, a few deleted; late calls and new ones in`,
    `  ${count(touched.cdr, "file")} of call records; ${count(touched.config, "setting")} edited; voicemail left and deleted.`,
    "",
  )
  await sleep(settleMs, undefined, { signal })
  await stage.holdline(host, ["run", ...jobs])
  const runs = await runsOf(stage)
  const recordings = runOf(runs, "call-recordings").captured.files
  stage.claim(recordings === touched.recordings, `call-recordings: exactly the ${String(recordings)} that are new or changed`)
  const cdrs = runOf(runs, "cdr-files").captured.files
  stage.claim(cdrs === touched.cdr, `cdr-files: exactly the ${String(cdrs)} that are new or changed`)
  const settings = runOf(runs, "switch-config").captured.files
  stage.claim(
    settings === touched.config,
    `switch-config: exactly the ${String(settings)} that are new or changed; its snapshot is whole again`,
  )
  await stage.holdline(host, ["status", "--check"])
}

async function prove(stage: Stage): Promise<Proof[]> {
  const proofs: Proof[] = []
  for (const job of jobs) {
    const records = await stage.ask(host, ["verify", `${job}@latest`, "--identity", operations])
    proofs.push(summaryOf(records, verifySchema))
  }
  stage.say("")
  for (const { dataset, proven, files, packs, findings } of proofs) {
    stage.claim(
      proven === "matched" && findings.length === 0,
      `${dataset}: ${count(packs, "pack")} hashed at each of 3 sites; ${count(files, "file")} equal to the source's SHA-256`,
      `proven: ${proven ?? "nothing"}`,
    )
  }
  return proofs
}

async function thief(stage: Stage, provider: Provider) {
  const kept = readSnapshots(await stage.ask(host, ["snapshots", "list"]))
  stage.say("")
  const found = await readableBytes(stage.path("sites"), provider.world)
  stage.claim(
    found.objects > 0 && found.leaks.length === 0,
    `${count(found.objects, "object")} searched for ${count(found.searched, "name, phone number and piece of audio", "names, phone numbers and pieces of audio")}: none readable`,
    found.leaks.slice(0, 3).join("; "),
  )
  return kept
}

async function disaster(stage: Stage): Promise<void> {
  for (const place of ["switch", "host", "sites/fra", "safe/operations.identity"]) destroy(stage.path(place))
  stage.say(
    "  Fire in fra: the switch with all its data, the backup host with catalog, configuration and signing key,",
    "  the operations identity, and the site fra. Left are the sites ams and vie, and in the safe of another",
    "  building the escrow identity and the root's fingerprint.",
  )
}

async function recover(stage: Stage, root: string, from: readonly string[], out: string): Promise<void> {
  const identity = ["--identity", "safe/escrow.identity"]
  const places = from.flatMap((site) => ["--site", `${site}=${stage.path("sites", site)}`])
  await stage.holdline(".", ["recover", ...places, "--root", root, ...identity, "--out", out])
}

async function oneCustomer(stage: Stage, { world }: Provider, expected: ReadonlyMap<JobName, Expected>): Promise<void> {
  const [{ domain }] = world.accounts
  const selection = ["--account", domain, "--to", `../urgent`, "--identity", escrow]
  await stage.holdline(rescue, ["restore", "run", "call-recordings@latest", ...selection])
  const all = [...(expected.get("call-recordings")?.files ?? [])]
  // What fits the template, and so is known to be theirs.
  const theirs = all.filter(([path]) => path.startsWith(`${domain}/archive/`) && !path.includes("/Feb/30/"))
  const wanted: Expected = { files: new Map(theirs), links: new Map() }
  const compared = await compareTree(stage.path("urgent"), wanted)
  const text = `the ${count(theirs.length, "recording")} of ${domain}, and nobody else's, are back and equal`
  stage.claim(theirs.length > 0 && isWhole(compared, wanted), text, differences(compared))
}

async function restoreAll(stage: Stage, expected: ReadonlyMap<JobName, Expected>, databaseDigest: string): Promise<Restored[]> {
  const restored: Restored[] = []
  for (const job of jobs) {
    const started = performance.now()
    await stage.holdline(rescue, ["restore", "run", `${job}@latest`, "--to", `../back/${job}`, "--identity", escrow])
    const took = (performance.now() - started) / 1000
    if (job === "voicemail-db") {
      const path = stage.path("back", job, "voicemail.db")
      const { integrity, rowsEqual } = compareDatabase(path, databaseDigest)
      stage.claim(integrity === "ok" && rowsEqual, `${job}: SQLite finds it whole, and every row of every table is as it was`, integrity)
      restored.push({ job, files: 1, bytes: readFileSync(path).length, seconds: took })
      continue
    }
    const { compared } = await compareWith(stage, job, `back/${job}`, expected)
    restored.push({ job, files: compared.equal, bytes: compared.bytes, seconds: took })
  }
  return restored
}

async function compareWith(stage: Stage, job: JobName, place: string, expected: ReadonlyMap<JobName, Expected>) {
  const wanted = expected.get(job)
  if (wanted === undefined) throw new Mismatch(`nothing is known of ${job}`)
  const compared = await compareTree(stage.path(place), wanted)
  const links = wanted.links.size > 0 ? `, with ${count(wanted.links.size, "link")}` : ""
  stage.claim(
    isWhole(compared, wanted),
    `${job}: ${count(compared.equal, "file")} of ${String(wanted.files.size)} equal in bytes, time, mode${links}; nothing else`,
    differences(compared),
  )
  return { compared, wanted }
}

async function rot(stage: Stage, root: string, expected: ReadonlyMap<JobName, Expected>) {
  const packs = packsAt(stage.path("sites/ams"), "recordings-90")
  const rotten = packs.filter((_, index) => index % 3 === 0)
  for (const pack of rotten) flipBits(stage.path("sites/ams", pack))
  stage.say(`  One bit is flipped in ${count(rotten.length, "pack")} of ${String(packs.length)} at ams. vie is found to be intact.`, "")
  await recover(stage, root, ["ams", "vie"], second)
  const found = summaryOf(await stage.ask(second, ["verify", "call-recordings@latest", "--identity", escrow], { exit: 6 }), verifySchema)
  const named = new Set(found.findings.filter(({ site }) => site === "ams").map(({ object }) => object))
  stage.claim(
    found.findings.length === rotten.length && rotten.every((pack) => named.has(pack)),
    `verify names exactly these ${String(rotten.length)} objects at ams, and ends with 6`,
    JSON.stringify(found.findings),
  )
  const back = "back-2/call-recordings"
  await stage.holdline(second, ["restore", "run", "call-recordings@latest", "--to", `../${back}`, "--identity", escrow])
  await compareWith(stage, "call-recordings", back, expected)
  stage.claim(true, "what was rotten at ams came from vie instead, without anybody's doing (exit 0)")

  const [both = ""] = rotten
  flipBits(stage.path("sites/vie", both))
  stage.say("", "  Now the same pack rots at vie as well: no good copy is left of what is in it.", "")
  const worst = "back-3/call-recordings"
  await stage.holdline(second, ["--quiet", "restore", "run", "call-recordings@latest", "--to", `../${worst}`, "--identity", escrow], {
    exit: 3,
  })
  const wanted = expected.get("call-recordings")
  if (wanted === undefined) throw new Mismatch("nothing is known of call-recordings")
  const compared = await compareTree(stage.path(worst), wanted)
  stage.claim(
    compared.wrong.length + compared.tooMany.length === 0 && compared.missing.length > 0,
    `${count(compared.missing.length, "file")} cannot be had back, and it says so (exit 3); the other ${String(compared.equal)} are equal`,
    differences(compared),
  )
  return readSnapshots(await stage.ask(second, ["snapshots", "list"]))
}

interface Findings {
  readonly proofs: readonly Proof[]
  readonly kept: readonly SnapshotLine[]
  readonly restored: readonly Restored[]
  readonly left: readonly SnapshotLine[]
}

function report(stage: Stage, { proofs, kept, restored, left }: Findings): void {
  const { paint } = stage
  const section = (title: string, lines: readonly string[]): void => stage.say("", paint.strong(title), ...lines)
  stage.say("", paint.strong(`━━ Report ${"━".repeat(90)}`))
  section("What was kept where", matrixText(kept, left, paint))
  section("How far the proof went, before the disaster", proofText(proofs, paint))
  section("What came back from one site, with the escrow identity and the root's fingerprint alone", restoredText(restored))
  section("How long each step took", timesText(stage.times))
  section("What this means", meaning)
}

/** The exit code: 0 where every claim held, 1 where one did not or a command ended otherwise than it must, 130 and 143 when stopped. */
async function main(): Promise<number> {
  const controller = new AbortController()
  for (const [name, code] of Object.entries(stops)) process.once(name, () => controller.abort(new Stopped(name, code)))
  using stage = new Stage(controller.signal)
  try {
    await play(stage, controller.signal)
  } catch (error) {
    const reason: unknown = controller.signal.aborted ? controller.signal.reason : error
    if (reason instanceof Stopped) {
      stage.say("", `stopped by ${reason.message}; ${stage.directory} is removed`)
      return reason.code
    }
    if (!(error instanceof Mismatch)) throw error
    stage.say("", stage.paint.status("bad", `the demo failed: ${error.message}`))
    return 1
  }
  const total = stage.held + stage.failed
  const verdict = `${String(stage.held)} of ${String(total)} claims held, in ${seconds(stage.elapsedMs / 1000)}`
  stage.say("", stage.paint.status(stage.failed === 0 ? "good" : "bad", verdict))
  return stage.failed === 0 ? 0 : 1
}

const stops = { SIGINT: 130, SIGTERM: 143 } as const

class Stopped extends Error {
  readonly code: number

  constructor(signal: string, code: number) {
    super(signal)
    this.code = code
  }
}

process.exitCode = await main()
