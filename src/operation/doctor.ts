import { constants } from "node:fs"
import { access, open, opendir, stat, statfs } from "node:fs/promises"
import { delimiter, join } from "node:path"
import { DatabaseSync } from "node:sqlite"
import { Catalog } from "../catalog/catalog.ts"
import { schemaVersion } from "../catalog/schema.ts"
import type { Clock } from "../clock.ts"
import { BackupError, errnoOf, reasonOf } from "../errors.ts"
import { isMissing } from "../files.ts"
import { repositoryKey, repositoryPrefix } from "../format/names.ts"
import { nativeStatus } from "../key/header.ts"
import { clockDifferenceMaxMs } from "../limits.ts"
import { anomalyText } from "../report/anomaly.ts"
import { deviceOf } from "../site/mount.ts"
import type { OpenedSite } from "../site/site.ts"
import type { JobSourceSettings } from "../source/settings.ts"
import { count, formatDuration, formatSize } from "../units.ts"
import type { Durable } from "../vault/vault.ts"
import { openAnomalies } from "./anomalies.ts"
import { findIdentities, type MisplacedKey, type SearchOptions } from "./doctor-identities.ts"

/** One thing that was looked at. */
export interface Finding {
  /** What: "node", "trust", "site fra", "job cdrs". */
  readonly check: string
  /** `wrong` must be acted on; `note` is worth knowing; `skipped` could not be looked at, for a reason that stands elsewhere. */
  readonly state: "right" | "wrong" | "note" | "skipped"
  readonly text: string
  readonly hint?: string | undefined
}

export function right(check: string, text: string): Finding {
  return { check, state: "right", text }
}

export function wrong(check: string, text: string, hint?: string): Finding {
  return { check, state: "wrong", text, hint }
}

export function note(check: string, text: string, hint?: string): Finding {
  return { check, state: "note", text, hint }
}

export function skipped(check: string, text: string): Finding {
  return { check, state: "skipped", text }
}

/** What an examination found; a BackupError it met is a finding, anything else is a bug. */
export async function examined(check: string, examine: () => Promise<readonly Finding[]>): Promise<readonly Finding[]> {
  try {
    return await examine()
  } catch (error) {
    if (!(error instanceof BackupError)) throw error
    return [wrong(check, error.message, error.hint)]
  }
}

export function examineRuntime(version: string): Finding[] {
  const { hybrid, reason } = nativeStatus()
  const crypto =
    hybrid === "native"
      ? right("crypto", "ML-KEM-768 and X25519 by OpenSSL")
      : note(
          "crypto",
          `ML-KEM-768 by a library, forty times as slow: ${reason ?? "OpenSSL has none"}`,
          "use the Node that this release names",
        )
  return [right("node", `Node ${version}`), crypto]
}

export async function examineState(path: string): Promise<Finding[]> {
  const check = "state"
  try {
    const { mode } = await stat(path)
    if ((mode & 0o077) !== 0 && process.platform !== "win32") {
      const octal = (mode & 0o777).toString(8).padStart(4, "0")
      return [wrong(check, `${path}: others than its owner may enter it (mode ${octal}), and it names customers`, `chmod 700 ${path}`)]
    }
    await access(path, constants.R_OK | constants.W_OK | constants.X_OK)
    const { bavail, bsize } = await statfs(path)
    return [right(check, `${path}: ${formatSize(bavail * bsize)} free`), ...examineCatalog(join(path, "catalog.sqlite"))]
  } catch (error) {
    if (isMissing(error)) return [note(check, `${path}: not there yet; the first run makes it`)]
    return [wrong(check, `${path}: cannot be used: ${errnoOf(error) ?? reasonOf(error)}`, "run as the user who owns it")]
  }
}

