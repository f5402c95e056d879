import { readdir, readFile, stat } from "node:fs/promises"
import { basename, dirname, isAbsolute, join, relative, resolve } from "node:path"
import { ConfigError, errnoOf, reasonOf } from "../errors.ts"
import { isMissing } from "../files.ts"
import { configBytesMax, configFilesMax } from "../limits.ts"

/** Where the system's configuration is, when no other is named or found. */
const systemConfigPath = "/etc/holdline/holdline.yaml"

export type Environment = Readonly<Record<string, string | undefined>>

/** The command line's share of the configuration; each wins over the environment, which wins over the file. */
export interface ConfigFlags {
  readonly config?: string | undefined
  readonly jobs?: string | undefined
  readonly state?: string | undefined
  readonly agent?: string | undefined
}

export interface LoadOptions {
  readonly env: Environment
  readonly flags: ConfigFlags
  /** Relative paths in flags and in the environment start here. */
  readonly cwd: string
  /** Where the system's configuration is; `systemConfigPath` unless a test names another. */
  readonly systemPath?: string
}

/** Absolute paths of what makes up a configuration. */
export interface Located {
  /** The main file. */
  readonly path: string
  /** Fragments beside it in conf.d/, in the order of their names. */
  readonly fragments: readonly string[]
  /** The directory that relative paths in the files start from: the parent of a directory named `config`, else the main file's own. */
  readonly project: string
  readonly jobsPath: string
}

/** Finds the configuration at --config, HOLDLINE_CONFIG, ./config/holdline.yaml or the system's place, in this order. */
export async function locate(options: LoadOptions): Promise<Located> {
  const path = await locateMain(options)
  const own = dirname(path)
  const project = basename(own) === "config" ? dirname(own) : own
  const jobs = options.flags.jobs ?? nonEmpty(options.env.HOLDLINE_JOBS)
  return {
    path,
    fragments: await yamlFiles(join(own, "conf.d")),
    project,
    jobsPath: jobs === undefined ? join(project, "jobs") : resolve(options.cwd, jobs),
  }
}

async function locateMain({ env, flags, cwd, systemPath = systemConfigPath }: LoadOptions): Promise<string> {
  const named = flags.config ?? nonEmpty(env.HOLDLINE_CONFIG)
  if (named !== undefined) {
    const path = resolve(cwd, named)
    if (await isFile(path)) return path
    const who = flags.config === undefined ? "HOLDLINE_CONFIG" : "--config"
    throw new ConfigError("config/not-found", `${path}: no such configuration file, though ${who} names it`)
  }
  const candidates = [resolve(cwd, "config/holdline.yaml"), systemPath]
  for (const candidate of candidates) if (await isFile(candidate)) return candidate
  throw new ConfigError("config/not-found", `no configuration: looked for ${candidates.join(" and ")}`, {
    hint: "name one with --config or HOLDLINE_CONFIG, or make one with `holdline init`",
  })
}

async function isFile(path: string): Promise<boolean> {
  try {
    return (await stat(path)).isFile()
  } catch (error) {
    if (isMissing(error)) return false
    throw unreadable(path, error)
  }
}

/** Absolute paths of the configuration files of a directory, by name; none where there is no directory. Examples and hidden files are left out. */
export async function yamlFiles(directory: string): Promise<string[]> {
  let names: string[]
  try {
    names = (await readdir(directory, { withFileTypes: true })).filter((entry) => !entry.isDirectory()).map((entry) => entry.name)
  } catch (error) {
    if (isMissing(error)) return []
    throw unreadable(directory, error)
  }
  const chosen = names.filter((name) => /\.ya?ml$/i.test(name) && !/^\.|\.example\.ya?ml$/i.test(name))
  if (chosen.length > configFilesMax) throw new ConfigError("config/invalid", `${directory}: more than ${String(configFilesMax)} files`)
  return chosen.sort((a, b) => (a < b ? -1 : 1)).map((name) => join(directory, name))
}

/** The bytes of a configuration file, whose size is checked before it is read. */
export async function readConfigFile(path: string): Promise<Uint8Array> {
  try {
    const { size } = await stat(path)
    if (size <= configBytesMax) return await readFile(path)
  } catch (error) {
    throw unreadable(path, error)
  }
  throw new ConfigError("config/invalid", `${path}: the file is larger than ${String(configBytesMax / 1024)} KiB`)
}

/** A path as people see it: relative to the working directory where it lies below it. */
export function shown(path: string, cwd: string): string {
  const below = relative(cwd, path)
  return below === "" || below.startsWith("..") || isAbsolute(below) ? path : below
}

/** A variable that is set to nothing counts as not set. */
export function nonEmpty(text: string | undefined): string | undefined {
  return text === "" ? undefined : text
}

function unreadable(path: string, error: unknown): ConfigError {
  return new ConfigError("config/not-found", `${path}: cannot be read: ${errnoOf(error) ?? reasonOf(error)}`, { cause: error })
}
