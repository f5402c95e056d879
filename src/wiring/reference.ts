import { descriptions } from "./explain.ts"
import { childrenOf, type Field, fieldsAt, jsonSchemas, kindOf, type Schema, typeText } from "./fields.ts"
import { entries } from "./plain.ts"

/** docs/configuration.md, made from the schemas, so that it cannot say anything else than they do. */
export function configurationReference(): string {
  const { config, job } = jsonSchemas()
  return `${[
    introduction,
    "## The configuration: `holdline.yaml`",
    ...keyTables(config, []),
    "### Between keys",
    configRules,
    "## A job: `jobs/NAME.yaml`",
    jobIntroduction,
    ...keyTables(job, []),
    "### Between keys",
    jobRules,
  ].join("\n\n")}\n`
}

/** A JSON Schema as the file that editors read, formatted as the repository's other files. */
export function schemaText(schema: Schema): string {
  return `${json(withDefinitions(schema), "")}\n`
}

// What several kinds of sources take, and is long: written once.
function withDefinitions(schema: Schema): unknown {
  const definitions = new Map<string, unknown>()
  const shared: unknown = JSON.parse(
    JSON.stringify(schema, (key, value: unknown) => {
      if (key !== "overrides") return value
      definitions.set(key, value)
      return { $ref: `#/definitions/${key}` }
    }),
  )
  return definitions.size === 0 ? schema : Object.fromEntries([...entries(shared), ["definitions", Object.fromEntries(definitions)]])
}

const introduction = `# Configuration

<!-- Made from the schemas by \`node test/config/generate.ts\`; change those, not this. -->

Configuration is YAML 1.2: plain values only, no anchors, aliases, tags or second documents. A key that is not listed here is refused, as a
typo must not weaken a backup. Every mistake is reported as \`file:line:column: what was expected\`, all of a file at once.
\`holdline config validate\` checks everything, \`holdline config show --origin\` says which line set a value, and
\`holdline config explain KEY\` prints what stands here.

## Where it is found

The first of these is read:

1. \`--config FILE\`
2. the file that \`HOLDLINE_CONFIG\` names
3. \`./config/holdline.yaml\`
4. \`/etc/holdline/holdline.yaml\`

Fragments in \`conf.d/*.yaml\` beside it are added in the order of their names: two files may both add sites or classes, but what one says
no other can change; a key set twice is refused with both places.

The **project directory** is the parent of the configuration's directory where that is called \`config\`, and else that directory itself
(\`/etc/holdline\`). Relative paths in the configuration start there. Jobs are read from its \`jobs/\`, or from the directory that \`--jobs\`
or \`HOLDLINE_JOBS\` names. Files that end in \`.example.yaml\` are never read.

What the command line says wins over the environment, which wins over the file:

| key | flag | environment |
| --- | --- | --- |
| \`agent\` | \`--agent NAME\` | \`HOLDLINE_AGENT\` |
| \`state\` | \`--state DIRECTORY\` | \`HOLDLINE_STATE\` |
| the configuration | \`--config FILE\` | \`HOLDLINE_CONFIG\` |
| the jobs | \`--jobs DIRECTORY\` | \`HOLDLINE_JOBS\` |

Relative paths in flags and variables start in the working directory. A variable that is set to nothing counts as not set.

## How values are written

| type | examples | meaning |
| --- | --- | --- |
| name | \`fra\`, \`s3-dub\` | 1 to 63 lower-case letters, digits and dashes; starts with a letter or a digit |
| duration | \`500ms\`, \`30s\`, \`5m\`, \`6h\`, \`35d\` | a whole number and its unit; a day has 24 hours |
| size | \`512 B\`, \`500 MiB\`, \`20 GiB\`, \`1.5 TB\` | \`KiB MiB GiB TiB\` count in 1024, \`kB MB GB TB\` in 1000 |
| path | \`/var/lib/holdline\` | \`~\` is not expanded |
| time zone | \`Europe/Berlin\`, \`UTC\` | a name of the IANA time zone database |
| secret reference | \`{file: /etc/holdline/agent.key}\` | where a secret is: \`file\`, \`env\` or \`credential\`, exactly one of them. A secret itself cannot be written in a configuration, and none is ever printed |`

const configRules = `- \`durable.providers\` is at most \`durable.copies\`.
- \`reuseDays\` of a class is at most its \`days\`.
- Every class keeps for at least \`retention.min\` and at most \`retention.max\` days.
- Tiers whose objects must be thawed before they can be read (\`GLACIER\`, \`DEEP_ARCHIVE\`) or that are kept in one zone (\`ONEZONE_IA\`, \`EXPRESS_ONEZONE\`) are refused. All tiers of GCS can be read at once.
- No two sites keep their packs in the same directory or bucket, and \`keys\` is another bucket than \`bucket\`.
- A database's password is a secret reference as any other.`

const jobIntroduction = `The name of a job is its file's name without \`.yaml\`. A job that is wrong fails alone: other jobs run, and \`holdline config validate\`
reports it.`

