import { mkdirSync, mkdtempSync, readdirSync, readFileSync, realpathSync, rmSync, statSync, writeFileSync } from "node:fs"
import { availableParallelism, cpus, release, tmpdir, totalmem, type } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { parseArgs } from "node:util"
import { filesOf } from "../operation/trees.ts"
import { buildTree } from "../world/tree.ts"
import { buildWorld } from "../world/world.ts"
import { bytesBelow, type Measured, measure } from "./measure.ts"
import { page } from "./page.ts"
import { allPeers, type Peer, type Scenario, scenarios } from "./peers.ts"
import { leastSeconds, measurePrimitives } from "./primitives.ts"
import { countRequests, type Requests } from "./requests.ts"
import { comparisonsOf, type Measurement, type Results, summary } from "./results.ts"
import { type Data, makeStage } from "./stage.ts"

const usage = `npm run bench -- [--quick] [--rounds N] [--only recordings|small-files] [--against PROGRAM] [--directory DIR]

Backs up the same trees with Holdline and with the other programs found here, each as a whole process, in turn, several times.
  --quick      small trees, two rounds: less than two minutes
  --only       one of the two trees
  --against    another checkout's bin/holdline, measured in the same rounds
  --directory  where trees and repositories are made (default: the system's temporary directory); needs 20 GB, quick 2 GB`

const seed = "holdline"
const resultsFolder = fileURLToPath(new URL("results", import.meta.url))

interface Options {
  readonly quick: boolean
  readonly rounds: number
  readonly only: string | undefined
  readonly against: string | undefined
  readonly directory: string
}

function options(): Options | null {
  const { values } = parseArgs({
    options: {
      quick: { type: "boolean", default: false },
      rounds: { type: "string" },
      only: { type: "string" },
      against: { type: "string" },
      directory: { type: "string", default: tmpdir() },
      help: { type: "boolean", default: false },
    },
  })
  const { quick, help, only, against, directory } = values
  return help ? null : { quick, only, against, directory, rounds: Number(values.rounds ?? (quick ? 2 : 5)) }
}

async function run({ quick, rounds, only, against, directory }: Options): Promise<Results> {
  const root = realpathSync(mkdtempSync(join(directory, "holdline-bench-")))
  try {
    const started = new Date().toISOString()
    const primitives = measurePrimitives(root)
    const data = (await trees(root, quick ? 0.2 : 1)).filter(({ name }) => only === undefined || name === only)
    const { peers, lacking } = allPeers(against ?? null)
    for (const { name, why } of lacking) console.log(`${name}: left out: ${why}`)
    const measurements: Measurement[] = []
    for (const tree of data) {
      warm(tree.path)
      for (let round = 0; round < rounds; round++) {
        // Every other round in the other order: whoever comes later finds a warmer, or a more crowded, machine.
        for (const peer of round % 2 === 0 ? peers : peers.toReversed()) measurements.push(...(await play(peer, tree, { root, round })))
      }
    }
    const requests: { data: Data["name"]; requests: Requests[] }[] = []
    for (const tree of data) {
      const stage = await makeStage(join(root, `requests-${tree.name}`), tree, ["one"])
      requests.push({ data: tree.name, requests: await countRequests(stage) })
    }
    return {
      ...{ started, machine: machine(), quick, rounds, lacking, primitives, measurements, requests },
      data: data.map((tree) => ({ ...tree, leastSeconds: leastSeconds(tree.bytes, primitives) })),
      peers: peers.map(({ name, version, settings }) => ({ name, version, settings })),
      comparisons: comparisonsOf(measurements),
    }
  } finally {
    rmSync(root, { recursive: true, force: true })
  }
}

function machine(): Results["machine"] {
  return {
    processor: cpus()[0]?.model.trim() ?? "",
    cores: availableParallelism(),
    memoryBytes: totalmem(),
    system: `${type()} ${release()}`,
    node: process.version,
  }
}

