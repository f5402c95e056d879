import type { z } from "zod"
import { childrenOf, fieldsAt, type Schema, typeText } from "./fields.ts"
import { type Origin, type Problem, pathKey, type Tree } from "./origin.ts"
import { at } from "./plain.ts"
import { nearest, oneOf } from "./suggest.ts"
import { printable } from "./yaml.ts"

/**
 * Parses a tree with a schema. Every problem has the place it is about: an unknown key's own, a wrong value's, the parent's where a key
 * is missing. No message quotes a value, as it may be a secret in the wrong place.
 */
export function validate<Output>(tree: Tree, zodSchema: z.ZodType<Output>, schema: Schema): Validated<Output> {
  if (tree.value === undefined) return { value: undefined, problems: tree.problems }
  const result = zodSchema.safeParse(tree.value, { error: (issue) => expectation(issue) })
  if (result.success) return { value: tree.problems.length === 0 ? result.data : undefined, problems: tree.problems }

  const found = result.error.issues.flatMap((issue) => describe(issue, tree, schema))
  const problems = found.filter(({ path }) => !tree.broken.some((broken) => broken.every((part, index) => part === path[index])))
  return { value: undefined, problems: [...tree.problems, ...problems] }
}

export interface Validated<Output> {
  /** Undefined where there are problems. */
  readonly value: Output | undefined
  readonly problems: readonly Problem[]
}

/** Where the value at a path comes from, or else the nearest of its parents. */
export function originAt(tree: Tree, path: readonly PropertyKey[], part: "key" | "value"): Origin {
  for (let length = path.length; length >= 0; length--) {
    const placed = tree.placed.get(pathKey(path.slice(0, length)))
    if (placed === undefined) continue
    // What is missing is reported where its parent's name stands.
    return part === "key" || length < path.length ? (placed.key ?? placed.value) : placed.value
  }
  return { default: true }
}

interface Described extends Problem {
  readonly path: readonly string[]
}

function describe(issue: z.core.$ZodIssue, tree: Tree, schema: Schema): Described[] {
  const path = issue.path.map(String)
  const value = at(tree.value, ...path)
  if (issue.code === "unrecognized_keys") {
    return issue.keys.map((key) => {
      return { path: [...path, key], origin: originAt(tree, [...path, key], "key"), sentence: unknownKey(key, path, tree, schema) }
    })
  }
  if (issue.code === "invalid_union" && issue.errors.length > 0) return alternatives(issue, value, tree, schema)
  if (issue.code === "invalid_key") {
    const sentence = issue.issues[0]?.message ?? "expected another name"
    return [{ path, origin: originAt(tree, path, "key"), sentence }]
  }
  const missing = value === undefined && !tree.placed.has(pathKey(path))
  const origin = originAt(tree, path, "value")
  if (missing) return [{ path, origin, sentence: missingKey(path, issue, tree, schema) }]
  return [{ path, origin, sentence: wrongValue(issue, value, path, tree, schema) }]
}

// A value that may have one of several forms: the form that fits best says what is wrong.
function alternatives(issue: z.core.$ZodIssueInvalidUnion, value: unknown, tree: Tree, schema: Schema): Described[] {
  const path = issue.path.map(String)
  const all = issue.errors.map((inner) => inner.map((each) => ({ ...each, path: [...issue.path, ...each.path] })))
  // Forms of another type, such as a word where a map was written, say nothing about the keys in it.
  const ofType = all.filter((form) => form.every((each) => each.path.length > path.length || each.code === "unrecognized_keys"))
  const forms = ofType.length === 0 ? all : ofType
  const fewest = Math.min(...forms.map((form) => form.length))
  const best = forms.filter((form) => form.length === fewest)
  const fields = fieldsAt(schema, path, tree.value)
  const keys = [...new Set(fields.flatMap((field) => childrenOf(field).map(([name]) => name)))]
  const typed = Object.keys(typeof value === "object" && value !== null && !Array.isArray(value) ? value : {})
  const words = all
    .flat()
    .flatMap((each) => (each.code === "invalid_value" && each.path.length === path.length ? each.values.map(String) : []))
  if (typed.length === 0 && words.length === 0 && fields.some((field) => field.schema.type === "string")) {
    const [ofText = []] = all.filter((form) => form.every((each) => each.code !== "invalid_type"))
    if (ofText.length > 0) return ofText.flatMap((each) => describe(each, tree, schema))
    const types = [...new Set(fields.map((field) => typeText(field.schema)))].join(" or ")
    return [{ path, origin: originAt(tree, path, "value"), sentence: `expected ${types}, found ${kindOfValue(value)}` }]
  }
  if (typed.length === 0 && words.length > 0) {
    const meant = typeof value === "string" ? nearest(value, words) : undefined
    const expected = `expected ${oneOf(words)}${keys.length === 0 ? "" : `, or a map with ${oneOf(keys)}`}`
    const sentence = meant === undefined ? expected : `${expected}: did you mean "${meant}"?`
    return [{ path, origin: originAt(tree, path, "value"), sentence }]
  }
  if (typed.length === 0 || (best.length > 1 && typed.every((key) => keys.includes(key)))) {
    const sentence = keys.length === 0 ? wrongValue(issue, value, path, tree, schema) : `expected one key: ${oneOf(keys)}`
    return [{ path, origin: originAt(tree, path, "value"), sentence }]
  }
  const [chosen = []] = best
  return chosen.filter((each) => best.length === 1 || each.code === "unrecognized_keys").flatMap((each) => describe(each, tree, schema))
}

