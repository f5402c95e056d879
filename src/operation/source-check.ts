import { constants } from "node:fs"
import { access } from "node:fs/promises"
import type { AccessCheck } from "../database/check.ts"
import type { Table } from "../database/database.ts"
import { ConfigError, errnoOf } from "../errors.ts"
import type { Found, Source, SourceItem, SourceMemory } from "../source/source.ts"
import { planTables } from "../source/tables.ts"
import type { Tenancy } from "../source/tenancy.ts"
import { count } from "../units.ts"
import { type Finding, note, right, wrong } from "./doctor.ts"

/** What a look at a job's source found. */
export interface SourceCheck {
  readonly job: string
  /** One line, such as "database pbx". */
  readonly source: string
  readonly findings: readonly Finding[]
  /** SQL that makes the role Holdline reads as; empty where there is none to make. */
  readonly sql: readonly string[]
  /** Lines to add to the tenancy map, once a person has looked at them. */
  readonly lines: readonly string[]
}

/** What is said of a role that could be asked about. */
export function accessFindings(check: string, { findings }: AccessCheck): Finding[] {
  const said = findings.map(({ kind, text, remedy }) => (kind === "note" ? note : wrong)(check, text, remedy))
  return findings.some(({ kind }) => kind !== "note") ? said : [right(check, "the role may read all that is needed"), ...said]
}

export interface TenancyCheck {
  readonly findings: readonly Finding[]
  readonly lines: readonly string[]
}

/** Holds the tenancy map against the tables that are really there, and says what to add. */
export function tenancyFindings(tenancy: Tenancy, tables: readonly Table[], database: string): TenancyCheck {
  const check = "tenancy"
  const apart = tables.filter(({ transactional }) => !transactional).map(({ name }) => name)
  const loose =
    apart.length === 0
      ? []
      : [note(check, `no snapshot covers ${apart.join(", ")}: their engine has no transactions`, "convert them to InnoDB")]
  try {
    const { captured, ignored, cdrs } = planTables(tenancy, tables, database)
    const accounts = captured.filter(({ owner }) => owner.kind === "column").length
    const parts = [
      `${count(captured.length, "table")}, ${String(accounts)} of them by account`,
      ...(ignored.length === 0 ? [] : [`${String(ignored.length)} left out`]),
      ...(cdrs.length === 0 ? [] : [`${String(cdrs.length)} of call detail records`]),
    ]
    const left = ignored.map(({ name, why }) => note(check, `${name} is left out: ${why}`))
    const isMixed = captured.length > 0 && captured.every(({ owner }) => owner.kind === "one" && owner.stableId === "mixed")
    const whose = isMixed ? [note(check, "nothing tells whose the rows are: all are kept under `mixed`", singleHint)] : []
    return { findings: [right(check, parts.join(", ")), ...whose, ...left, ...loose], lines: [] }
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error
    const [first, ...lines] = (error.hint ?? "").split("\n")
    const hint = lines.length > 0 ? "look at them, then add the lines below to the job's `overrides`" : first
    return { findings: [wrong(check, error.message, hint === "" ? undefined : hint), ...loose], lines: lines.map((line) => line.trim()) }
  }
}

/** What to do where no column holds the customer. */
export const singleHint = "where all of it is one customer's, name that one with `single` in the job's `overrides`"

export interface SampleOptions {
  readonly now: Date
  readonly scratch: string
  readonly signal: AbortSignal
  /** Things looked at, at most. */
  readonly things: number
}

/** Asks a source of files what a run would be told, without reading any: what does not fit, and what cannot be read. */
export async function sampleFindings(source: Source, options: SampleOptions): Promise<Finding[]> {
  const sample = new Sample()
  const { now, scratch, signal } = options
  for await (const found of source.capture({ now, scratch, signal, memory: noMemory })) {
    await sample.add(found)
    if (sample.things >= options.things) break
  }
  return sample.findings(options.things)
}

/** A run that never was: everything is new. */
const noMemory: SourceMemory = {
  recall: (_collection, keys) => keys.map(() => null),
  *entries() {
    // Nothing is remembered.
  },
  remember: () => undefined,
  forgetBefore: () => undefined,
  accountNamed: () => undefined,
}

const examplesMax = 3

class Sample {
  #files = 0
  readonly #notes = new Map<string, string[]>()
  readonly #unreadable: string[] = []
  readonly #accounts = new Set<string>()
  #unreadableCount = 0
  things = 0

  async add(found: Found): Promise<void> {
    this.things += 1
    if ("miss" in found) this.#unread(found.miss.path, found.miss.detail)
    else if ("note" in found) {
      const paths = this.#notes.get(found.note.kind) ?? []
      this.#notes.set(found.note.kind, [...paths, found.note.path.toString()])
    } else if ("item" in found) await this.#item(found.item)
  }

  async #item({ type, stableId, path, content }: SourceItem): Promise<void> {
    this.#accounts.add(stableId)
    if (type !== "file") return
    this.#files += 1
    if (content.kind !== "file") return
    try {
      await access(content.path, constants.R_OK)
    } catch (error) {
      const errno = errnoOf(error)
      if (errno === undefined) throw error
      // A file that is gone since is no finding: such trees live.
      if (errno !== "ENOENT") this.#unread(path, errno)
    }
  }

  #unread(path: Buffer, detail: string): void {
    this.#unreadableCount += 1
    if (this.#unreadable.length < examplesMax) this.#unreadable.push(`${path.toString()} (${detail})`)
  }

  findings(most: number): Finding[] {
    const check = "files"
    const unmatched = this.#notes.get("unmatched") ?? []
    const settling = this.#notes.get("settling")?.length ?? 0
    const cut = this.things >= most ? `of the first ${String(most)} entries looked at, ` : ""
    const findings: Finding[] = []
    if (this.#unreadableCount > 0) {
      const text = `${cut}${count(this.#unreadableCount, "file")} cannot be read, such as ${this.#unreadable.join(", ")}`
      findings.push(wrong(check, text, "let the agent's user read them: by its group, or with an access list"))
    }
    if (unmatched.length > 0) {
      const examples = unmatched.slice(0, examplesMax).join(", ")
      const text = `${cut}${String(unmatched.length)} of ${count(this.#files, "file")} do not fit the template, such as ${examples}`
      findings.push(
        wrong(check, text, "correct `template`, or leave them out with `exclude`: a run keeps them under `mixed` and is partial"),
      )
    }
    if (this.#files + settling === 0) findings.push(note(check, "nothing is there to capture", "is it the right directory, and mounted?"))
    if (findings.length > 0) return findings
    const accounts = [...this.#accounts].filter((account) => account !== "mixed" && account !== "platform").length
    const young = settling === 0 ? "" : `; ${count(settling, "file")} too young to be finished`
    return [
      right(check, `${cut}${count(this.#files, "file")} readable${accounts === 0 ? "" : `, of ${count(accounts, "account")}`}${young}`),
    ]
  }
}
