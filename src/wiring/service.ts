import { lstat, mkdir, readFile, rm } from "node:fs/promises"
import { dirname, join } from "node:path"
import { fileURLToPath } from "node:url"
import { ConfigError, errnoOf, JobError, reasonOf } from "../errors.ts"
import { isMissing, writeAtomically } from "../files.ts"
import { drainMs, watchdogMs } from "../limits.ts"
import { randomId } from "../random.ts"
import type { Loaded } from "./config.ts"
import type { Io } from "./io.ts"
import { entries } from "./plain.ts"
import { secretReference } from "./values.ts"

/** What systemd knows it by. */
export const unitName = "holdline.service"

/** What the unit cannot be made from without being told. */
export interface ServiceOptions {
  /** Whom it runs as. */
  readonly user: string
  /** Default: the user's own. */
  readonly group?: string | undefined
  /** It may read every file of the host, whoever owns it; write none of them. */
  readonly readsAll: boolean
  /** Where the files are that LoadCredential= hands over. */
  readonly credentials: string
  /** The program as it is here. */
  readonly launcher: { readonly node: string; readonly bin: string }
}

/** A unit, and what its host has to have beside it. */
export interface Service {
  readonly unit: string
  /** Files that must be there before it starts: one for each secret that the configuration calls a credential. */
  readonly credentialFiles: readonly string[]
  /** Whether systemd makes the state directory; another has to be there before. */
  readonly makesState: boolean
  /** Environment variables that the configuration names, which `environmentFile` has to set. */
  readonly variables: readonly string[]
}

/** Read by the unit where it is there: proxies, a cloud's profile, `{env: NAME}`. */
export const environmentFile = "/etc/holdline/environment"

const firstLine = "# Written by `holdline service install`. Own settings belong beside it: systemctl edit holdline"

/** The systemd unit that keeps `holdline serve` running with this configuration. The same input gives the same text. */
export function serviceOf(loaded: Loaded, options: ServiceOptions): Service {
  const { user, group, credentials } = options
  if (!isAccount(user) || (group !== undefined && !isAccount(group)))
    throw new ConfigError("config/usage", `${group ?? user}: expected the name of a user or a group`)
  const references = [...new Set(secretsOf([loaded.effective, [...loaded.jobs.values()]]).map((each) => JSON.stringify(each)))]
  const parsed = references.map((text) => secretReference.parse(JSON.parse(text)))
  const named = parsed.flatMap(({ credential }) => credential ?? []).toSorted()
  const files = named.map((name) => ({ name, path: join(credentials, name) }))
  return {
    unit: unitText(loaded, options, files),
    credentialFiles: files.map(({ path }) => path),
    makesState: stateBelow(loaded.config.state) !== undefined,
    variables: parsed.flatMap(({ env }) => env ?? []).toSorted(),
  }
}

type Line = readonly [key: string, value: string] | string

