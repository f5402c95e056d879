import { z } from "zod"
import { ConfigError } from "../errors.ts"
import { durationSchema } from "./duration.ts"
import { parseTemplate } from "./template.ts"
import { type Tenancy, tenancySchema } from "./tenancy.ts"

const identifier = z.string().min(1).max(128)
const name = z.string().regex(/^[A-Za-z0-9][A-Za-z0-9_-]{0,62}$/, "expected a name of letters, digits, dashes and underscores")
const absolutePath = z.string().regex(/^\/[^\0]*$/, "expected an absolute path")
const description = z.string().min(1).max(400).optional().describe("one sentence for people")
const withoutAccount = z
  .enum(["platform", "mixed"])
  .optional()
  .describe("whose rows without an account are; default `mixed`, and the run is partial for them")

const moment = z.strictObject({
  column: identifier.describe("the column that holds it"),
  stored: z
    .enum(["instant", "local", "epoch"])
    .describe("`instant`: date and time with a zone; `local`: without one; `epoch`: seconds since 1970"),
  timezone: z
    .string()
    .min(1)
    .optional()
    .describe("the zone its days are counted in and, where it is `local`, the zone it was written in; default: the job's"),
})

/** The same rules for what is written, where durations are texts, and for what was read and merged, where they are milliseconds. */
function partsWith(duration: z.ZodType<number, unknown>) {
  const media = z.strictObject({
    files: name.describe("the entry of `files` that holds the medium"),
    path: z
      .string()
      .min(1)
      .max(1000)
      .describe(
        "where the medium is, from columns in braces and {yyyy} {MM} {dd} of the row's day; a column that holds an absolute path replaces all before it",
      ),
    root: absolutePath.optional().describe("the root of these paths as rows have it; default: the path of `files`"),
    days: z.int().min(0).max(7).optional().describe("by how many days the dates in the path may differ from the row's day; default 0"),
    purged: duration.optional().describe("a medium missing this long after the call was purged by the platform; default: never"),
  })
  const cdr = z.strictObject({
    account: identifier.optional().describe("the column that holds the account; default: the database's single account, else `mixed`"),
    null: withoutAccount,
    day: moment.describe("when the call was: its day is the partition"),
    ended: moment.optional().describe("when the call ended; default: `day`"),
    insert: moment
      .optional()
      .describe("when the row was written; default: `day`, so that late rows are found by the compare of the window"),
    update: moment.optional().describe("when the row last changed; default: never known, so that changes are found by the compare"),
    key: z
      .array(identifier)
      .optional()
      .describe("the columns that tell rows apart; default: the table's own key; `[]`: none, rows are told apart by their content"),
    overlap: duration.optional().describe("how far each run looks back behind the newest row it knows; default 25h"),
    window: duration.optional().describe("how long rows may still change: so far back a full compare reads; default 35d"),
    media: z.array(media).optional().describe("the recordings, voicemail and faxes that a row points at"),
  })
  const files = z.strictObject({
    description,
    mode: z.enum(["archive", "state"]).describe("`archive`: files are added, each for a day; `state`: a tree that changes as a whole"),
    path: absolutePath.describe("the root on the switch"),
    template: z
      .string()
      .optional()
      .describe("archive mode: where account and day stand in a path; without {account} everything is `account`'s"),
    account: z.string().min(1).max(200).optional().describe("whose all files are: a stable id, `platform` or `mixed`"),
    settle: duration.optional().describe("archive mode: how long a file must be unchanged before it counts as finished; default 5m"),
    exclude: z.array(z.string().min(1)).optional().describe("glob patterns below `path` that are left out"),
  })
  const csv = z.strictObject({
    description,
    path: absolutePath.describe("the directory of the files"),
    files: z
      .array(z.string().min(1))
      .nonempty()
      .describe("glob patterns of file names, rotated ones included; a file that repeats another's records is left out of them"),
    columns: z
      .union([z.literal("header"), z.array(identifier).nonempty()])
      .describe("the names of the fields in their order, or `header`: each file's first line names them"),
    delimiter: z.string().length(1).optional().describe("between fields; default a comma"),
    quote: z.string().length(1).optional().describe('around fields, doubled within; default "'),
    account: identifier.optional().describe("the field that holds the account; default: the source's single account, else `mixed`"),
    null: withoutAccount,
    day: moment.describe("the field with the time of the call"),
  })
  return { cdr, files, csv }
}

const tables = tenancySchema.shape.tables.unwrap().optional().describe("whose the rows of each table are")
const patterns = tenancySchema.shape.patterns.unwrap().optional().describe("rules for tables by pattern; a table's own line comes first")
const tableOrPattern = z
  .string()
  .regex(/^[^.]+(\.[^.]+)?$/, "expected a table")
  .describe("a table; {YYYYMM} stands for a month, {YYYY} for a year")

