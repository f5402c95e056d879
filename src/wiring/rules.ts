import { resolve } from "node:path"
import { BackupError } from "../errors.ts"
import { sourceSettings } from "../source/settings.ts"
import { parseTemplate } from "../source/template.ts"
import { isTimeZone } from "../time-zone.ts"
import { at, entries } from "./plain.ts"
import { boundsRules, classBounds, retentionBetween, retentionRules } from "./retention.ts"
import type { Config, JobFile } from "./schema.ts"
import { nearest, oneOf } from "./suggest.ts"
import { printable } from "./yaml.ts"

/** What is wrong between keys that are each right by themselves; `path` says at which it is reported. */
export interface Broken {
  readonly path: readonly string[]
  readonly sentence: string
}

/** Rules between the keys of the configuration. The value need not fit the schema: each rule reads only what it can. */
export function configRules(config: unknown): Broken[] {
  const broken: Broken[] = []
  const copies = at(config, "durable", "copies") ?? 2
  const providers = at(config, "durable", "providers") ?? 2
  if (typeof copies === "number" && typeof providers === "number" && providers > copies) {
    const path = at(config, "durable", "providers") === undefined ? ["durable", "copies"] : ["durable", "providers"]
    broken.push({ path, sentence: `${String(providers)} providers need at least as many copies, found ${String(copies)}` })
  }
  for (const [name, each] of entries(at(config, "classes"))) {
    const days = at(each, "days")
    const reuseDays = at(each, "reuseDays")
    if (typeof days === "number" && typeof reuseDays === "number" && reuseDays > days) {
      broken.push({ path: ["classes", name, "reuseDays"], sentence: `expected at most the class's days, ${String(days)}` })
    }
  }
  return [...broken, ...boundsRules(config), ...classBounds(config), ...sharedPlaces(config)]
}

// Two sites in one place would count as two copies of what a single failure takes.
function sharedPlaces(config: unknown): Broken[] {
  const broken: Broken[] = []
  const seen = new Map<string, string>()
  for (const [name, site] of entries(at(config, "sites"))) {
    const key = at(site, "kind") === "directory" ? "path" : "bucket"
    const where = at(site, key)
    if (typeof where !== "string") continue
    if (at(site, "keys") === where)
      broken.push({
        path: ["sites", name, "keys"],
        sentence: "expected a bucket of its own for keys: erasing an account needs other locks than keeping its data",
      })
    const place = JSON.stringify([at(site, "kind"), key === "path" ? resolve("/", where) : where, at(site, "endpoint"), at(site, "prefix")])
    const other = seen.get(place)
    if (other === undefined) seen.set(place, name)
    else
      broken.push({
        path: ["sites", name, key],
        sentence: `the site ${printable(other)} keeps its packs in the same ${key}: expected a place of its own`,
      })
  }
  return broken
}

/** Rules between the keys of one job. The value need not fit the schema. */
export function jobRules(job: unknown): Broken[] {
  const mode = at(job, "mode")
  const broken = [...(mode === "archive" ? archiveRules(job) : mode === "state" ? stateRules(job) : []), ...profileRules(job)]
  const timezone = at(job, "source", "timezone")
  if (typeof timezone === "string" && !isTimeZone(timezone)) {
    broken.push({ path: ["source", "timezone"], sentence: "expected a time zone such as Europe/Berlin or UTC" })
  }
  if (at(job, "source", "account") === "catalog") {
    broken.push({
      path: ["source", "account"],
      sentence: 'the account "catalog" is reserved: expected the customer\'s id, "platform" or "mixed"',
    })
  }
  return [...broken, ...guardRules(job), ...retentionRules(job)]
}

// Only an archive of files meets again what it met before, and only a whole can shrink.
function guardRules(job: unknown): Broken[] {
  const broken: Broken[] = []
  const isMedia = at(job, "mode") === "archive" && at(job, "source", "kind") === "directory"
  if (at(job, "links") !== undefined && !isMedia)
    broken.push({ path: ["links"], sentence: "rows point at files: expected an archive of a directory" })
  if (at(job, "guard", "change") !== undefined && !isMedia)
    broken.push({ path: ["guard", "change"], sentence: "expected an archive of a directory: remove `change`" })
  if (at(job, "guard", "shrink") !== undefined && at(job, "mode") === "archive")
    broken.push({ path: ["guard", "shrink"], sentence: "an archive only gains things: remove `shrink`" })
  return broken
}

function archiveRules(job: unknown): Broken[] {
  const kind = at(job, "source", "kind")
  if (sourceSettings.options.some((settings) => settings.shape.kind.value === kind) && !archiveKinds.has(String(kind))) {
    return [{ path: ["mode"], sentence: `a ${String(kind)} source is captured whole: expected "state"` }]
  }
  if (kind !== "directory" || isOfProfile(job)) return []
  const template = at(job, "source", "template")
  if (template === undefined) {
    return [
      {
        path: ["source", "template"],
        sentence: 'archive mode needs a template with {account} and a date, such as "{account}/archive/{yyyy}/{Mon}/{dd}/{name}"',
      },
    ]
  }
  const account = at(job, "source", "account")
  if (typeof template !== "string") return []
  if (account !== undefined && template.includes("{account}"))
    return [
      { path: ["source", "account"], sentence: "the template says whose a file is: remove `account`, or {account} from the template" },
    ]
  const refused = templateProblem(template, typeof account === "string" ? account : undefined)
  return refused === undefined ? [] : [{ path: ["source", "template"], sentence: refused }]
}