async function trees(root: string, share: number): Promise<Data[]> {
  const world = await buildWorld(join(root, "world"), {
    ...{ seed, now: new Date(), oddities: false },
    ...{ recordings: 3000 * share, bytes: 300_000_000 * share, accounts: 60 * share },
  })
  const small = join(root, "small-files")
  await buildTree(small, { seed, files: 20_000 * share, bytes: 80_000_000 * share })
  return [dataAt("recordings", world.recordings), dataAt("small-files", small)]
}

function dataAt(name: Data["name"], path: string): Data {
  const sizes = filesBelow(path).map((file) => statSync(file).size)
  return { name, path, files: sizes.length, bytes: sizes.reduce((sum, size) => sum + size, 0) }
}

function filesBelow(path: string): string[] {
  const entries = readdirSync(path, { recursive: true, withFileTypes: true })
  return entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name))
}

/** Reads every file once, so that all programs find the tree in the page cache. */
function warm(path: string): void {
  for (const file of filesBelow(path)) readFileSync(file)
}

async function play(peer: Peer, data: Data, place: { readonly root: string; readonly round: number }): Promise<Measurement[]> {
  const root = mkdtempSync(join(place.root, "stage-"))
  const begun = await peer.begin(root, data)
  const measurements: Measurement[] = []
  for (const scenario of scenarios) {
    const command = begun.commands[scenario]
    if (command === undefined) continue
    const { wallSeconds, cpuSeconds, peakBytes } = await measure(command)
    const storedBytes = begun.repositories.reduce((sum, path) => sum + bytesBelow(path), 0)
    measurements.push({ data: data.name, peer: peer.name, scenario, round: place.round, storedBytes, wallSeconds, cpuSeconds, peakBytes })
    console.log(line([data.name, peer.name, scenario], { wallSeconds, cpuSeconds, peakBytes }))
    if (scenario === "restore" && place.round === 0) requireEqual(data.path, begun.restored)
  }
  tidy(root, begun.restored)
  return measurements
}

// Restored trees stay until the end: ext4 looks at every inode that was freed in the last minutes before it gives one out, so whoever
// came after a removal would create files several times as slowly.
function tidy(root: string, restored: string): void {
  for (const name of readdirSync(root)) {
    const path = join(root, name)
    if (restored !== path && !restored.startsWith(`${path}/`)) rmSync(path, { recursive: true, force: true })
  }
}

/** A program that is quick because it forgets something is out of the comparison. */
function requireEqual(original: string, restored: string): void {
  const found = filesOf(restored)
  const digestOf = (entry: string | undefined): string => entry?.split(" ")[0] ?? ""
  for (const [path, entry] of filesOf(original)) {
    if (digestOf(entry) !== digestOf(found.get(path))) throw new Error(`${restored}/${path} is not what was backed up`)
  }
}

function line([data, peer, scenario]: readonly [string, string, Scenario], measured: Omit<Measured, "stdout">): string {
  const { wallSeconds, cpuSeconds, peakBytes } = measured
  const cpu = cpuSeconds === null ? "" : `${cpuSeconds.toFixed(2)} s cpu`
  const peak = peakBytes === null ? "" : `${(peakBytes / 1e6).toFixed(0)} MB`
  const names = `${data.padEnd(12)} ${peer.padEnd(18)} ${scenario.padEnd(17)}`
  return `${names} ${wallSeconds.toFixed(2).padStart(7)} s  ${cpu.padStart(11)}  ${peak.padStart(7)}`
}

function report(results: Results): void {
  mkdirSync(resultsFolder, { recursive: true })
  const file = join(resultsFolder, results.started.replace(/[:.]/g, "-"))
  writeFileSync(`${file}.json`, `${JSON.stringify(results, null, 1)}\n`)
  writeFileSync(`${file}.html`, page(results))
  console.log(`${summary(results).join("\n")}\n\n${file}.html`)
}

const asked = options()
if (asked === null) console.log(usage)
else report(await run(asked))
