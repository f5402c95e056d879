import { z } from "zod"
import type { Paint } from "../../src/report/paint.ts"
import { table } from "../../src/report/table.ts"
import { rungs } from "../../src/report/verify.ts"
import { formatSize } from "../../src/units.ts"
import { jobs } from "./provider.ts"
import { firstSites, lastSites, providers } from "./sites.ts"
import { type JsonRecord, seconds, type Timed } from "./stage.ts"

const snapshotSchema = z.looseObject({
  dataset: z.string(),
  packs: z.number(),
  bytes: z.number(),
  complete: z.boolean(),
  sites: z.array(z.string()),
})
export type SnapshotLine = z.infer<typeof snapshotSchema>

export function readSnapshots(records: readonly JsonRecord[]): SnapshotLine[] {
  return records.filter(({ type }) => type === "snapshot").map((record) => snapshotSchema.parse(record))
}

/** What `verify --json` says at its end. */
export const verifySchema = z.looseObject({
  dataset: z.string(),
  outcome: z.string(),
  proven: z.string().nullable(),
  packs: z.number(),
  files: z.number(),
  seconds: z.number(),
  rungs: z.array(z.looseObject({ rung: z.string(), result: z.string(), checked: z.number(), detail: z.string() })),
  findings: z.array(z.looseObject({ object: z.string(), site: z.string().optional() })),
})
export type Proof = z.infer<typeof verifySchema>

/** What of each dataset is where: snapshots that each site alone could give back. */
export function matrixText(before: readonly SnapshotLine[], after: readonly SnapshotLine[], paint: Paint): string[] {
  const cell = (lines: readonly SnapshotLine[], dataset: string, site: string): string => {
    const held = lines.filter((line) => line.dataset === dataset && line.sites.includes(site)).length
    return held === 0 ? paint.status("bad", "lost") : paint.status("good", `${String(held)} snapshots`)
  }
  const bytesOf = (dataset: string): number => {
    const own = before.filter((line) => line.dataset === dataset)
    return own.reduce((sum, { bytes }) => sum + bytes, 0)
  }
  return table(
    ["DATASET", ">LISTED", ...sites.map((site) => `${site.toUpperCase()} (${providers[site]})`), "AFTER THE FIRE"],
    jobs.map((job) => [
      job,
      formatSize(bytesOf(job)),
      ...sites.map((site) => cell(before, job, site)),
      sites.map((site) => (after.some((line) => line.dataset === job && line.sites.includes(site)) ? site : "·")).join(" "),
    ]),
  )
}

/** The ladder, rung by rung, for every dataset. */
export function proofText(proofs: readonly Proof[], paint: Paint): string[] {
  const marks = new Map([
    ["passed", paint.status("good", "passed")],
    ["failed", paint.status("bad", "failed")],
    ["not-applicable", paint.faint("· not applicable")],
    ["not-checked", paint.faint("· not checked")],
  ])
  return table(
    ["RUNG", ...proofs.map(({ dataset }) => dataset.toUpperCase()), "MEANS"],
    rungs.map((rung) => [
      rung,
      ...proofs.map((proof) => marks.get(proof.rungs.find((each) => each.rung === rung)?.result ?? "") ?? ""),
      rungMeaning[rung],
    ]),
  )
}

const rungMeaning = {
  present: "all listed",
  checksummed: "provider's sum",
  hashed: "bytes, SHA-256",
  decrypted: "identity opens",
  decoded: "a sound tar",
  loaded: "database runs",
  linked: "CDR ↔ recording",
  matched: "equals source",
} as const satisfies Record<(typeof rungs)[number], string>

export function timesText(times: readonly Timed[]): string[] {
  return table(
    ["STEP", ">TOOK"],
    times.map(({ what, seconds: took }) => [what, seconds(took)]),
  )
}

export interface Restored {
  readonly job: string
  readonly files: number
  readonly bytes: number
  readonly seconds: number
}

export function restoredText(restored: readonly Restored[]): string[] {
  return table(
    ["DATASET", ">FILES", ">SIZE", ">TOOK"],
    restored.map(({ job, files, bytes, seconds: took }) => [job, files.toLocaleString("en-US"), formatSize(bytes), seconds(took)]),
  )
}

/** What the numbers mean, and what they do not. */
export const meaning = [
  "The sites of this demo are directories on one disk: its times say how long the steps take here, not",
  "how fast your sites are. An archive gives back whatever was captured, also recordings that were",
  "deleted since, for as long as their class says; a state gives back its newest whole snapshot.",
  "Not proven: that a database server starts with it (loaded), and that every call record finds its",
  "recording (linked). This release does neither, and it does not lock, expire or repair yet.",
]
