import { JobError } from "../../errors.ts"
import type { Statement } from "./load-statements.ts"

/** What a statement of a dump is for, and how it is run. */
export interface Allowed {
  readonly kind: "setting" | "table" | "rows" | "code" | "trigger" | "event" | "view" | "counter" | "skip"
  /** What is run: without the account in whose name something would act. */
  readonly text: Buffer
  /** Of code its name as SQL writes it. */
  readonly name?: string
  /** Whether such an account was named. */
  readonly definer: boolean
}

const name = "`(?:[^`]|``)+`"
const settable = new Set(
  ["character_set_client", "character_set_results", "collation_connection", "character_set_connection", "sql_mode", "time_zone"].concat([
    "unique_checks",
    "foreign_key_checks",
    "sql_notes",
    "autocommit",
    "note_verbosity",
    "system_versioning_insert_history",
    "sql_quote_show_create",
  ]),
)
/** Engines that keep rows in the database itself. */
const engines = /^(?:innodb|aria|myisam|memory|rocksdb|archive|csv|mroonga|columnstore|sequence)$/i

/**
 * Says whether the server's own dump program writes such a statement, and which part of a dump it is. Throws a JobError for all others: a
 * dump is data from elsewhere, and must reach nothing but the database it is loaded into.
 */
export function allowed({ text, line }: Statement): Allowed {
  const head = plain(text.toString("latin1", 0, headBytes))
  for (const rule of rules) {
    const found = rule(head, text)
    if (found !== null) return found
  }
  const word = /^\s*([A-Za-z]+(?:\s+[A-Za-z]+)?)/.exec(head)?.[1] ?? "something"
  throw new JobError("job/target", `line ${line} of the dump: a statement that no dump has: ${word.slice(0, 40)}`, {
    hint: "the dump is not what the server's own tool writes; nothing more of it was run",
  })
}

/** Statements are told by their beginning; a list of columns is longer than any other. */
const headBytes = 256 * 1024

/** Without the marks of comments that servers of some versions run. */
function plain(text: string): string {
  return text
    .replace(/\/\*M?!\d*/g, " ")
    .replaceAll("*/", " ")
    .trim()
}

type Rule = (head: string, text: Buffer) => Allowed | null

const whole = (kind: Allowed["kind"], text: Buffer): Allowed => ({ kind, text, definer: false })

function matching(kind: Allowed["kind"], pattern: RegExp): Rule {
  return (head, text) => (pattern.test(head) ? whole(kind, text) : null)
}

const rules: readonly Rule[] = [
  (head, text) => (isSetting(head) && text.length < headBytes ? whole("setting", text) : null),
  (head, text) =>
    new RegExp(`^INSERT (?:IGNORE )?INTO ${name}(?: \\((?:${name},? ?)+\\))? VALUES\\s`, "i").test(head) && onlyLiterals(text)
      ? whole("rows", text)
      : null,
  matching(
    "skip",
    new RegExp(
      `^(?:LOCK TABLES (?:${name} WRITE,? ?)+|UNLOCK TABLES|ALTER TABLE ${name} (?:DISABLE|ENABLE) KEYS|COMMIT|START TRANSACTION|BEGIN)$`,
      "i",
    ),
  ),
  matching("table", new RegExp(`^DROP (?:TABLE|SEQUENCE) IF EXISTS ${name}$`, "i")),
  matching("view", new RegExp(`^DROP VIEW IF EXISTS ${name}$`, "i")),
  matching("code", new RegExp(`^DROP (?:PROCEDURE|FUNCTION|PACKAGE|PACKAGE BODY) IF EXISTS ${name}$`, "i")),
  matching("trigger", new RegExp(`^DROP TRIGGER IF EXISTS ${name}$`, "i")),
  matching("event", new RegExp(`^DROP EVENT IF EXISTS ${name}$`, "i")),
  (head, text) => (text.length < headBytes && isTable(head) ? whole("table", text) : null),
  matching("table", new RegExp(`^CREATE SEQUENCE ${name} [a-z0-9 -]+(?: ENGINE=\\w+)?$`, "i")),
  matching("counter", new RegExp(`^(?:DO|SELECT) SETVAL\\(${name}, -?\\d+, [01](?:, \\d+)?\\)$`, "i")),
  alterDatabase,
  code,
]

