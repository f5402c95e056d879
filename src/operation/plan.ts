import { timestamp } from "../clock.ts"
import type { RestorePlan } from "../report/restore.ts"
import { count } from "../units.ts"
import { appraise } from "./appraise.ts"
import { type Contents, chooseContents } from "./contents.ts"
import { snapshotReport } from "./history.ts"
import { homecomings } from "./homecoming.ts"
import { countLines, type Expected, isWhole, needsOf } from "./needs.ts"
import { rank } from "./rank.ts"
import type { RestoreRequest } from "./restore.ts"
import type { World } from "./world.ts"

/** What a restore would do: which snapshots, how many files and bytes, from which site and why, how long, for how much. Writes nothing. */
export async function planRestore(request: RestoreRequest, world: World): Promise<RestorePlan> {
  const chosen = await chooseContents(request, world)
  const total = isNarrow(request, chosen) || !isSummed(chosen) ? await countItems(chosen, request) : countLines(chosen)
  const needs = needsOf(chosen, { ...total, whole: isWhole(request) })
  const sites = rank(await appraise(needs, world), request, world.clock.now())
  return {
    dataset: request.dataset,
    mode: chosen.newest.commit.body.mode,
    ...(request.asOf === undefined ? {} : { asOf: timestamp(request.asOf) }),
    snapshots: chosen.snapshots.length,
    newest: snapshotReport(chosen.newest),
    accounts: new Set(chosen.groups.flat().map(({ line }) => line.account)).size,
    ...total,
    fetchBytes: needs.fetchBytes,
    sites,
    estimatedSeconds: sites[0]?.seconds ?? 0,
    warnings: [
      ...chosen.history.gaps.map(({ agent, missing }) => `log of ${agent}: ${count(missing, "commit")} not at the sites asked`),
      ...chosen.losses.map(({ what, detail, unreachable }) => `${what} is ${unreachable ? "out of reach" : "lost"}: ${detail}`),
      ...currencyWarning(sites.flatMap(({ cost }) => (cost === null || cost.amount === 0 ? [] : [cost.currency]))),
    ],
  }
}

/** Whether a partition may hold what is not wanted. */
function isNarrow({ paths, from, to }: RestoreRequest, { newest }: Contents): boolean {
  return paths !== undefined || (newest.commit.body.mode === "state" && (from ?? to) !== undefined)
}

// One run captures each path once. What several captured may be the same path again, which only the manifests tell.
function isSummed({ groups }: Contents): boolean {
  return new Set(groups.flat().map(({ snapshot }) => snapshot)).size <= 1
}

/** Counts what the restore would bring, by the same road. */
async function countItems(chosen: Contents, request: RestoreRequest): Promise<Expected> {
  let [files, bytes] = [0, 0]
  for await (const { items } of homecomings(chosen, request)) {
    for (const { item } of items) {
      if (item.type !== "file" || item.missing !== undefined) continue
      files += 1
      bytes += item.size
    }
  }
  return { files, bytes }
}

function currencyWarning(currencies: readonly string[]): string[] {
  const different = [...new Set(currencies)]
  return different.length <= 1 ? [] : [`prices in ${different.join(" and ")} are compared by their numbers, as if these were one currency`]
}