// Read-only: the doctor repairs nothing, and a running backup is not disturbed.
function examineCatalog(path: string): Finding[] {
  const check = "catalog"
  const hint = "the next run puts it aside and reads again what is at the sites"
  try {
    using database = new DatabaseSync(path, { readOnly: true })
    const version = Number(database.prepare("PRAGMA user_version").get()?.user_version)
    if (version !== schemaVersion) return [wrong(check, `${path}: of another release (schema ${String(version)})`, hint)]
    const answer = String(database.prepare("PRAGMA quick_check(1)").get()?.quick_check)
    return answer === "ok" ? [right(check, path), ...anomaliesIn(path)] : [wrong(check, `${path}: damaged: ${answer}`, hint)]
  } catch (error) {
    if (/unable to open/i.test(reasonOf(error))) return [note(check, `${path}: not there yet; the first run makes it`)]
    return [wrong(check, `${path}: ${reasonOf(error)}`, hint)]
  }
}

/** What stays frozen until a person has looked at it, however many runs went well since. */
function anomaliesIn(path: string): Finding[] {
  using catalog = Catalog.openToRead(path)
  return openAnomalies({ catalog }).map((anomaly) =>
    note("anomaly", `${anomaly.dataset}, since ${anomaly.time}: ${anomalyText(anomaly)}; nothing of it expires`, "holdline anomaly list"),
  )
}

const complaints: Readonly<Record<MisplacedKey["kind"], readonly [what: string, where: string]>> = {
  identity: ["an identity, which opens what is kept, is on this backup host", "to a machine where you restore"],
  "root key": ["the root key, which decides whom everybody believes, is on this backup host", "offline"],
}

/** None may be on an agent: whoever takes it over could read every backup, or make every host believe anything. */
export async function examineIdentities(places: readonly string[], options: SearchOptions): Promise<Finding[]> {
  const check = "identity"
  const { found, unread, isCut } = await findIdentities(places, options)
  const limits: Finding[] = []
  if (unread.length > 0) limits.push(note(check, `could not be looked at: ${unread.join(", ")}`, "run it as root once"))
  if (isCut) limits.push(note(check, "not everything was looked at: there are too many files"))
  if (found.length === 0) return [right(check, "none is left on this agent where keys usually are"), ...limits]
  const misplaced = found.map(({ path, kind }) => {
    const [what, where] = complaints[kind]
    return wrong(check, `${path}: ${what}`, `move it ${where}, and remove it here`)
  })
  return [...misplaced, ...limits]
}

/** Whether a site answers, whose objects it has, and how far its clock is off. No object is written. */
export async function examineSite(
  opened: OpenedSite,
  world: { readonly clock: Clock; readonly signal: AbortSignal; readonly repository?: Uint8Array | undefined },
): Promise<Finding[]> {
  const { clock, signal, repository } = world
  const { name } = opened.site
  const check = `site ${name}`
  const before = clock.now().getTime()
  const theirs = (await opened.serverTime({ signal })).getTime()
  const after = clock.now().getTime()
  const difference = theirs - (before + after) / 2
  const own = repository === undefined ? undefined : repositoryKey(repository)
  const repositories: string[] = []
  for await (const { key } of opened.site.list(repositoryPrefix, { signal })) repositories.push(key)
  const others = repositories.filter((key) => key !== own)
  const holds = repositories.length === 0 ? "empty so far" : "this repository"

  const findings: Finding[] = []
  if (own !== undefined && others.length > 0) {
    const text = `${count(others.length, "other repository", "other repositories")} is kept here too`
    findings.push(wrong(check, text, "give each repository a directory or a bucket of its own"))
  }
  if (Math.abs(difference) > clockDifferenceMaxMs) {
    const text = `its clock is ${formatDuration(Math.abs(difference))} ${difference > 0 ? "ahead of" : "behind"} this host's`
    findings.push(wrong(check, text, "let both follow NTP: timedatectl"))
  }
  if (findings.length === 0) findings.push(right(check, `answers; ${holds}; clocks ${formatDuration(Math.abs(difference))} apart`))
  return findings
}

/** A site as a job counts on it. */
export interface CountedSite {
  readonly name: string
  readonly provider: string
  /** Where it is a directory on this host. */
  readonly path?: string | undefined
  readonly isSameDeviceAccepted: boolean
}

