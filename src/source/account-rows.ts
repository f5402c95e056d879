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

/** Takes runs of rows as they come, those of one account after those of another, and gives each account's pieces. */
export class AccountRows {
  readonly #fingerprints: Fingerprints
  readonly #names: PieceNames
  #stableId = ""
  readonly #pieces = new RowPieces()
  #plan: TablePlan | null = null
  #lead = ""
  #sum = new RowSum()

  /** Both are the whole source's. */
  constructor(fingerprints: Fingerprints, names: PieceNames) {
    this.#fingerprints = fingerprints
    this.#names = names
  }

  *add(plan: TablePlan, run: RowRun): Generator<AccountPart> {
    if (this.#plan !== plan || this.#lead !== run.lead) {
      yield* this.#endOfTable()
      const stableId = plan.owner.kind === "one" ? plan.owner.stableId : stableIdOfLead(run.lead, plan.owner.ofNull)
      if (stableId !== this.#stableId) yield* this.#beginAccount(stableId)
      this.#plan = plan
      this.#lead = run.lead
    }
    this.#sum.join(run.sum)
    yield* this.#named(this.#pieces.add(plan.name, run))
    if (plan.namesIn !== null) yield* this.#called(plan.namesIn, run)
  }

  *end(): Generator<AccountPart> {
    yield* this.#endOfTable()
    yield* this.#named(this.#pieces.end())
  }

  *#beginAccount(stableId: string): Generator<AccountPart> {
    yield* this.#named(this.#pieces.end())
    this.#stableId = stableId
  }

  *#endOfTable(): Generator<AccountPart> {
    if (this.#plan === null) return
    const { name, owner } = this.#plan
    this.#fingerprints.add(this.#stableId, name, this.#sum)
    if (owner.kind === "column" && this.#stableId === "mixed") yield { table: name, rows: this.#sum.rows }
    this.#sum = new RowSum()
    this.#plan = null
  }

  *#named(pieces: Iterable<RowPiece>): Generator<AccountPart> {
    for (const piece of pieces) yield { stableId: this.#stableId, piece, name: this.#names.next(this.#stableId, piece) }
  }

  // What paths and people call the account: recordings below its name are kept under the same key as its rows.
  *#called(column: number, run: RowRun): Generator<AccountPart> {
    const lines = Buffer.from(run.bytes).toString("latin1").split("\n").slice(0, -1)
    const names = lines.flatMap((line) => textOf(line.split("\t")[column] ?? "\\N") || [])
    if (names.length > 0) yield { stableId: this.#stableId, names }
  }
}

/** What a field says, as text. */
function textOf(field: string): string | null {
  return unescapeField(Buffer.from(field, "latin1").toString("utf8"))
}
