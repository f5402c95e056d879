import { rememberApproval } from "../catalog/approvals.ts"
import { JobError } from "../errors.ts"
import { type Approval, type ApprovalRecord, approvalRecord, decodeStatement, verifyApproval } from "../format/approval.ts"
import { decodeUtf8 } from "../format/canonical.ts"
import { unarmour } from "../format/sshsig.ts"
import { approvalsIn } from "./approvals.ts"
import { commitRecords } from "./control.ts"
import { converge } from "./converge.ts"
import { OwnLog, refuseImpossibleClock } from "./own-log.ts"
import { readSmallFile } from "./small-file.ts"
import { type AgentWorld, inForce } from "./world.ts"

/** What people handed in: a statement, and the signatures that `ssh-keygen -Y sign` wrote. */
export interface HandedIn {
  readonly record: ApprovalRecord
  /** What each signature is called in messages. */
  readonly names: readonly string[]
}

export async function readHandedIn(statementPath: string, signaturePaths: readonly string[]): Promise<HandedIn> {
  const statement = await readSmallFile(statementPath, "statement")
  const names = signaturePaths.map((path) => `signature ${path}`)
  const signatures: Uint8Array[] = []
  for (const [index, path] of signaturePaths.entries()) {
    const what = names[index] ?? path
    signatures.push(unarmour(decodeUtf8(await readSmallFile(path, "signature"), what), what))
  }
  return { record: approvalRecord(statement, signatures), names }
}

export interface RecordedNow extends Approval {
  /** False where this agent's log had it already: recording it again changes nothing. */
  readonly isNew: boolean
  /** The sites that hold the record. */
  readonly held: readonly string[]
}

/**
 * Records in this agent's log what two people approved, once. Nothing may act on it before: from then on every reader verifies the
 * signatures for itself.
 */
export async function recordApproval(world: AgentWorld, { record, names }: HandedIn): Promise<RecordedNow> {
  const log = await OwnLog.read(world)
  refuseImpossibleClock(world, log)
  // Of no dataset: only what every site must have, so that a record which too few sites took at first gets to the others.
  await converge(world, log, "")
  const { id } = decodeStatement(Buffer.from(`${record.statement}\n`), "statement")
  for (const logged of log.commits) {
    const known = approvalsIn(world, [logged]).find(({ statement }) => statement.id === id)
    if (known !== undefined) return { ...known, isNew: false, held: logged.entry.sites }
  }
  const now = world.clock.now()
  const authority = { repository: world.repository.id, lists: world.trust, inForce: inForce(world), at: now }
  const approval = verifyApproval(record, authority, names)
  const { held, missed, durable } = await commitRecords(world, log, [record])
  const { action, subject } = approval.statement
  const details = { action, statement: id, by: approval.by.join(", ").slice(0, 1000) }
  world.tell({ type: "deed", deed: { what: "approval", subject: subject.site, outcome: durable ? "ok" : "failed", details } })
  if (!durable) {
    throw new JobError("job/not-durable", `too few sites took the record: ${missed[0]?.message ?? "no reason given"}`, {
      hint: "bring the other sites back, then repeat the command: nothing counts on it yet",
    })
  }
  rememberApproval(world.catalog, { ...record, storedAt: now })
  return { ...approval, isNew: true, held }
}
