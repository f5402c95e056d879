import { z } from "zod"
import { durationSchema } from "../source/duration.ts"
import { at, entries } from "./plain.ts"
import { configSchema, jobSchema } from "./schema.ts"

export type Schema = z.core.JSONSchema.JSONSchema

/** JSON Schemas of the configuration and of a job, for editors; draft 7, which all of them know. */
export function jsonSchemas(): JsonSchemas {
  built ??= { config: jsonSchemaOf(configSchema), job: jsonSchemaOf(jobSchema) }
  return built
}

export interface JsonSchemas {
  readonly config: Schema
  readonly job: Schema
}

// The same for the whole life of the process, and needed for each file that is read.
let built: JsonSchemas | undefined

/** The JSON Schema of what a file says, with examples, patterns and a description of every key; draft 7. */
export function jsonSchemaOf(schema: z.ZodType): Schema {
  const json = z.toJSONSchema(schema, {
    io: "input",
    target: "draft-7",
    override: ({ zodSchema, jsonSchema }) => {
      // Zod leaves out the examples of what is transformed, though ours show what is written.
      const { examples } = zodSchema instanceof z.ZodType ? (zodSchema.meta() ?? {}) : {}
      if (Array.isArray(examples)) jsonSchema.examples = examples
      const definition = zodSchema._zod.def
      if (!("in" in definition) || definition.in !== durationSchema.def.in) return
      jsonSchema.title = "duration"
      jsonSchema.pattern = "^\\d{1,6}(ms|s|m|h|d)$"
    },
  })
  describeAll(json)
  return json
}

// Keys that say nothing of themselves.
const descriptions: ReadonlyMap<string, string> = new Map([
  ["kind", "what kind it is; the other keys depend on it"],
  ["region", "where it is: the provider's name of a region, or a town"],
  ["credentials", "how to sign in; without it the cloud's usual chain of environment, profile and role"],
  ["profile", "a profile of the cloud's own configuration file"],
  ["databases", "the platform's databases, by their names in the profile"],
  ["cdrs", "tables of call detail records"],
  ["csv", "the platform's files of call detail records, by their names in the profile"],
  ["files", "the platform's directories, by their names in the profile"],
])

function describeAll(schema: Schema): void {
  for (const [name, child] of Object.entries(schema.properties ?? {})) {
    const description = descriptions.get(name)
    if (isSchema(child) && child.description === undefined && description !== undefined) child.description = description
  }
  const inner = [
    schema.items,
    schema.additionalProperties,
    ...Object.values(schema.properties ?? {}),
    ...(schema.oneOf ?? []),
    ...(schema.anyOf ?? []),
  ]
  for (const each of inner) if (isSchema(each)) describeAll(each)
}

/** One place of a schema that a path leads to; a path through a union may lead to several. */
export interface Field {
  readonly schema: Schema
  readonly required: boolean
  /** For which `kind` of its parent the key is there; undefined for all. */
  readonly kind?: string | undefined
}

/**
 * What a path such as ["sites", "*", "provider"] leads to; any name stands for a key of a record and any index for an item of a list.
 * With `value`, the value being described, only the kind it says is followed.
 */
export function fieldsAt(schema: Schema, path: readonly string[], value?: unknown): Field[] {
  let fields: Field[] = variants({ schema, required: true }, value)
  path.forEach((key, depth) => {
    const inner = at(value, ...path.slice(0, depth + 1))
    fields = fields
      .flatMap((field) => childrenOf(field).filter(([name]) => name === key || name === "*"))
      .flatMap(([, child]) => variants(child, inner))
  })
  return fields
}

/** Keys below a field: names, or "*" for any name of a record and any item of a list. */
export function childrenOf({ schema, kind }: Field): [string, Field][] {
  const item = itemOf(schema)
  if (item !== undefined) return [["*", { schema: item, required: true }]]
  if (isSchema(schema.additionalProperties)) return [["*", { schema: schema.additionalProperties, required: false }]]
  return Object.entries(schema.properties ?? {}).flatMap(([name, child]): [string, Field][] => {
    return isSchema(child)
      ? [[name, { schema: child, required: schema.required?.includes(name) ?? false, kind: kindOf(schema) ?? kind }]]
      : []
  })
}

function variants(field: Field, value: unknown): Field[] {
  const options = field.schema.oneOf ?? field.schema.anyOf
  if (options === undefined) return [field]
  const { oneOf: _one, anyOf: _any, ...shared } = field.schema
  const fields = options.map((option) => ({ ...field, schema: { ...shared, ...option } }))
  const kind = at(value, "kind")
  const chosen = fields.filter((each) => kindOf(each.schema) === kind)
  return chosen.length === 0 ? fields : chosen
}

/** The constant of a schema's `kind`, such as "directory". */
export function kindOf(schema: Schema): string | undefined {
  const kind = schema.properties?.kind
  return isSchema(kind) && typeof kind.const === "string" ? kind.const : undefined
}

/** What a value must be, in words: `text`, `duration`, `"archive" or "state"`, `list of name`. */
export function typeText(schema: Schema): string {
  const options = schema.oneOf ?? schema.anyOf
  if (options !== undefined && schema.title === undefined) return [...new Set(options.map(typeText))].join(" or ")
  if (schema.const !== undefined) return JSON.stringify(schema.const)
  if (schema.enum !== undefined) return schema.enum.map((each) => JSON.stringify(each)).join(" or ")
  const item = itemOf(schema)
  if (item !== undefined) return `list of ${typeText(item)}`
  if (schema.title !== undefined) return schema.title
  if (schema.type === "integer") return `whole number${range(schema)}`
  if (schema.type === "string") return "text"
  if (schema.type === "object") return isSchema(schema.additionalProperties) ? "map by name" : "map"
  return typeof schema.type === "string" ? schema.type : "value"
}

function range({ minimum, maximum }: Schema): string {
  const max = maximum === undefined || maximum === Number.MAX_SAFE_INTEGER ? undefined : maximum
  const min = minimum === undefined || minimum === Number.MIN_SAFE_INTEGER ? undefined : minimum
  if (min !== undefined && max !== undefined) return ` from ${String(min)} to ${String(max)}`
  if (min !== undefined) return `, at least ${String(min)}`
  return max === undefined ? "" : `, at most ${String(max)}`
}

/** The value as written, with every default filled in that the schema has. */
export function withDefaults(schema: Schema, value: unknown): unknown {
  const [field] = variants({ schema, required: true }, value)
  if (field === undefined || typeof value !== "object" || value === null || Array.isArray(value)) return value
  const children = new Map(childrenOf(field))
  const filled = new Map(entries(value))
  for (const [name, child] of children) {
    if (name !== "*" && !filled.has(name) && child.schema.default !== undefined) filled.set(name, child.schema.default)
  }
  return Object.fromEntries(
    [...filled].map(([name, inner]) => {
      const child = children.get(name) ?? children.get("*")
      return [name, child === undefined ? inner : withDefaults(child.schema, inner)]
    }),
  )
}

// A list whose first item has a rule of its own is a tuple with a rest.
function itemOf({ items, additionalItems }: Schema): Schema | undefined {
  if (isSchema(additionalItems)) return additionalItems
  const item = Array.isArray(items) ? items[0] : items
  return isSchema(item) ? item : undefined
}

function isSchema(schema: unknown): schema is Schema {
  return typeof schema === "object" && schema !== null && !Array.isArray(schema)
}