function unitText(
  loaded: Loaded,
  options: ServiceOptions,
  credentials: readonly { readonly name: string; readonly path: string }[],
): string {
  const { user, group = user, readsAll } = options
  const lines: readonly Line[] = [
    firstLine,
    "[Unit]",
    ["Description", `Holdline: backups of ${loaded.config.agent}`],
    ["Wants", "network-online.target"],
    ["After", "network-online.target time-sync.target"],
    "# However often it fails, it is tried again: nothing else here would run the backups.",
    ["StartLimitIntervalSec", "0"],
    "",
    "[Service]",
    ["Type", "notify"],
    "# It speaks through systemd-notify, a process of its own.",
    ["NotifyAccess", "all"],
    ["ExecStart", commandLine(loaded, options.launcher).map(argument).join(" ")],
    ["ExecReload", "/bin/kill -HUP $MAINPID"],
    ["TimeoutStartSec", "5min"],
    ["WatchdogSec", `${String(watchdogMs / 1000)}s`],
    ["Restart", "on-failure"],
    "# Ten seconds at first, ten minutes after some failures; before systemd 254 always ten seconds.",
    ["RestartSec", "10s"],
    ["RestartSteps", "8"],
    ["RestartMaxDelaySec", "10min"],
    "# What runs gets a minute to end by itself; the programs it started are ended by it, or with it.",
    ["KillSignal", "SIGTERM"],
    ["KillMode", "mixed"],
    ["TimeoutStopSec", `${String(drainMs / 1000 + stopGraceSeconds)}s`],
    ["SuccessExitStatus", "143"],
    "",
    ["User", user],
    ["Group", group],
    ["UMask", "0077"],
    ["EnvironmentFile", `-${environmentFile}`],
    ...credentials.map(({ name, path }): Line => ["LoadCredential", `${name}:${plain(path)}`]),
    "",
    "# A switch comes before its backups.",
    ["Nice", "10"],
    ["IOSchedulingClass", "best-effort"],
    ["IOSchedulingPriority", "7"],
    "",
    "# Everything may be read that the user may read; written is what is kept here.",
    ["ProtectSystem", "strict"],
    ...stateLines(loaded.config.state),
    ...sitePaths(loaded).map((path): Line => ["ReadWritePaths", `-${word(path)}`]),
    ...capabilityLines(readsAll),
    ...hardening,
    "",
    "[Install]",
    ["WantedBy", "multi-user.target"],
  ]
  return `${lines.map((line) => (typeof line === "string" ? line : line.join("="))).join("\n")}\n`
}

/** From the end of what drains to the end of the process. */
const stopGraceSeconds = 30

const hardening: readonly Line[] = [
  ["NoNewPrivileges", "yes"],
  ["PrivateTmp", "yes"],
  ["PrivateDevices", "yes"],
  ["ProtectClock", "yes"],
  ["ProtectControlGroups", "yes"],
  ["ProtectHostname", "yes"],
  ["ProtectKernelLogs", "yes"],
  ["ProtectKernelModules", "yes"],
  ["ProtectKernelTunables", "yes"],
  ["RestrictAddressFamilies", "AF_UNIX AF_INET AF_INET6 AF_NETLINK"],
  ["RestrictNamespaces", "yes"],
  ["RestrictRealtime", "yes"],
  ["RestrictSUIDSGID", "yes"],
  ["LockPersonality", "yes"],
  ["SystemCallArchitectures", "native"],
  "# What it holds in memory is nobody's to find on a disk.",
  ["LimitCORE", "0"],
]

function capabilityLines(readsAll: boolean): readonly Line[] {
  const capability = readsAll ? "CAP_DAC_READ_SEARCH" : ""
  return [["CapabilityBoundingSet", capability], ...(readsAll ? [["AmbientCapabilities", capability] as const] : [])]
}

function stateLines(state: string): readonly Line[] {
  const below = stateBelow(state)
  if (below === undefined) return [["ReadWritePaths", word(state)]]
  return [
    ["StateDirectory", below],
    ["StateDirectoryMode", "0700"],
  ]
}

// systemd makes and hands over what is below its own directory.
function stateBelow(state: string): string | undefined {
  return /^\/var\/lib\/([A-Za-z0-9][A-Za-z0-9._-]*)\/?$/.exec(state)?.[1]
}

// A site that is not mounted now is no reason not to start.
function sitePaths({ config }: Loaded): readonly string[] {
  return Object.values(config.sites).flatMap((site) => (site.kind === "directory" ? [site.path] : []))
}

function commandLine({ path, jobsPath, config, origins }: Loaded, { node, bin }: ServiceOptions["launcher"]): readonly string[] {
  // What the environment or a flag said here, the service would not know.
  const said = (key: "state" | "agent"): readonly string[] => {
    const origin = origins.get(key)
    return origin !== undefined && ("env" in origin || "flag" in origin) ? [`--${key}`, config[key]] : []
  }
  return [node, bin, "--config", path, "--jobs", jobsPath, ...said("state"), ...said("agent"), "serve"]
}

