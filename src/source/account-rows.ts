import { type RowRun, RowSum, unescapeField } from "../database/rows.ts"
import type { Fingerprints } from "./fingerprints.ts"
import type { PieceNames } from "./piece-names.ts"
import { type RowPiece, RowPieces } from "./row-pieces.ts"
import type { AccountNames } from "./source.ts"
import { stableIdOfLead, type TablePlan } from "./tables.ts"

/** Rows of an account that are kept as one item. */
export interface AccountPiece {
  readonly stableId: string
  readonly piece: RowPiece
  /** What its file is called. */
  readonly name: string
}

/** Rows of a table that has accounts, and that are of none. */
export interface Unattributed {
  readonly table: string
  readonly rows: number
}

export type AccountPart = AccountPiece | AccountNames | Unattributed

const none: readonly AccountPart[] = []

/** Takes runs of rows as they come, those of one account after those of another, and gives each account's pieces. */
export class AccountRows {
  readonly #fingerprints: Fingerprints
  readonly #names: PieceNames
  #stableId = ""
  readonly #pieces = new RowPieces()
  #plan: TablePlan | null = null
  #lead = ""
  readonly #sum = new RowSum()
  #parts: AccountPart[] = []
  /** Whose the lead looked at last is. */
  #owner = { lead: "", ofNull: "", stableId: "" }

  /** Both are the whole source's. */
  constructor(fingerprints: Fingerprints, names: PieceNames) {
    this.#fingerprints = fingerprints
    this.#names = names
  }

  /** Adds rows; gives what is whole now. */
  add(plan: TablePlan, run: RowRun): readonly AccountPart[] {
    if (this.#plan !== plan || this.#lead !== run.lead) {
      this.#endTable()
      const stableId = this.#ownerOf(plan, run.lead)
      if (stableId !== this.#stableId) this.#endAccount(stableId)
      this.#plan = plan
      this.#lead = run.lead
    }
    this.#sum.join(run.sum)
    this.#name(this.#pieces.add(plan.name, run))
    if (plan.namesIn !== null) this.#call(plan.namesIn, run)
    return this.#take()
  }

  end(): readonly AccountPart[] {
    this.#endTable()
    this.#endAccount("")
    return this.#take()
  }

  // Tables come side by side, lead by lead: the next is nearly always the same.
  #ownerOf({ owner }: TablePlan, lead: string): string {
    if (owner.kind === "one") return owner.stableId
    const { ofNull } = owner
    if (this.#owner.lead !== lead || this.#owner.ofNull !== ofNull) this.#owner = { lead, ofNull, stableId: stableIdOfLead(lead, ofNull) }
    return this.#owner.stableId
  }

  #endAccount(next: string): void {
    this.#name(this.#pieces.end())
    this.#stableId = next
  }

  #endTable(): void {
    if (this.#plan === null) return
    const { name, owner } = this.#plan
    this.#fingerprints.add(this.#stableId, name, this.#sum)
    if (owner.kind === "column" && this.#stableId === "mixed") this.#parts.push({ table: name, rows: this.#sum.rows })
    this.#sum.clear()
    this.#plan = null
  }

  #name(pieces: readonly RowPiece[]): void {
    for (const piece of pieces) this.#parts.push({ stableId: this.#stableId, piece, name: this.#names.next(this.#stableId, piece) })
  }

  #take(): readonly AccountPart[] {
    if (this.#parts.length === 0) return none
    const taken = this.#parts
    this.#parts = []
    return taken
  }

  // What paths and people call the account: recordings below its name are kept under the same key as its rows.
  #call(column: number, run: RowRun): void {
    const lines = Buffer.from(run.bytes).toString("latin1").split("\n").slice(0, -1)
    const names = lines.flatMap((line) => textOf(line.split("\t")[column] ?? "\\N") || [])
    if (names.length > 0) this.#parts.push({ stableId: this.#stableId, names })
  }
}

/** What a field says, as text. */
function textOf(field: string): string | null {
  return unescapeField(Buffer.from(field, "latin1").toString("utf8"))
}
