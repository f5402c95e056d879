import { type Profile, type ProfileCdr, type ProfileDatabase, type ProfileMoment, profileSchema } from "../source/profile.ts"
import type { TableRule } from "../source/tenancy.ts"
import { jsonSchemaOf } from "./fields.ts"
import { keyTables } from "./reference.ts"

/** docs/profiles.md, made from the shipped profiles and from the schema of profiles, so that it cannot say anything else than they do. */
export function profileReference(profiles: readonly Profile[]): string {
  return `${[introduction, ...profiles.flatMap(chapter), keysIntroduction, ...keyTables(jsonSchemaOf(profileSchema), [])].join("\n\n")}\n`
}

const introduction = `# Profiles

<!-- Made from src/source/profiles/ and their schema by \`node test/config/generate.ts\`; change those, not this. -->

A profile says where a telephony platform keeps what: whose the rows of each table are, which tables are call detail records, where
recordings and voicemail lie. A job names one with \`profile\`; how that is used is in [databases.md](databases.md) and
[howto-cdrs.md](howto-cdrs.md). What comes with Holdline is listed below, as its files say it; a file of your own is named by its path.

## Overrides

A job says in \`overrides\` what is different here, with the same keys as a profile; it names only what differs.

\`\`\`yaml
source:
  kind: database
  database: pbx
  like: fusionpbx
  profile: fusionpbx
  overrides:
    databases:
      fusionpbx:
        tables:
          v_our_own_table: {account: domain_uuid}
\`\`\`

- A table's line replaces the profile's for that table. Lines of \`patterns\` come before the profile's.
- Of an entry of \`cdrs\`, \`csv\` and \`files\` only the keys that are named are replaced. An entry that the profile does not have must be whole.`

const keysIntroduction = `## What a profile says

A profile is a YAML file with these keys. Every mistake is reported as \`file:line:column: what was expected\`.`

function chapter(profile: Profile): string[] {
  const { platform, description, databases = {}, csv = {}, files = {} } = profile
  return [
    `## \`${platform}\``,
    `${description}.`,
    ...Object.entries(databases).flatMap(([name, database]) => databaseSection(name, database)),
    ...table("### Files of call detail records", ["entry", "files", "account", "day"], Object.entries(csv), ([name, entry]) => [
      code(name),
      entry.files.map((glob) => code(`${entry.path}/${glob}`)).join(", "),
      entry.account === undefined ? "the source's single account, else `mixed`" : `field ${code(entry.account)}`,
      moment(entry.day),
    ]),
    ...table("### Directories", ["entry", "what", "mode", "where", "account"], Object.entries(files), ([name, entry]) => [
      code(name),
      [entry.description ?? "", ...(entry.exclude === undefined ? [] : [`without ${entry.exclude.map(code).join(", ")}`])].join("; "),
      entry.mode,
      code(entry.template === undefined ? entry.path : `${entry.path}/${entry.template}`),
      entry.account === undefined ? "by its place in the path" : code(entry.account),
    ]),
  ]
}

function databaseSection(name: string, database: ProfileDatabase): string[] {
  const { description, accounts, single, cdrs = {} } = database
  const about = [
    ...(description === undefined ? [] : [`${description}.`]),
    ...(accounts === undefined ? [] : [`The accounts stand in ${code(accounts.table)}, by ${code(accounts.id)}${named(accounts.name)}.`]),
    ...(single === undefined ? [] : [`All rows are those of ${code(single)}.`]),
  ]
  return [
    `### Database \`${name}\``,
    ...(about.length === 0 ? [] : [about.join(" ")]),
    ...table("", ["whose", "tables"], [...byOwner(database)], ([owner, tables]) => [owner, tables.map(code).join(", ")]),
    ...table(
      "",
      ["call detail records", "account", "day", "new rows", "changed rows", "rows are told apart by", "media"],
      Object.entries(cdrs),
      cdrRow,
    ),
  ]
}

function named(column: string | undefined): string {
  return column === undefined ? "" : `; paths and people call them by ${code(column)}`
}

function byOwner({ tables = {}, patterns = [] }: ProfileDatabase): Map<string, string[]> {
  const owners = new Map<string, string[]>()
  const add = (rule: TableRule, name: string): void => {
    owners.set(ownerText(rule), [...(owners.get(ownerText(rule)) ?? []), name])
  }
  for (const [name, rule] of Object.entries(tables)) add(rule, name)
  for (const { match, rule } of patterns) add(rule, match)
  return owners
}

function ownerText(rule: TableRule): string {
  if (rule === "shared") return "no customer's: `platform`"
  if (rule === "mixed") return "cannot be told apart: `mixed`"
  if ("ignore" in rule) return `not captured: ${rule.ignore}`
  if ("cdr" in rule) return "a job of call detail records"
  const joins = (rule.via ?? []).map((join) => ` over ${code(`${join.column} → ${join.table}.${join.key}`)}`).join("")
  return `by ${code(rule.account)}${joins}${rule.null === undefined ? "" : `; without one ${code(rule.null)}`}`
}

function cdrRow([name, rules]: readonly [string, ProfileCdr]): string[] {
  return [
    code(name),
    rules.account === undefined ? "the database's" : code(rules.account),
    moment(rules.day),
    rules.insert === undefined ? "by the day" : code(rules.insert.column),
    rules.update === undefined ? "by a compare" : code(rules.update.column),
    keyText(rules.key),
    (rules.media ?? []).map(mediaText).join(", "),
  ]
}

function keyText(key: readonly string[] | undefined): string {
  if (key === undefined) return "the table's own key"
  return key.length === 0 ? "all they hold" : key.map(code).join(", ")
}

function mediaText({ files, path, purged }: NonNullable<ProfileCdr["media"]>[number]): string {
  return `${code(path)} in ${code(files)}${purged === undefined ? "" : `, purged after ${durationText(purged)}`}`
}

// As it is written: 90d, not 2160h.
function durationText(ms: number): string {
  const units = [
    ["d", 86_400_000],
    ["h", 3_600_000],
    ["m", 60_000],
  ] as const
  const [unit, size] = units.find(([, each]) => ms % each === 0) ?? ["s", 1000]
  return `${String(ms / size)}${unit}`
}

function moment({ column, stored, timezone }: ProfileMoment): string {
  const zones = { instant: "", epoch: ", seconds since 1970", local: ", in the job's time zone" }
  return `${code(column)}${timezone === undefined ? zones[stored] : `, in ${timezone}`}`
}

function code(text: string): string {
  return `\`${text}\``
}

function table<T>(heading: string, columns: readonly string[], rows: readonly T[], cells: (row: T) => readonly string[]): string[] {
  if (rows.length === 0) return []
  const lines = rows.map(
    (row) =>
      `| ${cells(row)
        .map((cell) => cell.replaceAll("|", "\\|"))
        .join(" | ")} |`,
  )
  const text = [`| ${columns.join(" | ")} |`, `| ${columns.map(() => "---").join(" | ")} |`, ...lines].join("\n")
  return heading === "" ? [text] : [heading, text]
}
