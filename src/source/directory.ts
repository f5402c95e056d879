import { lstatSync, realpathSync, statSync } from "node:fs"
import picomatch from "picomatch"
import { ConfigError, errnoOf, JobError, reasonOf } from "../errors.ts"
import type { Environment } from "../program.ts"
import { extendedAttributes } from "./attributes.ts"
import { isCompressible } from "./audio.ts"
import { type Calendar, calendar } from "./calendar.ts"
import type { DirectorySettings } from "./settings.ts"
import type { CaptureOptions, Found, ItemFlag, Source, SourceItem, SourceMemory, SourceMode } from "./source.ts"
import { parseTemplate, type Template } from "./template.ts"
import { absolute, type Entry, type Hindrance, Turns, walk, walkNow } from "./walk.ts"

/** How long a file must be unchanged where the job does not say. */
export const settleMsDefault = 5 * 60_000

/**
 * The tree below one directory. In archive mode: finished files (and links), each filed under the account and day of its path;
 * directories are not kept. In state mode: everything, directories and links included. Opens no file: a worker does, if it changed.
 */
export function directorySource(settings: DirectorySettings, mode: SourceMode, environment: Environment): Source {
  const left = excluded(settings.exclude ?? [])
  const description = `directory ${settings.path}`
  switch (mode) {
    case "archive": {
      const rules = archiveRules(settings)
      return { description, capture: (options) => captureArchive(settings.path, rules, left, options) }
    }
    case "state": {
      const account = stateAccount(settings)
      return { description, capture: (options) => captureState(settings.path, account, left, environment, options) }
    }
  }
}

/** Whether a path relative to the root is left out by the job. */
type Excluded = (path: Buffer) => boolean

interface ArchiveRules {
  readonly template: Template
  /** Whose everything is, where no path says it. */
  readonly owner: string | undefined
  readonly calendar: Calendar
  readonly settleNs: bigint
}

async function* captureArchive(path: string, rules: ArchiveRules, left: Excluded, options: CaptureOptions): AsyncGenerator<Found> {
  const root = rootOf(path)
  const nowNs = BigInt(options.now.getTime()) * 1_000_000n
  const placeOf = places(rules, options.memory)
  const turns = new Turns(options.signal)
  // Millions of entries: each step between two generators that wait for one another costs as much as looking at one.
  for (const walked of walkNow(root, { skip: left })) {
    if (turns.isDue()) await turns.take()
    if ("skipped" in walked) {
      yield { note: { kind: "excluded", path: walked.skipped } }
    } else if ("hindrance" in walked) {
      const { stableId, day } = placeOf(walked.hindrance)
      yield missed(walked.hindrance, stableId, day ?? "")
    } else if (!walked.entry.stats.isDirectory()) {
      if (settled(walked.entry, rules.settleNs, nowNs)) {
        for (const each of archived(root, walked.entry, placeOf(walked.entry), rules.calendar)) yield each
      } else yield { note: { kind: "settling", path: walked.entry.path } }
    }
  }
}

function archived(root: Buffer, entry: Entry, { stableId, day }: Place, days: Calendar): Found[] {
  if (day !== null) return found(root, entry, stableId, day, none)
  return [
    ...found(root, entry, stableId, days.dayOf(entry.stats.mtimeNs), ["unmatched"]),
    { note: { kind: "unmatched", path: entry.path } },
  ]
}

const none: readonly ItemFlag[] = []

/** Whose a path is and of which day; null where it does not fit the template. */
interface Place {
  readonly stableId: string
  readonly day: string | null
}

/** Where an entry stands, or what hindered looking at it. */
interface Standing {
  readonly path: Buffer
  readonly parent?: Buffer
}

function places({ template, owner }: ArchiveRules, memory: SourceMemory): (at: Standing) => Place {
  // A tree has few accounts and many files: each name is looked up once a run, so that one run files all of a name alike.
  const known = new Map<string, string>()
  const stableIdOf = (name: string): string => {
    const stableId = known.get(name) ?? memory.accountNamed(name) ?? name
    known.set(name, stableId)
    return stableId
  }
  const placeOf = (path: Buffer): Place => {
    const match = template.match(path)
    if (match === null) return { stableId: owner ?? "mixed", day: null }
    return { stableId: owner ?? stableIdOf(match.stableId), day: match.day }
  }
  if (!template.takesAnyName) return ({ path }) => placeOf(path)
  // Then all that is in one directory has one place.
  let last: { readonly parent: Buffer; readonly place: Place } | null = null
  return ({ path, parent }) => {
    if (parent !== undefined && last?.parent === parent) return last.place
    const place = placeOf(path)
    last = parent === undefined ? null : { parent, place }
    return place
  }
}

/**
 * A recording grows for as long as the call lasts, and some formats write only every two minutes: it is finished once neither its
 * content nor its inode changed for the settle time. A time stamp further in the future than that comes from a clock that was wrong
 * and says nothing; a file is then judged by the other one, and taken where both are wrong rather than never.
 */
function settled(entry: Entry, settleNs: bigint, nowNs: bigint): boolean {
  const { mtimeNs, ctimeNs } = entry.stats
  return isPast(mtimeNs, settleNs, nowNs) && isPast(ctimeNs, settleNs, nowNs)
}

function isPast(time: bigint, settleNs: bigint, nowNs: bigint): boolean {
  return time > nowNs + settleNs || nowNs - time >= settleNs
}

