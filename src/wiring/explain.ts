import { ConfigError } from "../errors.ts"
import { childrenOf, type Field, fieldsAt, jsonSchemas, kindOf, type Schema, typeText } from "./fields.ts"
import { nearest } from "./suggest.ts"

/** What one key means. */
export interface Explanation {
  readonly key: string
  readonly type: string
  /** Sentences; one per meaning where the key means several things, with the kind it is for. */
  readonly description: readonly string[]
  readonly required: boolean
  readonly default?: unknown
  readonly examples: readonly unknown[]
  /** Keys below it, or [] for a plain value. */
  readonly children: readonly { readonly key: string; readonly description: string }[]
}

/**
 * Explains a key of the configuration, such as "durable.copies" or "sites.*.provider", or of a job, such as "job.source.template".
 * Any name may stand for "*". Throws config/not-found, with the nearest key as a hint, for one that does not exist.
 */
export function explain(key: string): Explanation {
  const { schema, path, prefix } = root(key)
  for (let length = 0; length < path.length; length++) {
    const parents = fieldsAt(schema, path.slice(0, length))
    const known = [...new Set(parents.flatMap((parent) => childrenOf(parent).map(([name]) => name)))]
    const part = path[length] ?? ""
    if (known.includes("*") || known.includes(part)) continue
    throw unknown([...prefix, ...path].join("."), part, [...prefix, ...path.slice(0, length)], known)
  }
  const fields = fieldsAt(schema, path)
  return { key: [...prefix, ...path].join("."), ...merged(fields, fieldsAt(schema, path.slice(0, -1))) }
}

/** The explanation as text for a terminal. */
export function explanationText(explanation: Explanation): string {
  const { key, type, description, required, examples, children } = explanation
  const lines = [key === "" ? "the configuration" : key, ...description.map((each) => `  ${each}`), `  type:     ${type}`]
  if (explanation.default !== undefined) lines.push(`  default:  ${JSON.stringify(explanation.default)}`)
  else lines.push(`  required: ${required ? "yes" : "no"}`)
  if (examples.length > 0) lines.push(`  example:  ${examples.map((example) => JSON.stringify(example)).join(", ")}`)
  if (children.length > 0) lines.push("  keys:", ...children.map((child) => `    ${child.key.padEnd(14)} ${child.description}`.trimEnd()))
  return lines.join("\n")
}

function root(key: string): { readonly schema: Schema; readonly path: readonly string[]; readonly prefix: readonly string[] } {
  const { config, job } = jsonSchemas()
  const path = key === "" ? [] : key.split(".")
  return path[0] === "job" ? { schema: job, path: path.slice(1), prefix: ["job"] } : { schema: config, path, prefix: [] }
}

function unknown(key: string, part: string, parent: readonly string[], known: readonly string[]): ConfigError {
  const candidates = parent.length === 0 ? [...known, "job"] : known
  const meant = nearest(part, candidates)
  const hint =
    meant !== undefined
      ? `did you mean ${[...parent, meant].join(".")}?`
      : `there are ${candidates.map((each) => [...parent, each].join(".")).join(", ")}`
  return new ConfigError("config/not-found", `no such key: ${key}`, {
    hint: candidates.length === 0 ? `${parent.join(".")} has no keys below it` : hint,
  })
}

function merged(fields: readonly Field[], parents: readonly Field[]): Omit<Explanation, "key"> {
  const schemas = fields.map((field) => field.schema)
  const fallback = schemas.find((schema) => schema.default !== undefined)?.default
  return {
    type: [...new Set(schemas.map(typeText))].join(" or "),
    description: descriptions(fields, parents),
    required: fields.every((field) => field.required),
    ...(fallback !== undefined && { default: fallback }),
    examples: schemas.find((schema) => schema.examples !== undefined)?.examples ?? [],
    children: children(fields),
  }
}

/** The sentences about a key; one that is not true for every kind of its parents says for which it is. */
export function descriptions(fields: readonly Field[], parents: readonly Field[]): string[] {
  const kindsBySentence = new Map<string, Set<string>>()
  for (const { schema, kind } of fields) {
    if (schema.description === undefined) continue
    const kinds = kindsBySentence.get(schema.description) ?? new Set()
    kindsBySentence.set(schema.description, kind === undefined ? kinds : kinds.add(kind))
  }
  const all = new Set(parents.map((parent) => kindOf(parent.schema) ?? parent.kind)).size
  return [...kindsBySentence].map(([sentence, kinds]) => {
    return kinds.size === 0 || kinds.size === all ? sentence : `${[...kinds].join(", ")}: ${sentence}`
  })
}

function children(fields: readonly Field[]): Explanation["children"] {
  const byName = new Map<string, Field[]>()
  for (const field of fields) for (const [name, child] of childrenOf(field)) byName.set(name, [...(byName.get(name) ?? []), child])
  return [...byName].map(([key, same]) => {
    return { key, description: descriptions(same, fields).join("; ") || (key === "*" ? "one of them, by its name" : "") }
  })
}
