import { type Lacking, type Peer, type Scenario, scenarios } from "./peers.ts"
import { median, type Primitives } from "./primitives.ts"
import type { Requests } from "./requests.ts"
import type { Data } from "./stage.ts"

/** One run of one program. */
export interface Measurement {
  readonly data: Data["name"]
  readonly peer: string
  readonly scenario: Scenario
  readonly round: number
  readonly wallSeconds: number
  readonly cpuSeconds: number | null
  readonly peakBytes: number | null
  /** At all sites together, after the run. */
  readonly storedBytes: number
}

export interface Spread {
  readonly median: number
  readonly minimum: number
  readonly maximum: number
}

/** All rounds of one program in one scenario. */
export interface Comparison {
  readonly data: Data["name"]
  readonly scenario: Scenario
  readonly peer: string
  readonly wallSeconds: Spread
  readonly cpuSeconds: number | null
  readonly peakBytes: number | null
  readonly storedBytes: number
  /** Holdline's wall time by this program's, round by round: below 1 Holdline was faster. Null for Holdline itself. */
  readonly ratio: Spread | null
}

export interface Results {
  readonly started: string
  readonly machine: {
    readonly processor: string
    readonly cores: number
    readonly memoryBytes: number
    readonly system: string
    readonly node: string
  }
  readonly quick: boolean
  readonly rounds: number
  readonly data: readonly (Data & { readonly leastSeconds: number })[]
  readonly peers: readonly Pick<Peer, "name" | "version" | "settings">[]
  readonly lacking: readonly Lacking[]
  readonly primitives: Primitives
  readonly measurements: readonly Measurement[]
  readonly comparisons: readonly Comparison[]
  /** Of Holdline, to each of its sites. */
  readonly requests: readonly { readonly data: Data["name"]; readonly requests: readonly Requests[] }[]
}

const ours = "holdline"

export const cachedNote =
  "Trees and fresh repositories were in the page cache, as on a host that has just written its recordings; nothing was dropped from it. Making a repository and its keys is not measured."

/** One line for each program in each scenario, scenario by scenario. */
export function comparisonsOf(measurements: readonly Measurement[]): Comparison[] {
  const groups = Map.groupBy(measurements, ({ data, scenario, peer }) => `${data}|${scenario}|${peer}`)
  const comparisons = [...groups.values()].flatMap((group) => {
    const [first] = group
    return first === undefined ? [] : [comparisonOf(first, group, measurements)]
  })
  return comparisons.toSorted((a, b) => scenarios.indexOf(a.scenario) - scenarios.indexOf(b.scenario))
}

function comparisonOf({ data, scenario, peer }: Measurement, group: readonly Measurement[], all: readonly Measurement[]): Comparison {
  return {
    ...{ data, scenario, peer, ratio: peer === ours ? null : ratioOf(group, all) },
    wallSeconds: spread(group.map((one) => one.wallSeconds)),
    cpuSeconds: medianOf(group.map((one) => one.cpuSeconds)),
    peakBytes: medianOf(group.map((one) => one.peakBytes)),
    storedBytes: median(group.map((one) => one.storedBytes)),
  }
}

function ratioOf(group: readonly Measurement[], all: readonly Measurement[]): Spread | null {
  const ratios = group.flatMap(({ data, scenario, round, wallSeconds }) => {
    const own = all.find((one) => one.peer === ours && one.data === data && one.scenario === scenario && one.round === round)
    return own === undefined ? [] : [own.wallSeconds / wallSeconds]
  })
  return ratios.length === 0 ? null : spread(ratios)
}

function spread(values: readonly number[]): Spread {
  return { median: median(values), minimum: Math.min(...values), maximum: Math.max(...values) }
}

function medianOf(values: readonly (number | null)[]): number | null {
  const known = values.filter((value) => value !== null)
  return known.length === 0 ? null : median(known)
}

/** How much of a first backup the machine's primitives alone would take, in one thread: what the pipeline makes of the machine. */
export function sharesOf(results: Results): string[] {
  return results.data.flatMap(({ name, leastSeconds }) => {
    const run = results.comparisons.find((one) => one.data === name && one.peer === ours && one.scenario === "first backup")
    if (run === undefined) return []
    const ofCpu = run.cpuSeconds === null ? "" : `, ${percent(leastSeconds / run.cpuSeconds)} of its processor time`
    const what = "reading, hashing each file, sealing, hashing each pack and writing, alone and in one thread"
    return [`${name}: ${what}, would take ${percent(leastSeconds / run.wallSeconds.median)} of the first backup's time${ofCpu}`]
  })
}

/** What each site is asked, run by run. */
export function requestsOf(results: Results): string[] {
  return results.requests.flatMap(({ data, requests }) =>
    requests.map(({ run, calls }) => {
      const text = Object.entries(calls).map(([name, count]) => `${String(count)} ${name}`)
      return `${data}, ${run}: ${text.join(", ")} at each site`
    }),
  )
}

export function primitivesOf({ primitives }: Results): string {
  const speeds = Object.entries(primitives).map(([name, speed]) => `${name} ${speed.toFixed(0)}`)
  return `one thread, MB/s: ${speeds.join(", ")}`
}

/** The results as text. */
export function summary(results: Results): string[] {
  const tables = results.data.flatMap((data) => [
    "",
    `${data.name}: ${String(data.files)} files, ${(data.bytes / 1e6).toFixed(0)} MB; ${String(results.rounds)} rounds`,
    "                                      median      min      max       cpu    memory    stored   holdline's time by its",
    ...results.comparisons.filter((one) => one.data === data.name).map(lineOf),
  ])
  return [...tables, "", primitivesOf(results), ...sharesOf(results), ...requestsOf(results), cachedNote]
}

function percent(share: number): string {
  return `${(share * 100).toFixed(0)} %`
}

function lineOf({ scenario, peer, wallSeconds, cpuSeconds, peakBytes, storedBytes, ratio }: Comparison): string {
  const wall = [wallSeconds.median, wallSeconds.minimum, wallSeconds.maximum].map((seconds) => `${seconds.toFixed(2)} s`.padStart(8))
  const cpu = cpuSeconds === null ? "" : `${cpuSeconds.toFixed(2)} s`
  const memory = peakBytes === null ? "" : `${(peakBytes / 1e6).toFixed(0)} MB`
  const stored = `${(storedBytes / 1e6).toFixed(0)} MB`
  const by = ratio === null ? "" : `${ratio.median.toFixed(2)} (${ratio.minimum.toFixed(2)} to ${ratio.maximum.toFixed(2)})`
  return `  ${scenario.padEnd(17)} ${peer.padEnd(17)} ${wall.join(" ")} ${cpu.padStart(9)} ${memory.padStart(9)} ${stored.padStart(9)}   ${by}`
}
