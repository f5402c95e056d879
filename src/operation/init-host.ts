import { mkdir, stat } from "node:fs/promises"
import { isAbsolute, join } from "node:path"
import { ConfigError, errnoOf, reasonOf } from "../errors.ts"
import { isMissing, writeAtomically } from "../files.ts"
import { namePattern } from "../format/names.ts"
import { type Random, randomId } from "../random.ts"

/** A directory that stands for a site. */
export interface QuickSite {
  readonly name: string
  readonly path: string
  readonly provider: string
  /** A default one is made; one that was named has to be there, as it may be a mount. */
  readonly isMade: boolean
}

export interface QuickHost {
  readonly directory: string
  readonly agent: string
  readonly sites: readonly QuickSite[]
}

/** Where everything of a quick start is. */
export function quickPlaces(directory: string) {
  return {
    keys: join(directory, "keys"),
    root: join(directory, "keys", "root.key"),
    madeTrust: join(directory, "keys", "trust.json"),
    config: join(directory, "config", "holdline.yaml"),
    jobs: join(directory, "jobs"),
    trust: join(directory, "trust.json"),
    signingKey: join(directory, "agent.key"),
    request: join(directory, "agent.request.json"),
  } as const
}

/** "NAME=PATH:PROVIDER" as it is given on a command line. */
export function parseQuickSite(text: string): QuickSite {
  const [, name = "", path = "", provider = ""] = /^([^=]+)=(.+):([^:/]+)$/.exec(text) ?? []
  if (namePattern.test(name) && isAbsolute(path) && /^[a-z0-9][a-z0-9.-]{0,62}$/.test(provider))
    return { name, path, provider, isMade: false }
  throw new ConfigError("config/usage", `--site ${text}: expected NAME=PATH:PROVIDER, such as nas=/mnt/nas:own, with an absolute path`)
}

export function defaultQuickSites(directory: string): QuickSite[] {
  return ["one", "two", "three"].map((name) => ({ name, path: join(directory, "sites", name), provider: "own", isMade: true }))
}

/** Makes the directories of a quick start, and writes its configuration with this root; nothing that is there is overwritten. */
export async function writeQuickHost(host: QuickHost, root: string, random: Random): Promise<void> {
  const { config, jobs } = quickPlaces(host.directory)
  for (const { path, isMade } of host.sites) if (isMade) await mkdir(path, { recursive: true, mode: 0o750 })
  await mkdir(jobs, { recursive: true, mode: 0o750 })
  await mkdir(join(host.directory, "config"), { recursive: true, mode: 0o750 })
  const temporary = `${config}.${randomId(random)}`
  await writeAtomically(config, Buffer.from(quickConfiguration(host, root)), { temporary, mode: 0o644, replace: false })
}

/** Refuses, before any key is made, what would fail in the middle. */
export async function refuseUnusable({ directory, sites }: QuickHost): Promise<void> {
  const { config, keys } = quickPlaces(directory)
  for (const path of [config, keys]) {
    if ((await kindAt(path)) === null) continue
    throw new ConfigError("config/usage", `${path}: is there already, and a quick start overwrites nothing`, {
      hint: "name another directory with --dir, or go on with `holdline --config FILE doctor`",
    })
  }
  const names = sites.map(({ name }) => name)
  const repeated = names.find((name, index) => names.indexOf(name) !== index)
  if (repeated !== undefined) throw new ConfigError("config/usage", `--site ${repeated}: given twice`)
  for (const { name, path, isMade } of sites) {
    if (isMade || (await kindAt(path)) === "directory") continue
    throw new ConfigError("config/usage", `--site ${name}: ${path} is no directory`, { hint: "mount it, or make the directory" })
  }
}

async function kindAt(path: string): Promise<"directory" | "other" | null> {
  try {
    return (await stat(path)).isDirectory() ? "directory" : "other"
  } catch (error) {
    if (isMissing(error)) return null
    throw new ConfigError("config/usage", `${path}: cannot be looked at: ${errnoOf(error) ?? reasonOf(error)}`, { cause: error })
  }
}

function quickConfiguration({ agent, sites }: QuickHost, root: string): string {
  const providers = new Set(sites.map(({ provider }) => provider)).size
  const copies = Math.min(2, sites.length)
  return `# One machine that is everything, to try Holdline out. A disk that fails may take all sites with it, and every report says so
# (\`sameDevice: accepted\`). What each key means: \`holdline config explain KEY\`.

version: 1
agent: ${agent}
state: state # relative paths start at the directory above this one's

trust:
  file: trust.json
  root: "${root}"

signingKey: {file: agent.key}

spool: {max: 1 GiB}

durable: {copies: ${String(copies)}, providers: ${String(Math.min(copies, providers))}}

# A change below, and one of \`durable\`, must be signed: \`holdline key trust --root keys/root.key\`
classes:
  recordings-90: {days: 90}
  cdrs-400: {days: 400}
  state-35: {days: 35, reuseDays: 7}
  mixed-28: {days: 28, keyEpoch: week}

sites:
${sites.map(siteLine).join("\n")}
`
}

function siteLine({ name, path, provider }: QuickSite): string {
  const quoted = JSON.stringify(path)
  return `  ${name}: {kind: directory, path: ${quoted}, provider: ${provider}, region: here, zone: ${name}, sameDevice: accepted}`
}
