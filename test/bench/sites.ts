import { execFile } from "node:child_process"
import { mkdirSync, mkdtempSync, realpathSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { parseArgs, promisify } from "node:util"
import { z } from "zod"
import { buildSparse } from "../world/tree.ts"
import { makeStage } from "./stage.ts"

const usage = `npm run bench:sites -- [--gigabytes N] [--rounds N] [--directory DIR]

What sites cost: a first backup of a sparse source (default 10 GB, which is not compressed) to one sink site 20 ms away, to three, and to
three of which one is frozen for the whole run; and how many requests each site gets. Ends with 1 where a bar is missed.`

/** What the project promises. */
const bars = { threeSites: 1.3, frozen: 1.05 }

const child = fileURLToPath(new URL("sites-child.ts", import.meta.url))
const resultSchema = z.object({
  seconds: z.number(),
  peakBytes: z.number(),
  packs: z.number(),
  bytes: z.number(),
  requests: z.array(z.object({ name: z.string(), put: z.number(), get: z.number(), head: z.number(), list: z.number() })),
})
type SitesRun = z.infer<typeof resultSchema>

interface SitesOptions {
  readonly root: string
  readonly bytes: number
  readonly rounds: number
}

interface SitesResult {
  readonly one: readonly SitesRun[]
  readonly three: readonly SitesRun[]
  readonly frozen: readonly SitesRun[]
}

const names = ["one", "two", "three"]

/** Every scenario as a process of its own, in turn, several times. */
async function measureSites({ root, bytes, rounds }: SitesOptions): Promise<SitesResult> {
  const path = join(root, "source")
  mkdirSync(path)
  // Named as media, so that it is kept as it is: holes compressed away would be no work.
  buildSparse(join(path, "recording.mp3"), bytes)
  const found: { one: SitesRun[]; three: SitesRun[]; frozen: SitesRun[] } = { one: [], three: [], frozen: [] }
  for (let round = 0; round < rounds; round++) {
    found.one.push(await play({ root: join(root, `one-${String(round)}`), path, sites: names.slice(0, 1) }))
    found.three.push(await play({ root: join(root, `three-${String(round)}`), path, sites: names }))
    found.frozen.push(await play({ root: join(root, `frozen-${String(round)}`), path, sites: names, frozen: "three" }))
  }
  return found
}

interface Scenario {
  readonly root: string
  readonly path: string
  readonly sites: readonly string[]
  readonly frozen?: string
}

async function play({ root, path, sites, frozen }: Scenario): Promise<SitesRun> {
  mkdirSync(root)
  const stage = await makeStage(root, { name: "small-files", path }, sites)
  const { stdout } = await promisify(execFile)(process.execPath, [
    child,
    stage.config,
    stage.job,
    ...(frozen === undefined ? [] : [frozen]),
  ])
  rmSync(root, { recursive: true, force: true })
  return resultSchema.parse(JSON.parse(stdout))
}

/** Two for each pack (put, and asking for it), the listing of keys, and a few. */
function requestsAllowed({ packs }: SitesRun): number {
  return 1.05 * 2 * packs + 20
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN
}

function secondsOf(runs: readonly SitesRun[]): number {
  return median(runs.map(({ seconds }) => seconds))
}

async function main(options: { readonly gigabytes: number; readonly rounds: number; readonly directory: string }): Promise<boolean> {
  const root = realpathSync(mkdtempSync(join(options.directory, "holdline-sites-")))
  try {
    return report(await measureSites({ root, bytes: options.gigabytes * 1e9, rounds: options.rounds }))
  } finally {
    rmSync(root, { recursive: true, force: true })
  }
}

function report({ one, three, frozen }: SitesResult): boolean {
  const [alone, together, held] = [secondsOf(one), secondsOf(three), secondsOf(frozen)]
  const ratios = [
    { what: "three sites / one", ratio: together / alone, bar: bars.threeSites },
    { what: "one of three frozen / none", ratio: held / together, bar: bars.frozen },
  ]
  console.log(`one site ${alone.toFixed(1)} s, three ${together.toFixed(1)} s, one of them frozen ${held.toFixed(1)} s (medians)`)
  for (const { what, ratio, bar } of ratios)
    console.log(`${what}: ${ratio.toFixed(3)}, at most ${String(bar)}: ${ratio <= bar ? "held" : "MISSED"}`)
  const peak = Math.max(...[...one, ...three, ...frozen].map(({ peakBytes }) => peakBytes))
  console.log(`the most memory a process took: ${(peak / 1e6).toFixed(0)} MB`)
  const counts = [...one, ...three].flatMap((run) => run.requests.map((site) => ({ ...site, run })))
  const most = counts.toSorted((a, b) => total(b) - total(a))[0]
  if (most === undefined) throw new Error("nothing was counted")
  const allowed = requestsAllowed(most.run)
  const { put, get, head, list, run } = most
  console.log(
    `requests at one site: ${String(total(most))} (${String(put)} put, ${String(get)} get, ${String(head)} head, ${String(list)} list)`,
  )
  console.log(
    `for ${String(run.packs)} packs of ${(run.bytes / 1e9).toFixed(2)} GB, at most ${allowed.toFixed(0)}: ${total(most) <= allowed ? "held" : "MISSED"}`,
  )
  return ratios.every(({ ratio, bar }) => ratio <= bar) && total(most) <= allowed
}

function total({ put, get, head, list }: SitesRun["requests"][number]): number {
  return put + get + head + list
}

const { values } = parseArgs({
  options: {
    gigabytes: { type: "string", default: "10" },
    rounds: { type: "string", default: "3" },
    directory: { type: "string", default: tmpdir() },
    help: { type: "boolean", default: false },
  },
})
if (values.help) console.log(usage)
else if (!(await main({ gigabytes: Number(values.gigabytes), rounds: Number(values.rounds), directory: values.directory })))
  process.exitCode = 1
