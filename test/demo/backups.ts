import { execFileSync } from "node:child_process"
import { copyFileSync, mkdirSync, renameSync } from "node:fs"
import { setTimeout as sleep } from "node:timers/promises"
import { z } from "zod"
import { count, formatSize } from "../../src/units.ts"
import { readableBytes } from "./disaster.ts"
import { jobs, Provider, strays, writeJobs } from "./provider.ts"
import { type Proof, readSnapshots, type SnapshotLine, verifySchema } from "./report.ts"
import { holdersOf, host, operations, runOf, runsOf, type Scene } from "./scene.ts"
import { type Clouds, firstSites, keysIn, signConfig, writeConfig } from "./sites.ts"
import { type Stage, summaryOf } from "./stage.ts"

const dayMs = 86_400_000
/** Longer than the jobs' `settle`: the operating system's time of change cannot be set back. */
const settleMs = 1200
export const people = ["ada", "ben"] as const

export async function buildProvider(stage: Stage, seed: string): Promise<Provider> {
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

/** Makes keys, host, trust and jobs; the result is the root's fingerprint. */
export async function setUp(stage: Stage, { world }: Provider, clouds: Clouds): Promise<string> {
  mkdirSync(stage.path("sites/fra"), { recursive: true })
  const made = summaryOf(await stage.ask(".", ["init", "keys", "--out", "safe"]), z.looseObject({ root: z.string() }))
  writeConfig(stage, made.root, firstSites, clouds)
  copyFileSync(stage.path("safe/trust.json"), stage.path("host/trust.json"))
  await stage.ask(host, ["init", "agent"])
  await signConfig(stage, ["host/pbx-1.request.json", ...makePeople(stage)])
  stage.say("")
  await writeJobs(stage.path("host/jobs"), world)
  const job = ["init", "job", "switch-config", "--mode", "state", "--source", "directory", "--path", world.config]
  await stage.ask(host, [...job, "--account", "platform", "--class", "state-35"])
  const forgotten = [stage.path("safe/operations.identity"), stage.path("host/operations.identity")] as const
  copyFileSync(...forgotten)
  await stage.ask(host, ["doctor"], { exit: 6 })
  stage.claim(true, "while an identity lies on the backup host, doctor objects (exit 6)")
  renameSync(forgotten[1], forgotten[0])
  await stage.ask(host, ["doctor"])
  stage.claim(true, "without it, nothing is wrong: three sites answer, both clouds lock and keep versions as they should,")
  stage.say(
    "    and this host can write backups and read none",
    "  ! the clouds are stand-ins on this machine, and fra lies on its disk (sameDevice: accepted): said each time",
    `  root ${made.root}`,
  )
  return made.root
}

/** Two people who may approve what takes two, where this machine can make SSH keys. */
function makePeople(stage: Stage): string[] {
  mkdirSync(stage.path("people"))
  try {
    for (const name of people)
      execFileSync("ssh-keygen", ["-q", "-t", "ed25519", "-N", "", "-C", name, "-f", stage.path("people", name)], { stdio: "pipe" })
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return []
    throw error
  }
  return ["--person", ...people.map((name) => `${name}=people/${name}.pub`)]
}

export async function firstBackup({ stage, provider, signal }: Scene): Promise<void> {
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
  stage.claim(holdersOf(runs).length === 3, "each commit, and all it needs, is held by a directory, by S3 and by GCS")
  const { unmatched = 0 } = calls.notes
  stage.claim(
    calls.outcome === "partial" && unmatched === 3,
    "3 files belong to no call: kept under a key of their own, and the run is `partial` (exit 3)",
    `${calls.outcome}, ${String(unmatched)} unmatched`,
  )
}

/** How many uploads of the second backup the S3 site still takes. */
const uploadsBeforeDeath = 3

export async function siteDies({ stage, provider, clouds: { s3 }, signal }: Scene): Promise<void> {
  stage.say("  The operator has looked at the 3 files and tells the job to leave them out from now on.")
  await writeJobs(stage.path("host/jobs"), provider.world, { exclude: strays })
  const touched = await provider.day()
  stage.say(
    `  A day goes by: ${count(touched.recordings, "recording")} new, longer or converted, a few deleted; late calls and new ones in`,
    `  ${count(touched.cdr, "file")} of call records; ${count(touched.config, "setting")} edited; voicemail left and deleted.`,
    `  s3-dub takes ${String(uploadsBeforeDeath)} uploads of the next backup. Then it answers nobody any more.`,
    "",
  )
  await sleep(settleMs, undefined, { signal })
  const before = new Set(s3.keys)
  s3.dieAfter(uploadsBeforeDeath)
  await stage.holdline(host, ["run", ...jobs])
  const fresh = keysIn(stage.path("sites/fra")).filter((key) => !before.has(key))
  const arrived = s3.keys.filter((key) => !before.has(key)).length
  const halfWay = arrived > 0 && arrived < fresh.length
  stage.claim(halfWay, `s3-dub died half-way: it has ${String(arrived)} of the backup's ${count(fresh.length, "object")}`, String(arrived))
  const runs = await runsOf(stage)
  const isOk = [...runs.values()].every(({ outcome }) => outcome === "ok")
  const holders = holdersOf(runs).join(", ")
  stage.claim(
    isOk && holders === "fra, gcs-bru",
    "every run is `ok` all the same: durable at 2 sites of 2 providers, fra and gcs-bru",
    holders,
  )
  for (const [tree, job] of [
    ["recordings", "call-recordings"],
    ["cdr", "cdr-files"],
    ["config", "switch-config"],
  ] as const) {
    const { files } = runOf(runs, job).captured
    stage.claim(files === touched[tree], `${job}: exactly the ${String(files)} that are new or changed`, `not ${String(touched[tree])}`)
  }
}

export async function siteComesBack({ stage, clouds: { s3 } }: Scene): Promise<void> {
  s3.comeBack()
  await stage.holdline(host, ["site", "status", "--check"], { exit: 6 })
  stage.claim(true, "site status shows that s3-dub answers, and for how long it has been behind (exit 6)")
  stage.say("")
  await stage.holdline(host, ["run", ...jobs])
  const runs = await runsOf(stage)
  for (const job of ["call-recordings", "cdr-files", "switch-config"] as const) {
    const { captured, unchanged: same, stored } = runOf(runs, job)
    const isQuiet = captured.files === 0 && same.files > 0 && stored.bytes === 0
    stage.claim(isQuiet, `${job}: ${count(same.files, "file")} known again, nothing sent twice`, JSON.stringify({ captured, same, stored }))
  }
  const lacking = keysIn(stage.path("sites/fra")).filter((key) => !s3.keys.includes(key))
  stage.claim(lacking.length === 0, "s3-dub has caught up by itself: every object that fra has", lacking.slice(0, 2).join(" "))
  await stage.holdline(host, ["site", "status", "--check"])
  await stage.holdline(host, ["status", "--check"])
}

export async function prove({ stage }: Scene): Promise<Proof[]> {
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

export async function thief({ stage, provider }: Scene): Promise<SnapshotLine[]> {
  const kept = readSnapshots(await stage.ask(host, ["snapshots", "list"]))
  stage.say("")
  const found = await readableBytes(stage.path("sites/fra"), provider.world)
  stage.claim(
    found.objects > 0 && found.leaks.length === 0,
    `${count(found.objects, "object")} at fra searched for ${count(found.searched, "name, phone number and piece of audio", "names, phone numbers and pieces of audio")}: none readable`,
    found.leaks.slice(0, 3).join("; "),
  )
  return kept
}
