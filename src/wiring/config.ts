import { resolve } from "node:path"
import type { ConfigError } from "../errors.ts"
import { jsonSchemas, withDefaults } from "./fields.ts"
import { type Job, loadJobs } from "./jobs.ts"
import { type LoadOptions, type Located, locate, nonEmpty, readConfigFile, shown } from "./locate.ts"
import { type Origin, originText, pathKey, problemsError, type Tree } from "./origin.ts"
import { at, entries } from "./plain.ts"
import { type Config, configSchema } from "./schema.ts"
import { originAt, validate } from "./validate.ts"
import { printable, readYaml } from "./yaml.ts"

/** The whole configuration of this host, checked. */
export interface Loaded extends Located {
  /** Defaults are filled in and every path is absolute. */
  readonly config: Config
  /** The same as it would be written, with texts such as "20 GiB": what `config show` prints. */
  readonly effective: unknown
  /** Which line, variable, flag or default set a value, by dotted key such as "sites.fra.path". */
  readonly origins: ReadonlyMap<string, Origin>
  /** Jobs that are right, by name. */
  readonly jobs: ReadonlyMap<string, Job>
  /** What is wrong with the others, by name; it fails only what uses them, and `config validate`. */
  readonly invalidJobs: ReadonlyMap<string, ConfigError>
}

/** Finds, reads and checks the configuration and all jobs; rejects with one ConfigError that lists every problem of the configuration. */
export async function loadConfig(options: LoadOptions): Promise<Loaded> {
  const located = await locate(options)
  const tree = await readConfig(located, options)
  const { config } = jsonSchemas()
  const validated = validate(tree, configSchema, config)
  if (validated.value === undefined) throw problemsError(validated.problems)

  const effective = absolute(withDefaults(config, tree.value), located.project)
  const loadedConfig = configSchema.parse(effective)
  return {
    ...located,
    config: loadedConfig,
    effective,
    origins: originsOf(effective, tree),
    ...(await loadJobs(located.jobsPath, loadedConfig, options.cwd)),
  }
}

async function readConfig(located: Located, options: LoadOptions): Promise<Tree> {
  const [main, ...fragments] = await Promise.all(
    [located.path, ...located.fragments].map(async (path) => readYaml(await readConfigFile(path), shown(path, options.cwd))),
  )
  if (main === undefined) throw new Error("a configuration has a main file")
  for (const fragment of fragments) merge(main, fragment)
  override(main, "state", options)
  override(main, "agent", options)
  return main
}

// One level deep: two files may both add sites, but no file changes what another says.
function merge(main: Tree, fragment: Tree): void {
  main.problems.push(...fragment.problems)
  main.broken.push(...fragment.broken)
  if (typeof fragment.value !== "object" || fragment.value === null || Array.isArray(fragment.value)) {
    if (fragment.value !== undefined) main.problems.push({ origin: originAt(fragment, [], "value"), sentence: "expected a map of keys" })
    return
  }
  if (typeof main.value !== "object" || main.value === null || Array.isArray(main.value)) return

  const merged = new Map(entries(main.value))
  for (const [key, value] of entries(fragment.value)) {
    const before = merged.get(key)
    if (!merged.has(key)) merged.set(key, adopt(main, fragment, [key], value))
    else if (isMap(before) && isMap(value)) merged.set(key, mergeMaps(main, fragment, key, before, value))
    else if (!(key === "version" && before === value)) setTwice(main, fragment, [key])
  }
  main.value = Object.fromEntries(merged)
}

function mergeMaps(main: Tree, fragment: Tree, key: string, before: object, value: object): object {
  const inner = new Map(entries(before))
  for (const [name, each] of entries(value)) {
    if (inner.has(name)) setTwice(main, fragment, [key, name])
    else inner.set(name, adopt(main, fragment, [key, name], each))
  }
  return Object.fromEntries(inner)
}

function adopt(main: Tree, fragment: Tree, path: readonly string[], value: unknown): unknown {
  for (const placed of fragment.placed.values()) {
    if (path.every((part, index) => part === placed.path[index])) main.placed.set(pathKey(placed.path), placed)
  }
  return value
}

function setTwice(main: Tree, fragment: Tree, path: readonly string[]): void {
  const sentence = `${path.map(printable).join(".").replaceAll('"', "")} is set twice: first at ${originText(originAt(main, path, "key"))}`
  main.problems.push({ origin: originAt(fragment, path, "key"), sentence })
}

function isMap(value: unknown): value is object {
  return typeof value === "object" && value !== null && !Array.isArray(value)
}

// Only what differs from host to host under one shared file can be set from outside it.
function override(tree: Tree, key: "state" | "agent", { env, flags, cwd }: LoadOptions): void {
  const variable = `HOLDLINE_${key.toUpperCase()}`
  const value = flags[key] ?? nonEmpty(env[variable])
  if (value === undefined || !isMap(tree.value)) return
  tree.value = { ...tree.value, [key]: key === "state" ? resolve(cwd, value) : value }
  tree.placed.set(pathKey([key]), { path: [key], value: flags[key] === undefined ? { env: variable } : { flag: `--${key}` } })
}

// Paths whose schema allows relative ones; all others are refused unless absolute.
const relativePaths = [["state"], ["trust", "file"], ["signingKey", "file"]] as const

function absolute(effective: unknown, project: string): unknown {
  const ofDatabases = entries(at(effective, "databases")).flatMap(([name]) => [
    ["databases", name, "password", "file"],
    ["databases", name, "tls", "ca"],
  ])
  return [...relativePaths, ...ofDatabases].reduce<unknown>((value, path) => {
    const text = at(value, ...path)
    return typeof text === "string" ? withValue(value, path, resolve(project, text)) : value
  }, effective)
}

function withValue(value: unknown, [key, ...rest]: readonly string[], text: string): unknown {
  if (key === undefined) return text
  return Object.fromEntries(entries(value).map(([name, inner]) => [name, name === key ? withValue(inner, rest, text) : inner]))
}

function originsOf(effective: unknown, tree: Tree): Map<string, Origin> {
  const origins = new Map<string, Origin>()
  const walk = (value: unknown, path: readonly string[]): void => {
    for (const [name, inner] of entries(value)) {
      const innerPath = [...path, name]
      origins.set(innerPath.join("."), tree.placed.get(pathKey(innerPath))?.value ?? { default: true })
      walk(inner, innerPath)
    }
  }
  walk(effective, [])
  return origins
}
