import { rememberProof } from "../catalog/proofs.ts"
import { rememberSiteProof } from "../catalog/site-memory.ts"
import { timestamp } from "../clock.ts"
import { type Rung, rungs, type VerifyReport } from "../report/verify.ts"
import { chooseSnapshots, readHistory } from "./history.ts"
import { Ladder } from "./ladder.ts"
import { Verification, type VerifyRequest } from "./verification.ts"
import type { World } from "./world.ts"

const units: Readonly<Record<Rung, readonly [string, string]>> = {
  present: ["object at a site", "objects at sites"],
  checksummed: ["object at a site", "objects at sites"],
  hashed: ["object at a site", "objects at sites"],
  decrypted: ["segment", "segments"],
  decoded: ["segment", "segments"],
  loaded: ["database", "databases"],
  linked: ["reference", "references"],
  matched: ["file", "files"],
}

/** Climbs the ladder: which of what was promised is there, and is what it was. Reads everything it judges; writes nothing at any site. */
export async function verify(request: VerifyRequest, world: World): Promise<VerifyReport> {
  const started = world.clock.now()
  const history = await readHistory(world)
  const snapshots = chooseSnapshots(history, request)
  const newest = snapshots.at(-1)
  if (newest === undefined) throw new Error("no snapshot was chosen")
  const ladder = new Ladder()
  const warnings: string[] = []
  const work = new Verification({ ...world, tell: (event) => tellAndKeep(event, world, warnings) }, request, ladder, history)
  try {
    await work.begin(snapshots)
    for (const snapshot of snapshots) await work.snapshot(snapshot)
  } finally {
    await world.pool.abandon()
  }
  explainSkipped(request, ladder)
  const report = ladder.report((rung) => units[rung])
  const proven = ladder.proven(report)
  const time = timestamp(world.clock.now())
  const outcome = ladder.findingCount === 0 ? ("ok" as const) : ("findings" as const)
  rememberProof(world.catalog, { dataset: request.dataset, rung: proven ?? "none", outcome, time, commit: newest.commit.sha256 })
  const details = { proven: proven ?? "none", findings: ladder.findingCount, snapshots: snapshots.length }
  world.tell({ type: "deed", deed: { what: "verify", subject: request.dataset, outcome: outcome === "ok" ? "ok" : "failed", details } })
  for (const name of work.readSites()) rememberSiteProof(world.catalog, name, newest.commit.body.dataset, time)
  return {
    dataset: request.dataset,
    outcome,
    proven,
    snapshots: snapshots.length,
    newest: {
      run: newest.commit.body.run,
      sha256: newest.commit.sha256,
      storedAt: timestamp(newest.entry.storedAt),
      complete: newest.commit.body.complete,
    },
    ...work.totals(),
    rungs: report,
    findings: ladder.findings,
    findingCount: ladder.findingCount,
    started: timestamp(started),
    seconds: (world.clock.now().getTime() - started.getTime()) / 1000,
    warnings,
  }
}

function tellAndKeep(event: Parameters<World["tell"]>[0], world: World, warnings: string[]): void {
  if (event.type === "failover" || event.type === "warning") warnings.push(event.message)
  world.tell(event)
}

function explainSkipped({ identities, upTo }: VerifyRequest, ladder: Ladder): void {
  ladder.skip("checksummed", "not-applicable", "these sites keep no checksum of their own; hashed reads every byte instead")
  ladder.skip("loaded", "not-checked", "no database is loaded to verify; `holdline restore database` loads one, and compares it")
  ladder.skip("linked", "not-checked", "runs of a job with `links` count which recordings of its call records are kept")
  for (const rung of ["hashed", "decrypted", "decoded", "matched"] as const) {
    if (rung !== "hashed" && identities.length === 0)
      ladder.skip(rung, "not-checked", "needs an identity of the organisation: --identity FILE")
    else if (rungs.indexOf(rung) > rungs.indexOf(upTo)) ladder.skip(rung, "not-checked", `not asked for: only up to ${upTo}`)
  }
}