async function* captureState(
  path: string,
  account: string,
  left: Excluded,
  environment: Environment,
  options: CaptureOptions,
): AsyncGenerator<Found> {
  const root = rootOf(path)
  // Attributes below what this run leaves out are no loss of this run.
  const outside = new Set<string>()
  for await (const walked of walk(root, { signal: options.signal, skip: left })) {
    if ("skipped" in walked) {
      outside.add(walked.skipped.toString("latin1"))
      yield { note: { kind: "excluded", path: walked.skipped } }
    } else if ("hindrance" in walked) {
      outside.add(walked.hindrance.path.toString("latin1"))
      yield missed(walked.hindrance, account, "")
    } else {
      for (const each of found(root, walked.entry, account, "", none)) yield each
    }
  }
  for await (const note of extendedAttributes(root, environment, options.signal)) {
    if (!isWithin(note.path, outside)) yield { note }
  }
}

function isWithin(path: Buffer, places: ReadonlySet<string>): boolean {
  if (places.size === 0) return false
  const text = path.toString("latin1")
  if (places.has(text)) return true
  for (let at = text.indexOf("/"); at !== -1; at = text.indexOf("/", at + 1)) {
    if (places.has(text.slice(0, at))) return true
  }
  return false
}

function found(root: Buffer, entry: Entry, stableId: string, day: string, flags: readonly ItemFlag[]): Found[] {
  const { path, stats } = entry
  const common = {
    stableId,
    day,
    path,
    mtimeNs: stats.mtimeNs,
    mode: Number(stats.mode) & 0o7777,
    uid: Number(stats.uid),
    gid: Number(stats.gid),
  }
  if (stats.isDirectory()) {
    return [{ item: { ...common, type: "directory", size: 0, compressible: true, flags, content: { kind: "none" } } }]
  }
  if (entry.link !== undefined) {
    return [{ item: { ...common, type: "symlink", size: 0, link: entry.link, compressible: true, flags, content: { kind: "none" } } }]
  }
  const own = fileFlags(entry)
  const item: SourceItem = {
    ...common,
    type: "file",
    size: Number(stats.size),
    identity: { ctimeNs: stats.ctimeNs, inode: stats.ino, device: stats.dev },
    compressible: isCompressible(path),
    flags: own.length === 0 ? flags : [...flags, ...own],
    content: new FileBelow(root, path),
  }
  return stats.nlink > 1n ? [{ item }, { note: { kind: "hard-link", path } }] : [{ item }]
}

/** Where a file is, for who opens it: of millions hardly any is opened. */
class FileBelow {
  readonly kind = "file"
  readonly #root: Buffer
  readonly #path: Buffer

  constructor(root: Buffer, path: Buffer) {
    this.#root = root
    this.#path = path
  }

  get path(): Buffer {
    return absolute(this.#root, this.#path)
  }
}

function fileFlags({ stats }: Entry): ItemFlag[] {
  const flags: ItemFlag[] = []
  if (stats.nlink > 1n) flags.push("hard-link")
  // Filesystems that keep short files inside the inode count no blocks for them; a hole is a block or more.
  if (stats.blocks * 512n + 4096n <= stats.size) flags.push("sparse")
  return flags
}

function missed(hindrance: Hindrance, stableId: string, day: string): Found {
  return { miss: { stableId, day, ...hindrance } }
}

/** The root with the links in its own path resolved: the operator named it, so there they are meant. */
function rootOf(path: string): Buffer {
  try {
    const root = realpathSync.native(path, { encoding: "buffer" })
    if (!statSync(root).isDirectory())
      throw new JobError("job/source", `${path}: not a directory`, { hint: "name a directory, or use another kind of source" })
    return root
  } catch (error) {
    if (error instanceof JobError) throw error
    throw new JobError("job/source", `${path}: ${whyNoRoot(error)}`, {
      cause: error,
      hint: isDangling(path) ? "the link leads nowhere; is the disk mounted" : "check the path, and whether its disk is mounted",
    })
  }
}

function whyNoRoot(error: unknown): string {
  return errnoOf(error) === "ENOENT" ? "does not exist" : (errnoOf(error) ?? reasonOf(error))
}

function isDangling(path: string): boolean {
  try {
    return lstatSync(path).isSymbolicLink()
  } catch {
    return false
  }
}

function archiveRules(settings: DirectorySettings): ArchiveRules {
  if (settings.template === undefined) {
    throw new ConfigError("config/invalid", `source ${settings.path}: a directory in archive mode needs a template`, {
      hint: 'add a template such as "{account}/archive/{yyyy}/{Mon}/{dd}/{name}"',
    })
  }
  return {
    template: parseTemplate(settings.template, settings.account),
    owner: settings.account,
    calendar: calendar(settings.timezone ?? "UTC"),
    settleNs: BigInt(settings.settle ?? settleMsDefault) * 1_000_000n,
  }
}

function stateAccount(settings: DirectorySettings): string {
  for (const name of ["template", "timezone", "settle"] as const) {
    if (settings[name] === undefined) continue
    throw new ConfigError("config/invalid", `source ${settings.path}: "${name}" belongs to archive mode`, {
      hint: `remove it, or set "mode: archive"`,
    })
  }
  if (settings.account === undefined) {
    throw new ConfigError("config/invalid", `source ${settings.path}: a directory in state mode needs an account`, {
      hint: 'add "account", such as "platform" where it holds no customer data or "mixed" where it does',
    })
  }
  return settings.account
}

function excluded(patterns: readonly string[]): Excluded {
  if (patterns.length === 0) return () => false
  const globs = patterns.map((pattern) => {
    // Such a pattern would never match: what it was to keep out would be captured without a word.
    if (pattern.startsWith("/") || pattern.split("/").includes("..")) {
      throw new ConfigError("config/invalid", `exclude "${pattern}": patterns are relative to the source's path`, {
        hint: 'write "cache/**", not "/cache/**"',
      })
    }
    return pattern.replace(/\/+$/, "")
  })
  const matches = picomatch(globs, { dot: true })
  return (path) => matches(path.toString("utf8"))
}
