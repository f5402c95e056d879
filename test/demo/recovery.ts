import { readFileSync } from "node:fs"
import { count } from "../../src/units.ts"
import { compareDatabase, compareTree, differences, isWhole } from "./compare.ts"
import { destroy } from "./disaster.ts"
import { type Expected, type JobName, jobs } from "./provider.ts"
import { type Restored, readSnapshots, type SnapshotLine } from "./report.ts"
import { escrow, rescue, type Scene } from "./scene.ts"
import { Mismatch, type Stage } from "./stage.ts"

/** What must come back, remembered before it burns. */
export interface Memory {
  readonly trees: ReadonlyMap<JobName, Expected>
  readonly databaseDigest: string
}

export function remember({ provider }: Scene): Memory {
  return { trees: new Map(jobs.map((job) => [job, provider.expected(job)])), databaseDigest: provider.databaseDigest }
}

export function disaster({ stage }: Scene): void {
  for (const place of ["switch", "host", "sites/fra", "safe/operations.identity"]) destroy(stage.path(place))
  stage.say(
    "  Fire in fra: the switch with all its data, the backup host with catalog, configuration and signing key, the",
    "  operations identity, and the site fra. In the safe of another building are the escrow identity and the root's",
    "  fingerprint. One site is taken to begin again: vie, which no backup ever wrote to, and only repair has filled.",
  )
}

export async function recover({ stage, root }: Scene): Promise<void> {
  const site = ["--site", `vie=${stage.path("sites/vie")}`]
  await stage.holdline(".", ["recover", ...site, "--root", root, "--identity", "safe/escrow.identity", "--out", rescue])
}

export async function oneCustomer({ stage, provider }: Scene, { trees }: Memory): Promise<void> {
  const [{ domain }] = provider.world.accounts
  const selection = ["--account", domain, "--to", "../urgent", "--identity", escrow]
  await stage.holdline(rescue, ["restore", "run", "call-recordings@latest", ...selection])
  const all = [...(trees.get("call-recordings")?.files ?? [])]
  // What fits the template, and so is known to be theirs.
  const theirs = all.filter(([path]) => path.startsWith(`${domain}/archive/`) && !path.includes("/Feb/30/"))
  const wanted: Expected = { files: new Map(theirs), links: new Map() }
  const compared = await compareTree(stage.path("urgent"), wanted)
  const text = `the ${count(theirs.length, "recording")} of ${domain}, and nobody else's, are back and equal`
  stage.claim(theirs.length > 0 && isWhole(compared, wanted), text, differences(compared))
}

export async function restoreAll({ stage }: Scene, memory: Memory): Promise<Restored[]> {
  const restored: Restored[] = []
  for (const job of jobs) {
    const started = performance.now()
    await stage.holdline(rescue, ["restore", "run", `${job}@latest`, "--to", `../back/${job}`, "--identity", escrow])
    const seconds = (performance.now() - started) / 1000
    const back = job === "voicemail-db" ? databaseBack(stage, job, memory) : await treeBack(stage, job, memory)
    restored.push({ job, ...back, seconds })
  }
  return restored
}

function databaseBack(stage: Stage, job: JobName, { databaseDigest }: Memory): Pick<Restored, "files" | "bytes"> {
  const path = stage.path("back", job, "voicemail.db")
  const { integrity, rowsEqual } = compareDatabase(path, databaseDigest)
  stage.claim(integrity === "ok" && rowsEqual, `${job}: SQLite finds it whole, and every row of every table is as it was`, integrity)
  return { files: 1, bytes: readFileSync(path).length }
}

async function treeBack(stage: Stage, job: JobName, { trees }: Memory): Promise<Pick<Restored, "files" | "bytes">> {
  const wanted = trees.get(job)
  if (wanted === undefined) throw new Mismatch(`nothing is known of ${job}`)
  const compared = await compareTree(stage.path("back", job), wanted)
  const links = wanted.links.size > 0 ? `, with ${count(wanted.links.size, "link")}` : ""
  stage.claim(
    isWhole(compared, wanted),
    `${job}: ${count(compared.equal, "file")} of ${String(wanted.files.size)} equal in bytes, time, mode${links}; nothing else`,
    differences(compared),
  )
  return { files: compared.equal, bytes: compared.bytes }
}

/** What is left to restore from, as the machine that began again sees it. */
export async function whatIsLeft({ stage }: Scene): Promise<SnapshotLine[]> {
  return readSnapshots(await stage.ask(rescue, ["snapshots", "list"], { silent: true }))
}