const jobRules = `- \`class\`, every one of \`sites\` and the \`database\` exist in the configuration.
- The job can be durable: it has as many sites as copies are asked for, at as many providers. Its \`durable\` is nowhere below the configuration's.
- \`mode: archive\` takes a directory, \`cdrs\` or \`csv\`. A directory then needs a \`template\` that holds \`{yyyy}\`, \`{MM}\` or \`{Mon}\`, and \`{dd}\`, and either \`{account}\` in it or an \`account\` beside it.
- \`mode: state\` takes a directory, \`sqlite\`, \`command\` or \`database\`. A directory then needs an \`account\`, and takes no \`template\`, \`timezone\` or \`settle\`; there is no \`afterExpiry\`.
- A directory has a \`path\`, or a \`profile\` and the name of one of its directories in \`files\`: then \`path\`, \`template\`, \`settle\`, \`exclude\` and \`account\` are the profile's where the job does not say them. See [profiles.md](profiles.md).
- \`retention.promote\` is for \`mode: state\`, and each of its classes keeps for longer than the one before; no account has one of them. Every class that the job names is within its \`retention.min\` and \`retention.max\`. See [howto-retention.md](howto-retention.md).
- The account \`catalog\` is reserved.`

// Keys whose own keys stand on another page.
const elsewhere: ReadonlyMap<string, string> = new Map([["overrides", "see [profiles.md](profiles.md#overrides)"]])

/** One table for the keys of a map, then one for each map below it. */
export function keyTables(schema: Schema, path: readonly string[]): string[] {
  const fields = fieldsAt(schema, path)
  const rows = rowsOf(fields)
  const heading = path.length === 0 ? [] : [`### \`${path.join(".")}\``]
  const inner = [...new Set(fields.flatMap((field) => childrenOf(field).map(([name]) => name)))]
  const below = inner
    .filter((name) => !elsewhere.has(name) && isMap(fieldsAt(schema, [...path, name])))
    .flatMap((name) => keyTables(schema, [...path, name]))
  const isRecord = inner.length === 1 && inner[0] === "*"
  return isRecord ? below : [...heading, ["| key | type | | meaning |", "| --- | --- | --- | --- |", ...rows].join("\n"), ...below]
}

function rowsOf(parents: readonly Field[]): string[] {
  const byName = new Map<string, Field[]>()
  for (const parent of parents) for (const [name, child] of childrenOf(parent)) byName.set(name, [...(byName.get(name) ?? []), child])
  return [...byName].map(([name, same]) => {
    const types = [...new Set(same.map((field) => typeText(field.schema)))].join(" or ")
    const examples = same.find((field) => field.schema.examples !== undefined)?.schema.examples ?? []
    const example = examples.length === 0 ? [] : [`such as ${examples.map((each) => `\`${inline(each)}\``).join(", ")}`]
    const meaning = [...descriptions(same, parents), ...example, ...[elsewhere.get(name) ?? []].flat()].join("; ")
    return `| \`${name}\` | ${cell(types)} | ${need(same, parents)} | ${cell(meaning)} |`
  })
}

// One kind may have several forms, such as credentials by profile or by file: what only some of them need is not required.
function need(same: readonly Field[], parents: readonly Field[]): string {
  const fallback = same.find((field) => field.schema.default !== undefined)?.schema.default
  if (fallback !== undefined) return inline(fallback) === "{}" ? "optional" : `default \`${inline(fallback)}\``
  const kinds = [...new Set(parents.map((parent) => kindOf(parent.schema) ?? parent.kind))]
  const needing = kinds.filter((kind) => {
    const forms = parents.filter((parent) => (kindOf(parent.schema) ?? parent.kind) === kind)
    return same.filter((field) => field.kind === kind && field.required).length === forms.length
  })
  if (needing.length === kinds.length) return "required"
  return needing.length === 0 ? "optional" : `required for ${needing.join(", ")}`
}

function isMap(fields: readonly Field[]): boolean {
  return fields.some((field) => {
    const below = childrenOf(field).map(([, child]) => child)
    return field.schema.type === "array" ? isMap(below) : below.length > 0
  })
}

/** A value as YAML's flow style writes it. */
function inline(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(inline).join(", ")}]`
  if (typeof value !== "object" || value === null) return String(value)
  return `{${Object.entries(value)
    .map(([key, each]) => `${key}: ${inline(each)}`)
    .join(", ")}}`
}

function cell(text: string): string {
  return text.replaceAll("|", "\\|")
}

// As the formatter would: a list of plain values stays on its line where it fits.
function json(value: unknown, indent: string): string {
  if (typeof value !== "object" || value === null) return JSON.stringify(value)
  const inner = `${indent}  `
  if (Array.isArray(value)) {
    const plain = !value.flat().some((each) => typeof each === "object")
    const line = `[${value.map((each) => json(each, inner)).join(", ")}]`
    if (value.length === 0 || (plain && indent.length + line.length < 120)) return line
    return `[\n${value.map((each) => inner + json(each, inner)).join(",\n")}\n${indent}]`
  }
  const members = Object.entries(value).map(([key, each]) => `${inner}${JSON.stringify(key)}: ${json(each, inner)}`)
  return members.length === 0 ? "{}" : `{\n${members.join(",\n")}\n${indent}}`
}
