import { rememberApproval, rememberedApprovals, type StoredApproval } from "../catalog/approvals.ts"
import type { Catalog } from "../catalog/catalog.ts"
import { BackupError } from "../errors.ts"
import { type Approval, verifyApproval } from "../format/approval.ts"
import { isApprovalRecord, isControl } from "../format/commit.ts"
import type { TrustList } from "../format/trust.ts"
import { removalGraceMs } from "../limits.ts"
import type { LoggedCommit } from "../vault/log.ts"
import type { Vault } from "../vault/vault.ts"
import type { AgentWorld, KeeperWorld } from "./world.ts"

/** What two people approved, and since when a site has the commit that records it. */
export interface RecordedApproval extends Approval {
  readonly storedAt: Date
}

/** What an approval in a log is judged by, whoever reads it. */
export interface ApprovalReader {
  readonly catalog: Catalog
  readonly repository: Pick<KeeperWorld["repository"], "id">
  /** Every trust list, oldest first. */
  readonly trust: readonly TrustList[]
}

/** A site that two people took out of the count, and the approval that says so. */
export type RetiredSites = ReadonlyMap<string, RecordedApproval>

/**
 * The approvals that these commits record. An agent's signature is not enough for one: the people's are verified here, by each reader
 * for itself, and the catalog remembers what was found. One that does not hold is told, and counts for nothing.
 */
export function approvalsIn(world: ApprovalReader & Pick<KeeperWorld, "tell">, logged: Iterable<LoggedCommit>): RecordedApproval[] {
  const approvals: RecordedApproval[] = []
  for (const { entry, commit } of logged) {
    if (!isControl(commit)) continue
    for (const { statement, signatures } of commit.body.records.filter(isApprovalRecord)) {
      const stored = { statement, signatures, storedAt: entry.storedAt }
      try {
        approvals.push(verified(stored, world))
        rememberApproval(world.catalog, stored)
      } catch (error) {
        if (!(error instanceof BackupError)) throw error
        world.tell({ type: "warning", message: `${entry.key}: an approval is not believed: ${error.message}` })
      }
    }
  }
  return approvals
}

function verified({ statement, signatures, storedAt }: StoredApproval, { repository, trust }: ApprovalReader): RecordedApproval {
  // What was on its way when it lapsed, or when one of its people was removed, may still arrive.
  const at = new Date(storedAt.getTime() - removalGraceMs)
  const inForce = trust.findLast(({ body }) => Date.parse(body.created) <= at.getTime()) ?? trust[0]
  if (inForce === undefined) throw new Error("no trust list")
  const record = { type: "approval" as const, statement, signatures: [...signatures] }
  return { ...verifyApproval(record, { repository: repository.id, lists: trust, inForce, at }), storedAt }
}

/** Which sites have been retired, by these approvals; of several for one site, the oldest. */
export function retiredSites({ approvals }: { readonly approvals: readonly RecordedApproval[] }): RetiredSites {
  const retired = new Map<string, RecordedApproval>()
  for (const approval of approvals.toSorted((a, b) => a.storedAt.getTime() - b.storedAt.getTime())) {
    const { site } = approval.statement.subject
    if (!retired.has(site)) retired.set(site, approval)
  }
  return retired
}

/** The sites that this host knows to be retired without asking any: what was found before saves the waiting for them, and nothing else. */
export function retiredInMemory(reader: ApprovalReader): RetiredSites {
  const approvals = rememberedApprovals(reader.catalog).flatMap((stored) => {
    try {
      return [verified(stored, reader)]
    } catch (error) {
      // By trust lists that this host has not read yet, or by a memory that was damaged: the sites are asked again.
      if (error instanceof BackupError) return []
      throw error
    }
  })
  return retiredSites({ approvals })
}

/** "retired on 2031-03-04 by Ada and Ben (burnt down)": for messages that begin with the site. */
export function retirementText({ storedAt, by, statement }: RecordedApproval): string {
  return `retired on ${storedAt.toISOString().slice(0, 10)} by ${by.join(" and ")} (${statement.reason})`
}

/** The world of an agent without the sites that are retired: nothing is written there any more, and nothing counts on them. Each is told. */
export function leaveOut(world: AgentWorld, retired: RetiredSites): AgentWorld {
  for (const { name } of world.everywhere.sites) {
    const approval = retired.get(name)
    if (approval !== undefined) world.tell({ type: "warning", message: `${name}: ${retirementText(approval)}: nothing is written there` })
  }
  const without = (vault: Vault): Vault => ({ ...vault, sites: vault.sites.filter(({ name }) => !retired.has(name)) })
  return { ...world, vault: without(world.vault), everywhere: without(world.everywhere) }
}