function profileWith({ cdr, files, csv }: ReturnType<typeof partsWith>) {
  const database = z.strictObject({
    ...{ description, accounts: tenancySchema.shape.accounts, single: tenancySchema.shape.single, tables, patterns },
    cdrs: z.record(tableOrPattern, cdr).optional().describe("tables of call detail records, captured by a job of their own"),
  })
  return z
    .strictObject({
      version: z.literal(1).describe("the form of this file; always 1"),
      platform: name.describe("the telephony platform"),
      description: z.string().min(1).max(400).describe("one sentence for people"),
      databases: z.record(identifier, database).optional().describe("its databases, by their usual names"),
      csv: z.record(name, csv).optional().describe("its files of call detail records"),
      files: z.record(name, files).optional().describe("its directories"),
    })
    .superRefine((profile, context) => {
      for (const { path, message } of contradictions(profile))
        context.addIssue({ code: "custom", path: [...path], message, input: profile })
    })
}

const written = partsWith(durationSchema)

/** What a profile file says: a platform's databases, call detail records and directories, as data. */
export const profileSchema = profileWith(written)

export type Profile = z.output<typeof profileSchema>
export type ProfileDatabase = NonNullable<Profile["databases"]>[string]
export type ProfileCdr = NonNullable<ProfileDatabase["cdrs"]>[string]
export type ProfileFiles = NonNullable<Profile["files"]>[string]
export type ProfileMedia = NonNullable<ProfileCdr["media"]>[number]
export type ProfileMoment = ProfileCdr["day"]

/** What a job may say differently; it needs to name only what differs. */
export const profileOverrides = z
  .strictObject({
    databases: z
      .record(
        identifier,
        z.strictObject({
          ...{ accounts: tenancySchema.shape.accounts, single: tenancySchema.shape.single, tables, patterns },
          cdrs: z.record(tableOrPattern, written.cdr.partial()).optional(),
        }),
      )
      .optional(),
    csv: z.record(name, written.csv.partial()).optional(),
    files: z.record(name, written.files.partial()).optional(),
  })
  .describe("what is different here from the profile")

export type ProfileOverrides = z.output<typeof profileOverrides>

const merged = profileWith(partsWith(z.number()))

/**
 * The profile as a job sees it. A table's rule replaces the profile's; patterns come before the profile's; of an entry of `cdrs`, `csv`
 * and `files` only the keys that are named are replaced. Throws a ConfigError where the result is no whole profile.
 */
export function mergeProfile(profile: Profile, overrides: ProfileOverrides): Profile {
  const databases = eachMerged(profile.databases, overrides.databases, (base, over) => ({
    ...base,
    ...over,
    tables: { ...base?.tables, ...over.tables },
    patterns: [...(over.patterns ?? []), ...(base?.patterns ?? [])],
    cdrs: entriesMerged(base?.cdrs, over.cdrs),
  }))
  const files = entriesMerged(profile.files, overrides.files)
  const result = merged.safeParse({ ...profile, databases, files, csv: entriesMerged(profile.csv, overrides.csv) })
  if (result.success) return result.data
  const problems = result.error.issues.map((issue) => `${issue.path.join(".")}: ${issue.message}`)
  throw new ConfigError("config/invalid", `the job's changes to the profile ${profile.platform} do not fit: ${problems.join("; ")}`, {
    hint: "an entry that the profile does not have must be complete",
  })
}

function entriesMerged<T extends object, U extends object>(base: Entries<T>, over: Entries<U>): Record<string, unknown> {
  return eachMerged<T, U>(base, over, (before, after) => ({ ...before, ...after }))
}

type Entries<T> = Readonly<Record<string, T>> | undefined

function eachMerged<T, U>(base: Entries<T>, over: Entries<U>, merge: (base: T | undefined, over: U) => unknown): Record<string, unknown> {
  const before = new Map(Object.entries(base ?? {}))
  const after = Object.entries(over ?? {}).map(([key, value]): [string, unknown] => [key, merge(before.get(key), value)])
  return Object.fromEntries([...before, ...after])
}

/** The database of that name; where there is none, the profile's only one. Throws a ConfigError that names those there are. */
export function databaseOf(profile: Profile, databaseName: string): ProfileDatabase {
  const databases = Object.entries(profile.databases ?? {})
  const found = databases.find(([known]) => known === databaseName) ?? (databases.length === 1 ? databases[0] : undefined)
  if (found !== undefined) return found[1]
  const known = databases.map(([each]) => each).join(", ")
  throw new ConfigError("config/invalid", `the profile ${profile.platform} knows no database ${databaseName}`, {
    hint: known === "" ? "it knows no databases at all" : `it knows ${known}; name the one this database is like`,
  })
}