/** Every reference to a secret, wherever it is. */
function secretsOf(value: unknown): unknown[] {
  if (secretReference.safeParse(value).success) return [value]
  return entries(value).flatMap(([, inner]) => secretsOf(inner))
}

function isAccount(name: string): boolean {
  return /^[A-Za-z_][A-Za-z0-9_-]{0,30}$/.test(name)
}

/** A value that systemd takes as it is but for its specifiers. */
function plain(text: string): string {
  if (/\p{Cc}/u.test(text))
    throw new ConfigError("config/usage", `${JSON.stringify(text)}: a unit cannot name a path with a control character`)
  return text.replaceAll("%", "%%")
}

/** One of several values on a line. */
function word(text: string): string {
  const escaped = plain(text)
  return /^[\w@%+:,./-]+$/.test(escaped) ? escaped : `"${escaped.replaceAll(/["\\]/g, "\\$&")}"`
}

/** One of a command line, in which variables count as well. */
function argument(text: string): string {
  return word(text).replaceAll("$", "$$$$")
}

/** This program, as a unit names it. */
export function launcherHere(): ServiceOptions["launcher"] {
  const above = import.meta.url.endsWith(".ts") ? "../../bin/holdline" : "../../../bin/holdline"
  return { node: process.execPath, bin: fileURLToPath(new URL(above, import.meta.url)) }
}

/** Writes the unit; false where the same is there already. A JobError where another is, unless it may be replaced. */
export async function installUnit(
  directory: string,
  unit: string,
  options: { readonly replace: boolean } & Pick<Io, "random">,
): Promise<boolean> {
  const path = join(directory, unitName)
  const before = await unitAt(path)
  if (before === unit) return false
  if (before !== null && !options.replace)
    throw new JobError("job/target", `${path}: is there, and says something else`, {
      hint: "compare it with `holdline service show`; --force replaces it",
    })
  try {
    await mkdir(directory, { recursive: true })
    const temporary = join(directory, `.${unitName}.${randomId(options.random)}`)
    await writeAtomically(path, Buffer.from(unit), { temporary, mode: 0o644, replace: before !== null })
  } catch (cause) {
    throw unwritable(path, cause)
  }
  return true
}

/** Removes the unit; false where there is none. A JobError where it is enabled, or was written by somebody else and that was not asked for. */
export async function removeUnit(directory: string, options: { readonly force: boolean }): Promise<boolean> {
  const path = join(directory, unitName)
  const unit = await unitAt(path)
  if (unit === null) return false
  if (await isEnabled(directory))
    throw new JobError("job/target", `${path}: is enabled`, { hint: "first: systemctl disable --now holdline" })
  if (!options.force && !unit.startsWith(firstLine))
    throw new JobError("job/target", `${path}: was not written by this command`, { hint: "--force removes it" })
  try {
    await rm(path)
  } catch (cause) {
    throw unwritable(path, cause)
  }
  return true
}

// Once the unit is gone, systemctl no longer finds what it linked.
async function isEnabled(directory: string): Promise<boolean> {
  try {
    await lstat(join(directory, "multi-user.target.wants", unitName))
    return true
  } catch (error) {
    if (isMissing(error)) return false
    throw unwritable(directory, error)
  }
}

async function unitAt(path: string): Promise<string | null> {
  try {
    return await readFile(path, "utf8")
  } catch (error) {
    if (isMissing(error)) return null
    throw unwritable(path, error)
  }
}

function unwritable(path: string, cause: unknown): JobError {
  return new JobError("job/target", `${path}: ${errnoOf(cause) ?? reasonOf(cause)}`, {
    cause,
    hint: `run it as a user who may write to ${dirname(path)}, such as root, or name another place with --directory`,
  })
}
