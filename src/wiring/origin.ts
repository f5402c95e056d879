import { ConfigError } from "../errors.ts"

/** Where a value comes from; lines and columns count from 1. */
export type Origin = Place | { readonly env: string } | { readonly flag: string } | { readonly default: true }

export interface Place {
  /** As shown to people: relative to the working directory where it lies below it. */
  readonly file: string
  readonly line: number
  readonly col: number
}

/** Where one key of a mapping or one item of a list stands. */
export interface Placed {
  readonly path: readonly string[]
  /** The key's own origin; absent for items of lists and for the whole file. */
  readonly key?: Origin
  readonly value: Origin
}

/** One thing that is wrong. */
export interface Problem {
  readonly origin: Origin
  readonly sentence: string
}

/** A plain value (objects, arrays, strings, numbers, booleans, null) and where each part of it was written. */
export interface Tree {
  value: unknown
  readonly placed: Map<string, Placed>
  readonly problems: Problem[]
  /** Paths already reported, so that the schema does not report what follows from them. */
  readonly broken: (readonly string[])[]
}

export function pathKey(path: readonly PropertyKey[]): string {
  return JSON.stringify(path.map(String))
}

/** "config/holdline.yaml:3:8", "environment HOLDLINE_STATE", "flag --state", "default". */
export function originText(origin: Origin): string {
  if ("file" in origin) return `${origin.file}:${String(origin.line)}:${String(origin.col)}`
  if ("env" in origin) return `environment ${origin.env}`
  return "flag" in origin ? `flag ${origin.flag}` : "default"
}

/** Every problem as one line `file:line:col: sentence`, in the order of the files' lines. */
export function problemsError(problems: readonly Problem[]): ConfigError {
  const lines = [...problems].sort(byPosition).map((problem) => `${originText(problem.origin)}: ${problem.sentence}`)
  return new ConfigError("config/invalid", [...new Set(lines)].join("\n"), { hint: "`holdline config explain KEY` says what a key means" })
}

function byPosition(a: Problem, b: Problem): number {
  if (!("file" in a.origin) || !("file" in b.origin)) return Number("file" in b.origin) - Number("file" in a.origin)
  if (a.origin.file !== b.origin.file) return a.origin.file < b.origin.file ? -1 : 1
  return a.origin.line - b.origin.line || a.origin.col - b.origin.col
}