/** Whose the rows of a database are. Tables of call detail records are left to the jobs of these, unless a line of their own says more. */
export function tenancyOf(profile: Profile, databaseName: string, overrides: ProfileOverrides = {}): Tenancy {
  const {
    accounts,
    single,
    tables: own = {},
    patterns: listed = [],
    cdrs = {},
  } = databaseOf(mergeProfile(profile, overrides), databaseName)
  const names = Object.keys(cdrs).filter((table) => !table.includes("{"))
  const globs = Object.keys(cdrs).filter((table) => table.includes("{"))
  return {
    ...(accounts !== undefined && { accounts }),
    ...(single !== undefined && { single }),
    tables: { ...Object.fromEntries(names.map((table) => [table, { cdr: true } as const])), ...own },
    patterns: [...globs.map((table) => ({ match: globOf(table), rule: { cdr: true } as const })), ...listed],
  }
}

/** A table of call detail records that the server has. */
export interface CdrTable {
  /** As it was given. */
  readonly table: string
  readonly rules: ProfileCdr
}

/**
 * Which of a database's tables hold call detail records, in the order given: names such as "v_xml_cdr" or "public.v_xml_cdr". A table to
 * which a line of `tables` gives another rule is left out.
 */
export function cdrTablesOf(profile: Profile, databaseName: string, tables: readonly string[]): CdrTable[] {
  const { tables: own = {}, cdrs = {} } = databaseOf(profile, databaseName)
  const rules = new Map(Object.entries(cdrs))
  const patterned = [...rules].filter(([table]) => table.includes("{")).map(([table, each]) => ({ pattern: regexOf(table), each }))
  return tables.flatMap((table) => {
    const names = [table, table.slice(table.indexOf(".") + 1)]
    const line = names.map((each) => own[each]).find((rule) => rule !== undefined)
    if (line !== undefined && !(typeof line === "object" && "cdr" in line)) return []
    const found = names.map((each) => rules.get(each)).find((each) => each !== undefined)
    const chosen = found ?? patterned.find(({ pattern }) => names.some((each) => pattern.test(each)))?.each
    return chosen === undefined ? [] : [{ table, rules: chosen }]
  })
}

const monthOrYear: ReadonlyMap<string, { readonly glob: string; readonly regex: string }> = new Map([
  ["{YYYYMM}", { glob: "{19,20}[0-9][0-9]{0[1-9],1[0-2]}", regex: "(?:19|20)\\d{2}(?:0[1-9]|1[0-2])" }],
  ["{YYYY}", { glob: "{19,20}[0-9][0-9]", regex: "(?:19|20)\\d{2}" }],
])

function globOf(table: string): string {
  return table.replace(/\{[^{}]*\}/g, (piece) => monthOrYear.get(piece)?.glob ?? piece)
}

function regexOf(table: string): RegExp {
  const pieces = table.split(/(\{[^{}]*\})/)
  return new RegExp(`^${pieces.map((piece) => monthOrYear.get(piece)?.regex ?? RegExp.escape(piece)).join("")}$`)
}

interface Contradiction {
  readonly path: readonly string[]
  readonly message: string
}

function* contradictions(profile: Profile): Generator<Contradiction> {
  for (const [database, { cdrs }] of Object.entries(profile.databases ?? {})) {
    for (const [table, rules] of Object.entries(cdrs ?? {})) {
      const path = ["databases", database, "cdrs", table]
      const unknown = [...table.matchAll(/\{[^{}]*\}|[{}]/g)].find(([piece]) => !monthOrYear.has(piece))
      if (unknown !== undefined) yield { path, message: "expected {YYYYMM} or {YYYY} in braces" }
      for (const [index, { files }] of (rules.media ?? []).entries()) {
        if (profile.files?.[files] === undefined)
          yield { path: [...path, "media", String(index), "files"], message: `expected a name in \`files\`` }
      }
    }
  }
  for (const [entry, files] of Object.entries(profile.files ?? {})) yield* wrongFiles(files, ["files", entry])
}

function* wrongFiles(files: ProfileFiles, path: readonly string[]): Generator<Contradiction> {
  const { mode, template, account } = files
  const own = template?.includes("{account}") === true
  if (mode === "state" && template !== undefined) yield { path: [...path, "template"], message: "expected none in state mode" }
  if (mode === "archive" && template === undefined) yield { path, message: "archive mode needs a template" }
  if (own === (account !== undefined)) {
    yield { path, message: "expected either {account} in the template or an account" }
    return
  }
  if (template === undefined) return
  try {
    parseTemplate(template, account)
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error
    yield { path: [...path, "template"], message: error.message }
  }
}