// What a profile will say is not known yet: the rules are asked again of the whole.
function isOfProfile(job: unknown): boolean {
  return at(job, "source", "profile") !== undefined || at(job, "source", "files") !== undefined
}

function profileRules(job: unknown): Broken[] {
  if (at(job, "source", "kind") !== "directory") return []
  if (at(job, "source", "profile") !== undefined) {
    if (at(job, "source", "files") !== undefined) return []
    return [{ path: ["source", "files"], sentence: "expected the name of one of the profile's directories, such as recordings" }]
  }
  const broken: Broken[] = ["files", "overrides"]
    .filter((key) => at(job, "source", key) !== undefined)
    .map((key) => ({ path: ["source", key], sentence: `\`${key}\` is of a profile: name the \`profile\` too, or remove it` }))
  if (at(job, "source", "path") === undefined && broken.length === 0)
    broken.push({ path: ["source", "path"], sentence: "expected the directory, or a `profile` that knows it" })
  return broken
}

/** Sources that can say which account and day a part of them belongs to, and what is new. */
const archiveKinds: ReadonlySet<string> = new Set(["directory", "cdrs", "csv"])

function stateRules(job: unknown): Broken[] {
  const broken: Broken[] = []
  if (at(job, "afterExpiry") !== undefined) {
    broken.push({ path: ["afterExpiry"], sentence: "state mode captures everything in every run: remove `afterExpiry`" })
  }
  const kind = at(job, "source", "kind")
  if (kind === "cdrs" || kind === "csv") broken.push({ path: ["mode"], sentence: `call detail records only ever grow: expected "archive"` })
  if (kind !== "directory") return broken
  if (at(job, "source", "account") === undefined && !isOfProfile(job)) {
    broken.push({ path: ["source", "account"], sentence: 'state mode needs the account everything belongs to, such as "platform"' })
  }
  for (const key of ["template", "timezone", "settle"]) {
    if (at(job, "source", key) !== undefined) broken.push({ path: ["source", key], sentence: `\`${key}\` is for archive mode: remove it` })
  }
  return broken
}

function templateProblem(template: string, owner: string | undefined): string | undefined {
  try {
    parseTemplate(template, owner)
    return undefined
  } catch (error) {
    if (!(error instanceof BackupError)) throw error
    const why = error.message.slice(error.message.indexOf('": ') + 3)
    const expected =
      owner === undefined
        ? 'expected a template with {account} and a date, such as "{account}/{yyyy}/{MM}/{dd}/{name}"'
        : 'expected a template with a date, such as "{yyyy}/{MM}/{dd}/{name}"'
    // A reason that quotes a part of the text is left out: messages never quote values.
    return /"|\{[^}]{9}/.test(why) ? expected : `${expected}: ${why}`
  }
}

/** Rules between a job and the configuration. */
export function rulesBetween(job: JobFile, config: Config): Broken[] {
  const broken: Broken[] = []
  if (!Object.hasOwn(config.classes, job.class)) {
    broken.push({ path: ["class"], sentence: unknownName("class", job.class, Object.keys(config.classes)) })
  }
  broken.push(...retentionBetween(job, config))
  if ("database" in job.source && !Object.hasOwn(config.databases, job.source.database)) {
    const { database } = job.source
    broken.push({ path: ["source", "database"], sentence: unknownName("database", database, Object.keys(config.databases)) })
  }
  job.sites.forEach((site, index) => {
    if (Object.hasOwn(config.sites, site)) return
    broken.push({ path: ["sites", String(index)], sentence: unknownName("site", site, Object.keys(config.sites)) })
  })
  const known = job.sites.filter((site) => Object.hasOwn(config.sites, site))
  return known.length === job.sites.length ? [...broken, ...durableRules(job, config)] : broken
}

function durableRules(job: JobFile, config: Config): Broken[] {
  const broken: Broken[] = []
  const providers = [...new Set(job.sites.flatMap((name) => config.sites[name]?.provider ?? []))]
  const held = { copies: job.sites.length, providers: providers.length }
  const names = {
    copies: `the job has ${count(held.copies, "site")}`,
    providers: `the job's sites are of ${count(held.providers, "provider")}: ${providers.join(", ")}`,
  }
  const asked = { copies: job.durable?.copies ?? config.durable.copies, providers: job.durable?.providers ?? config.durable.providers }

  for (const key of ["copies", "providers"] as const) {
    const own = job.durable?.[key]
    const path = own === undefined ? ["sites"] : ["durable", key]
    if (own !== undefined && own < config.durable[key]) {
      broken.push({
        path,
        sentence: `a job may ask for more, never for less: expected at least the configuration's ${String(config.durable[key])}`,
      })
    }
    if (held[key] < asked[key]) {
      broken.push({
        path,
        sentence: `can never be durable: ${count(asked[key], key === "copies" ? "copy" : "provider")} are asked for, but ${names[key]}`,
      })
    }
  }
  if (asked.providers > asked.copies) {
    const key = job.durable?.providers === undefined ? "copies" : "providers"
    broken.push({
      path: ["durable", key],
      sentence: `${String(asked.providers)} providers need at least as many copies, found ${String(asked.copies)}`,
    })
  }
  return broken
}

function count(n: number, singular: string): string {
  return `${String(n)} ${n === 1 ? singular : singular.replace(/y$/, "ie").concat("s")}`
}

function unknownName(what: string, name: string, known: readonly string[]): string {
  const meant = nearest(name, known)
  if (meant !== undefined) return `unknown ${what}: did you mean "${meant}"?`
  return known.length === 0 ? `unknown ${what}: the configuration has none` : `unknown ${what}: expected ${oneOf(known)}`
}
