import { BackupError } from "../errors.ts"
import { type Commit, isControl, isLedgerAnchorRecord } from "../format/commit.ts"
import type { LedgerAnchor } from "../ledger/verify.ts"
import { commitRecords } from "./control.ts"
import { readLogs } from "./logs.ts"
import type { OwnLog } from "./own-log.ts"
import type { AgentWorld, KeeperWorld } from "./world.ts"

/** How long an entry may wait to be signed: each anchor costs a commit. */
const unanchoredMsMax = 24 * 3_600_000

/** What one agent's commits, in the order of its log, say of its host's ledger. */
function anchorsIn(commits: Iterable<Commit>): LedgerAnchor[] {
  return [...commits].flatMap((commit) =>
    isControl(commit)
      ? commit.body.records.filter(isLedgerAnchorRecord).map(({ n, sha256 }) => ({ n, sha256, commit: String(commit.body.seq) }))
      : [],
  )
}

/**
 * Signs the head of this host's ledger into the agent's log, where an entry has waited a day for it: no entry before it can be changed or
 * cut off unseen then. What is older than it is kept for goes, once what follows from it is signed. Never what a run fails for.
 */
export async function anchorLedger(world: AgentWorld, log: OwnLog): Promise<void> {
  const { ledger, clock } = world
  if (ledger === undefined) return
  try {
    const head = ledger.head()
    const anchors = anchorsIn(log.commits.map(({ commit }) => commit))
    const last = anchors.toSorted((a, b) => a.n - b.n).at(-1)
    if (last !== undefined && head.n < last.n) {
      const message = `this host's ledger has ${String(head.n)} entries, and ${String(last.n)} were signed in commit ${last.commit}: was the machine set back? See \`holdline ledger verify\``
      world.tell({ type: "warning", message })
    }
    const waiting = ledger.firstAfter(anchors.at(-1)?.n ?? 0)
    if (waiting === null || clock.now().getTime() - waiting.getTime() < unanchoredMsMax) return
    const { durable } = await commitRecords(world, log, [{ type: "ledger-anchor", ...head }])
    if (durable) ledger.prune(head)
  } catch (error) {
    if (!(error instanceof BackupError)) throw error
    world.tell({ type: "warning", message: `the ledger is not anchored: ${error.message}` })
  }
}

/** What an agent's log, as the sites that answer have it, says of its host's ledger. What is not believed is told, and counts for nothing. */
export async function readAnchors(world: KeeperWorld, agent: string): Promise<readonly LedgerAnchor[]> {
  const log = (await readLogs(world)).find((one) => one.agent === agent)
  for (const { key, error } of log?.refused ?? []) world.tell({ type: "warning", message: `${key}: not believed: ${error.message}` })
  return anchorsIn((log?.commits ?? []).flatMap(({ believed, commit }) => (believed ? [commit] : [])))
}
