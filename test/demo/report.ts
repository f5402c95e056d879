import { z } from "zod"
import type { Paint } from "../../src/report/paint.ts"
import { table } from "../../src/report/table.ts"
import { rungs } from "../../src/report/verify.ts"
import { count, formatSize } from "../../src/units.ts"
import { jobs } from "./provider.ts"
import { providers, type SiteName, siteNames } from "./sites.ts"
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

/** What of each dataset was where before anything was lost for good, and at the site that was filled afterwards. */
export function matrixText(before: readonly SnapshotLine[], after: readonly SnapshotLine[], paint: Paint): string[] {
  const cell = (dataset: string, site: SiteName): string => {
    const lines = site === "vie" ? after : before
    const held = lines.filter((line) => line.dataset === dataset && line.sites.includes(site)).length
    return held === 0 ? paint.status("bad", "none") : paint.status("good", count(held, "snapshot"))
  }
  const bytesOf = (dataset: string): number => {
    const own = before.filter((line) => line.dataset === dataset)
    return own.reduce((sum, { bytes }) => sum + bytes, 0)
  }
  return table(
    ["DATASET", ">LISTED", ...siteNames.map((site) => `${site.toUpperCase()} (${providers[site]})`)],
    [
      ...jobs.map((job) => [job, formatSize(bytesOf(job)), ...siteNames.map((site) => cell(job, site))]),
      ["in the end", "", ...siteNames.map((site) => fates[site])],
    ],
  )
}

const fates = { fra: "burnt", "s3-dub": "whole, not asked", "gcs-bru": "closed", vie: "restored from" } as const

/** What went wrong, and what became of it. */
export function troubleText({ retired }: { readonly retired: boolean }): string[] {
  return table(
    ["WHAT WENT WRONG", "WHAT HEALED IT"],
    [
      ["s3-dub died in the middle of a backup", "the run went on with two sites; the next one brought s3-dub level"],
      ["bits rotted at s3-dub and at fra", "scrub found them, repair replaced them from the other sites"],
      ["the account at gcs-bru was closed", `repair filled vie from what was left${retired ? "; two people retired gcs-bru" : ""}`],
      ["fire: switch, backup host, catalog, fra", "recover and restore, from vie alone"],
    ],
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
  "The clouds of this demo are stand-ins on this machine, and its directories lie on one disk: times say how long",
  "the steps take here, not how fast your sites are. An archive gives back whatever was captured, also recordings",
  "that were deleted since, for as long as their class says; a state gives back its newest whole snapshot.",
  "Not shown here: databases and call records, which come back by `holdline restore database`, `account` and `cdrs`,",
  "and which recordings they find. Nothing expires yet.",
]