function isSetting(head: string): boolean {
  const assignments = /^SET (?:SESSION )?(.+)$/is.exec(head)?.[1]
  if (assignments === undefined || /[()]/.test(assignments)) return false
  if (/^NAMES \w+$/i.test(assignments)) return true
  return assignments.split(/,(?=(?:[^']*'[^']*')*[^']*$)/).every((assignment) => {
    const parts = /^\s*(@?)(\w+)\s*=\s*(?:'[\w+:, /-]*'|@{0,2}\w+|@@\w+)\s*$/.exec(assignment)
    return parts !== null && (parts[1] === "@" || settable.has((parts[2] ?? "").toLowerCase()))
  })
}

/** Of a table the columns and keys, and an engine that keeps its rows here; no rows of another table, no path on the server. */
function isTable(head: string): boolean {
  if (!new RegExp(`^CREATE TABLE (?:IF NOT EXISTS )?${name} \\(`, "i").test(head)) return false
  const without = head.replace(new RegExp(`${name}|'(?:[^'\\\\]|\\\\.|'')*'`, "g"), " x ")
  const tail = without.slice(without.lastIndexOf(")") + 1)
  const engine = /ENGINE\s*=\s*(\w+)/i.exec(without)?.[1]
  if (engine !== undefined && !engines.test(engine)) return false
  return !/\b(?:SELECT|DATA\s+DIRECTORY|INDEX\s+DIRECTORY|CONNECTION\s*=|UNION\s*=)\b/i.test(without) && tail.length < 10_000
}

/** Strings, numbers, NULL and brackets: what calls a function or asks another table is no row. */
function onlyLiterals(text: Buffer): boolean {
  const start = text.indexOf("VALUES", 0, "latin1")
  let at = start + "VALUES".length
  for (let within = false; at < text.length; ) {
    const byte = text[at] ?? 0
    if (byte <= 0x20 || byte === comma) at += 1
    else if (byte === open || byte === close) {
      if (within === (byte === open)) return false
      within = byte === open
      at += 1
    } else {
      at = within ? endOfLiteral(text, at) : -1
      if (at === -1) return false
    }
  }
  return start !== -1
}

const [comma, open, close, quote, backslash] = Buffer.from(",()'\\")

/** Where the literal that begins here ends; -1 where none does. */
function endOfLiteral(text: Buffer, from: number): number {
  const word = text.toString("latin1", from, from + wordBytes)
  const prefix = /^(?:_binary |b|x)?(?=')/i.exec(word)?.[0]
  if (prefix === undefined) {
    const bare = /^(?:NULL|0x|-?[0-9.]+(?:e[+-]?[0-9]+)?)(?=[^0-9a-z_]|$)|^0x[0-9a-f]/i.exec(word)?.[0]
    if (bare === undefined) return -1
    let end = from + bare.length
    if (/^0x/i.test(bare)) while (isHex(text[end] ?? 0)) end += 1
    return isWord(text[end] ?? 0) ? -1 : end
  }
  for (let at = from + prefix.length + 1; at < text.length; at += 1) {
    if (text[at] === backslash) at += 1
    else if (text[at] === quote && text[at + 1] === quote) at += 1
    else if (text[at] === quote) return at + 1
  }
  return -1
}

/** No number is longer. */
const wordBytes = 1024

function isHex(byte: number): boolean {
  return (byte >= 0x30 && byte <= 0x39) || (byte >= 0x41 && byte <= 0x46) || (byte >= 0x61 && byte <= 0x66)
}

function isWord(byte: number): boolean {
  return isHex(byte) || (byte >= 0x41 && byte <= 0x5a) || (byte >= 0x61 && byte <= 0x7a) || byte === 0x5f
}

/** Around routines of another collation; the database is another one now. */
function alterDatabase(head: string): Allowed | null {
  const set = new RegExp(`^ALTER DATABASE ${name} (CHARACTER SET \\w+ COLLATE \\w+)$`, "i").exec(head)?.[1]
  return set === undefined ? null : whole("code", Buffer.from(`ALTER DATABASE ${set}`))
}

const account = "(?:`[^`]*`|'[^']*'|\\w+)@(?:`[^`]*`|'[^']*'|[\\w.%]+)"

/** Views, routines, triggers and events: made for whoever loads them, not in the name of someone of another server. */
function code(head: string, text: Buffer): Allowed | null {
  const options = `(?:OR REPLACE )?(?:ALGORITHM\\s?=\\s?\\w+ )?(?:DEFINER\\s?=\\s?${account} )?(?:SQL SECURITY \\w+ )?(?:AGGREGATE )?`
  const found = new RegExp(
    `^CREATE ${options}(VIEW|TRIGGER|PROCEDURE|FUNCTION|EVENT|PACKAGE BODY|PACKAGE) (?:IF NOT EXISTS )?(${name}|[\\w$]+)(?![.\\w$])`,
    "i",
  ).exec(head.replace(/\s+/g, " "))
  const [kind, called] = [found?.[1]?.toUpperCase(), found?.[2]]
  if (kind === undefined || called === undefined || /\bRETURNS \w+ SONAME\b/i.test(head.replace(/\s+/g, " "))) return null
  const start = text.toString("latin1", 0, definerWithin)
  const without = start.replace(new RegExp(`DEFINER\\s?=\\s?${account}`, "i"), "")
  const changed = Buffer.concat([Buffer.from(without, "latin1"), text.subarray(definerWithin)])
  const kinds: ReadonlyMap<string, Allowed["kind"]> = new Map([
    ["VIEW", "view"],
    ["TRIGGER", "trigger"],
    ["EVENT", "event"],
  ])
  return { kind: kinds.get(kind) ?? "code", text: changed, name: called, definer: without !== start }
}

/** A definer stands before the name. */
const definerWithin = 1024