function unknownKey(key: string, path: readonly string[], tree: Tree, schema: Schema): string {
  const fields = fieldsAt(schema, path, tree.value)
  const known = [...new Set(fields.flatMap((field) => childrenOf(field).map(([name]) => name)))]
  const meant = nearest(key, known)
  return `unknown key ${printable(key)}: ${meant === undefined ? `expected ${oneOf(known)}` : `did you mean "${meant}"?`}`
}

function missingKey(path: readonly string[], issue: z.core.$ZodIssue, tree: Tree, schema: Schema): string {
  const key = path.at(-1) ?? ""
  const [field] = fieldsAt(schema, path, tree.value)
  // A rule between keys knows better why the key is needed.
  if (issue.code === "custom") return `missing key "${key}": ${issue.message}`
  if (/^\d+$/.test(key)) return `expected at least ${key === "0" ? "one item" : `${String(Number(key) + 1)} items`}`
  if (issue.code === "invalid_union") return `missing key "${key}": expected ${oneOf(kindsAt(path, tree, schema))}`
  const description = field?.schema.description
  return `missing key "${key}": expected ${typeText(field?.schema ?? {})}${description === undefined ? "" : ` (${description})`}`
}

function wrongValue(issue: z.core.$ZodIssue, value: unknown, path: readonly string[], tree: Tree, schema: Schema): string {
  const [field] = fieldsAt(schema, path, tree.value)
  if (issue.code === "invalid_union" && path.at(-1) === "kind") return choice(value, kindsAt(path, tree, schema))
  if (issue.code === "invalid_value" && issue.message === "")
    return choice(value, issue.values.map(String), typeof issue.values[0] !== "string")
  if (issue.message !== "") return issue.message
  return `expected ${typeText(field?.schema ?? {})}, found ${kindOfValue(value)}`
}

function kindsAt(path: readonly string[], tree: Tree, schema: Schema): string[] {
  return fieldsAt(schema, path, tree.value).flatMap((field) => (typeof field.schema.const === "string" ? [field.schema.const] : []))
}

function choice(value: unknown, options: readonly string[], plain = false): string {
  const expected = plain ? options.join(" or ") : oneOf(options)
  const meant = typeof value === "string" && !plain ? nearest(value, options) : undefined
  if (typeof value !== "string" || plain) return `expected ${expected}, found ${kindOfValue(value)}`
  return `expected ${expected}${meant === undefined ? "" : `: did you mean "${meant}"?`}`
}

/** What zod's own wording would say, in this house's words; "" where the field's description says it better. */
function expectation(issue: z.core.$ZodRawIssue): string {
  if (issue.code === "too_small" || issue.code === "too_big") {
    const limit = String(issue.code === "too_small" ? issue.minimum : issue.maximum)
    const bound = issue.code === "too_small" ? "at least" : "at most"
    if (issue.origin === "string") return limit === "1" ? "expected text that is not empty" : `expected ${bound} ${limit} characters`
    if (issue.origin === "array") return `expected ${bound} ${limit === "1" ? "one item" : `${limit} items`}`
    return `expected ${bound} ${limit}`
  }
  if (issue.code === "invalid_format") return "expected text of another form"
  return ""
}

function kindOfValue(value: unknown): string {
  if (value === null) return "nothing"
  if (Array.isArray(value)) return "a list"
  if (typeof value === "object") return "a map"
  if (typeof value === "number") return Number.isInteger(value) ? "a whole number" : "a number"
  return typeof value === "boolean" ? `the boolean ${String(value)}` : "text"
}
