import { stat } from "node:fs/promises"
import { dirname, join } from "node:path"
import { Catalog } from "../catalog/catalog.ts"
import type { Clock, Sleep } from "../clock.ts"
import { BackupError, ConfigError } from "../errors.ts"
import { parseSigningKey, type SigningKey } from "../key/signing.ts"
import { type RetiredSites, retirementText } from "../operation/approvals.ts"
import {
  examined,
  examineIdentities,
  examineJob,
  examineRuntime,
  examineSite,
  examineState,
  examineTools,
  type Finding,
  note,
  right,
  skipped,
  wrong,
} from "../operation/doctor.ts"
import { examinePosture } from "../operation/posture.ts"
import type { Random } from "../random.ts"
import { openSite } from "../site/open.ts"
import { count } from "../units.ts"
import type { Loaded } from "./config.ts"
import { coverageOf } from "./coverage.ts"
import type { Job } from "./jobs.ts"
import { type Environment, nonEmpty } from "./locate.ts"
import { knownRetired } from "./retired.ts"
import type { Config } from "./schema.ts"
import { openScratch } from "./scratch.ts"
import { openSecret } from "./secret.ts"
import { differencesFromTrust, type LoadedTrust, loadTrust, requireTrustedAgent } from "./trust.ts"

export interface Examination {
  readonly env: Environment
  readonly clock: Clock
  readonly random: Random
  readonly sleep: Sleep
  readonly signal: AbortSignal
  readonly nodeVersion: string
  load(): Promise<Loaded>
}

/** Looks at everything that a run on this host will need, in the order in which to mend it. Nothing is changed. */
export async function* examineHost(examination: Examination): AsyncGenerator<Finding> {
  const { env, nodeVersion, signal } = examination
  const searchPath = env.PATH ?? ""
  yield* examineRuntime(nodeVersion)
  const loaded = await loadOrExplain(examination)
  if ("findings" in loaded) {
    yield* loaded.findings
    yield skipped("host", "trust, state, sites and jobs: the configuration says where they are")
    yield await examineTools(searchPath)
    return
  }
  yield* jobFindings(loaded)
  const trust = await trustOrExplain(loaded)
  yield* trust.findings
  yield* await examineAgent(loaded, trust.trust, env)
  if (trust.trust !== undefined) yield* examineSettings(loaded.config, trust.trust)
  const { config } = loaded
  yield* await examineState(config.state)
  yield* await examineForIdentities(loaded, trust.trust, env)
  const retired = await retiredOrExplain(loaded)
  yield* retired.findings
  for (const name of Object.keys(config.sites)) {
    signal.throwIfAborted()
    const approval = retired.sites.get(name)
    if (approval !== undefined) {
      yield examineRetired(name, retirementText(approval), loaded)
      continue
    }
    yield* await examineConfiguredSite(name, config, { examination, repository: trust.trust?.repositoryBytes })
  }
  for (const job of loaded.jobs.values()) {
    const sites = job.sites.filter((name) => !retired.sites.has(name))
    yield* await examineConfiguredJob({ ...job, sites }, config, searchPath)
  }
  yield* await examineCoverage(loaded, examination)
  yield await examineTools(searchPath)
}

// A table that stops a run, and calls that nobody captures, must be acted on; whether the rest matters a person knows.
async function examineCoverage(loaded: Loaded, examination: Examination): Promise<readonly Finding[]> {
  if (loaded.config.signingKey === undefined || loaded.jobs.size === 0) return []
  return await examined("coverage", async () => {
    await using scratch = await openScratch(loaded.config.state)
    const io = { ...examination, tell: () => undefined }
    const { uncovered, unknown } = await coverageOf(loaded, io, { scratch: scratch.path })
    const findings = uncovered.map(({ kind, what, why, add }) => {
      const weighs = kind === "table" || kind === "call-records"
      return (weighs ? wrong : note)("coverage", `${what} ${why}`, add)
    })
    const unasked = unknown.map((why) => wrong("coverage", `not all could be looked at: ${why}`, "holdline source check"))
    if (findings.length + unasked.length > 0) return [...unasked, ...findings]
    return [right("coverage", "nothing is known to be left out")]
  })
}

async function loadOrExplain({ load }: Examination): Promise<Loaded | { readonly findings: readonly Finding[] }> {
  try {
    return await load()
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error
    return { findings: error.message.split("\n").map((line) => wrong("configuration", line, error.hint)) }
  }
}

function jobFindings({ path, jobs, invalidJobs, jobsPath }: Loaded): Finding[] {
  const broken = [...invalidJobs].flatMap(([name, { message }]) => message.split("\n").map((line) => wrong(`job ${name}`, line)))
  const none =
    jobs.size + invalidJobs.size === 0
      ? [note("configuration", `there are no jobs in ${jobsPath}`, "write one with `holdline init job`")]
      : []
  return [right("configuration", `${path}, ${count(jobs.size, "job")}`), ...none, ...broken]
}

async function trustOrExplain(loaded: Loaded): Promise<{ readonly trust?: LoadedTrust; readonly findings: readonly Finding[] }> {
  try {
    const trust = await loadTrust(loaded)
    const { n } = trust.newest.body
    return {
      trust,
      findings: [right("trust", `list ${String(n)} of repository ${trust.repository.id}, signed by ${loaded.config.trust.root}`)],
    }
  } catch (error) {
    if (!(error instanceof BackupError)) throw error
    return { findings: [wrong("trust", error.message, error.hint)] }
  }
}