export interface ExaminedJob {
  readonly name: string
  readonly source: JobSourceSettings
  readonly sites: readonly CountedSite[]
  readonly durable: Durable
}

/** Whether its source can be read, and whether enough sites count for it. */
export async function examineJob(job: ExaminedJob, searchPath: string): Promise<Finding[]> {
  const check = `job ${job.name}`
  return [...(await examineSource(check, job.source, searchPath)), ...(await examineDurable(check, job))]
}

async function examineSource(check: string, source: JobSourceSettings, searchPath: string): Promise<Finding[]> {
  if (source.kind === "command") {
    const [program] = source.command
    if ((await programAt(program, searchPath)) !== null) return []
    return [wrong(check, `the program ${program} is not here`, "install it, or name it with its whole path")]
  }
  // What a profile says of paths, and what a database holds, is looked at where both are opened.
  if (!("path" in source) || source.path === undefined) return []
  try {
    if (source.kind === "sqlite") await (await open(source.path, "r")).close()
    else if (await isEmptyDirectory(source.path)) return [note(check, `${source.path} is empty`, "is it the right directory, and mounted?")]
    return []
  } catch (error) {
    return [wrong(check, `${source.path} cannot be read: ${errnoOf(error) ?? reasonOf(error)}`, "check the path, and who may read it")]
  }
}

async function isEmptyDirectory(path: string): Promise<boolean> {
  for await (const _ of await opendir(path)) return false
  return true
}

async function examineDurable(check: string, { source, sites, durable }: ExaminedJob): Promise<Finding[]> {
  const device = "path" in source && source.path !== undefined ? await deviceOrNull(source.path) : null
  const findings: Finding[] = []
  const counting: CountedSite[] = []
  for (const site of sites) {
    const isOnSource = device !== null && site.path !== undefined && (await deviceOrNull(site.path)) === device
    if (!isOnSource || site.isSameDeviceAccepted) counting.push(site)
    if (isOnSource && site.isSameDeviceAccepted)
      findings.push(note(check, `site ${site.name} is on the source's own device, which is accepted`))
    if (isOnSource && !site.isSameDeviceAccepted)
      findings.push(note(check, `site ${site.name} is on the source's own device: a copy, but no provider`))
  }
  const providers = new Set(counting.map(({ provider }) => provider)).size
  const asked = `${count(durable.copies, "copy", "copies")} at ${count(durable.providers, "provider")}`
  if (sites.length >= durable.copies && providers >= durable.providers) return [right(check, `${asked} can be reached`), ...findings]
  const text = `can never be durable: ${asked} are asked for, its sites make ${String(sites.length)} at ${String(providers)}`
  return [wrong(check, text, "add a site on another device, or say `sameDevice: accepted` at one to try things out"), ...findings]
}

async function deviceOrNull(path: string): Promise<bigint | null> {
  try {
    return await deviceOf(path)
  } catch (error) {
    if (errnoOf(error) === undefined) throw error
    return null
  }
}

const breakGlass = ["age", "zstd", "openssl", "jq"] as const

/** The programs that restore without Holdline; good to have, nothing here needs them. */
export async function examineTools(searchPath: string): Promise<Finding> {
  const missing: string[] = []
  for (const tool of breakGlass) if ((await programAt(tool, searchPath)) === null) missing.push(tool)
  if (missing.length === 0) return right("break-glass", `${breakGlass.join(", ")} are here: recover.sh can restore without Holdline`)
  return note("break-glass", `${missing.join(", ")} not installed: only recover.sh needs them, where there is no Holdline`)
}

async function programAt(name: string, searchPath: string): Promise<string | null> {
  const candidates = name.includes("/")
    ? [name]
    : searchPath.split(delimiter).flatMap((folder) => (folder === "" ? [] : [join(folder, name)]))
  for (const path of candidates) {
    try {
      await access(path, constants.X_OK)
      if (!(await stat(path)).isDirectory()) return path
    } catch (error) {
      if (errnoOf(error) === undefined) throw error
    }
  }
  return null
}