async function examineAgent(loaded: Loaded, trust: LoadedTrust | undefined, env: Environment): Promise<readonly Finding[]> {
  const { config } = loaded
  if (config.signingKey === undefined) return [note("agent", "no signing key is configured: this host only restores")]
  return await examined("agent", async () => {
    const key = await signingKeyOf(loaded, env)
    if (trust === undefined) return [skipped("agent", `${config.agent}: key ${key.fingerprint}; nothing says whether it is trusted`)]
    requireTrustedAgent(config.agent, key.publicKey, trust.newest.body)
    return [right("agent", `${config.agent}: key ${key.fingerprint} is trusted`)]
  })
}

async function signingKeyOf({ config, origins }: Loaded, env: Environment): Promise<SigningKey> {
  const { signingKey } = config
  if (signingKey === undefined) throw new Error("no signing key is configured")
  if (signingKey.file !== undefined && (await isAbsent(signingKey.file))) {
    throw new ConfigError("config/secret", `signing key ${signingKey.file}: there is no such file`, {
      hint: "make it with `holdline init agent`",
    })
  }
  const secret = await openSecret(signingKey, { key: "signingKey", origin: origins.get("signingKey") ?? { default: true }, env })
  return parseSigningKey(secret.reveal(), "signingKey")
}

async function isAbsent(path: string): Promise<boolean> {
  try {
    await stat(path)
    return false
  } catch (error) {
    return error instanceof Error && "code" in error && error.code === "ENOENT"
  }
}

function examineSettings(config: Config, { newest }: LoadedTrust): Finding[] {
  const { body } = newest
  const differences = differencesFromTrust(config, body).map(({ key, configured, signed }) => {
    const text = `${key}: the configuration says ${configured}, trust list ${String(body.n)} says ${signed}`
    return wrong("signed settings", text, "sign it on the operator's machine with `holdline key trust`, or take it back here")
  })
  return differences.length > 0 ? differences : [right("signed settings", "classes, sites and copies are as the root signed them")]
}

/** Below a home: where age, sops and people keep identities. */
const homePlaces = [".config/age", ".config/sops/age", ".age", "age.txt", "key.txt", "keys.txt", "age.key", "identity.txt"] as const
const systemPlaces = ["/etc/holdline", "/etc/age"] as const

// A machine that only restores may well hold one: only an agent is looked through.
async function examineForIdentities(loaded: Loaded, trust: LoadedTrust | undefined, env: Environment): Promise<readonly Finding[]> {
  const { config, path, jobsPath } = loaded
  if (config.signingKey === undefined) return []
  const home = nonEmpty(env.HOME)
  const places = [
    ...[dirname(path), jobsPath, dirname(config.trust.file), config.state],
    ...(config.signingKey.file === undefined ? [] : [dirname(config.signingKey.file)]),
    ...systemPlaces,
    ...(home === undefined ? [] : homePlaces.map((place) => join(home, place))),
  ]
  const exclude = Object.values(config.sites).flatMap((site) => (site.kind === "directory" ? [site.path] : []))
  return await examineIdentities(places, { exclude, root: trust?.repository.root })
}

// A host that has no catalog yet has followed no log.
async function retiredOrExplain(loaded: Loaded): Promise<{ readonly sites: RetiredSites; readonly findings: readonly Finding[] }> {
  const path = join(loaded.config.state, "catalog.sqlite")
  if (await isAbsent(path)) return { sites: new Map(), findings: [] }
  using catalog = Catalog.openToRead(path)
  try {
    return { sites: await knownRetired(loaded, catalog), findings: [] }
  } catch (error) {
    if (!(error instanceof BackupError)) throw error
    return { sites: new Map(), findings: [skipped("retired sites", `nothing says which sites are retired: ${error.message}`)] }
  }
}

function examineRetired(name: string, text: string, { jobs }: Loaded): Finding {
  const users = [...jobs.values()].filter(({ sites }) => sites.includes(name)).map((job) => job.name)
  const where = users.length === 0 ? "in the configuration" : `in the configuration and in ${users.join(", ")}`
  const hint = "take it out there, and sign that with `holdline key trust`"
  return note(`site ${name}`, `${text}, and still ${where}`, hint)
}

interface SiteExamination {
  readonly examination: Examination
  readonly repository: Uint8Array | undefined
}

async function examineConfiguredSite(
  name: string,
  config: Config,
  { examination, repository }: SiteExamination,
): Promise<readonly Finding[]> {
  const settings = config.sites[name]
  if (settings === undefined) return []
  const { clock, signal } = examination
  return await examined(`site ${name}`, async () => {
    const opened = await openSite({ name, settings, readOnly: false, signal }, examination)
    const findings = await examineSite(opened, { clock, signal, repository })
    if (opened.posture === undefined || settings.kind === "directory") return findings
    return [...findings, ...examinePosture(`site ${name}`, await opened.posture({ signal }), settings)]
  })
}

async function examineConfiguredJob(job: Job, config: Config, searchPath: string): Promise<Finding[]> {
  const sites = job.sites.flatMap((name) => {
    const settings = config.sites[name]
    if (settings === undefined) return []
    const isDirectory = settings.kind === "directory"
    const isSameDeviceAccepted = isDirectory && settings.sameDevice === "accepted"
    return [{ name, provider: settings.provider, path: isDirectory ? settings.path : undefined, isSameDeviceAccepted }]
  })
  return await examineJob({ name: job.name, source: job.source, sites, durable: job.durable }, searchPath)
}
