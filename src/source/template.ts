import { ConfigError } from "../errors.ts"
import { accountBytesMax } from "../limits.ts"
import { isReservedAccount } from "./source.ts"

/** Where the account and the event day stand in a path. */
export interface Template {
  readonly text: string
  /** Whether all entries of one directory have one account and day. */
  readonly takesAnyName: boolean
  /** Null where the path does not fit, fits in two ways, or names an account or a day that cannot be. */
  match(path: Buffer): Match | null
}

export interface Match {
  readonly stableId: string
  /** As written in the path, that is by the switch's own clock; yyyy-mm-dd. */
  readonly day: string
}

/**
 * Reads a template such as "{account}/archive/{yyyy}/{Mon}/{dd}/{name}". Its components stand for a path's components, and what is
 * not a placeholder stands for itself. Where everything below the root is the `owner`'s, {account} must not stand in it.
 *
 *  {account}  the customer's stable id          {yyyy} {MM} {dd} {HH}  digits of the local date and hour
 *  {name}     any text within one component     {Mon}                  an English month, "Nov" or "November", in any case
 *  *          any one component                 {rest}                 one or more last components
 */
export function parseTemplate(text: string, owner?: string): Template {
  const patterns = compile(text, owner !== undefined)
  return {
    text,
    takesAnyName: /(?:^|\/)(?:\{name\}|\*)$/.test(text),
    match(path) {
      // One character per byte: names need not be UTF-8, and a regular expression over bytes needs characters.
      const bytes = path.toString("latin1")
      if (emptyOrClimbing.test(bytes)) return null
      const longest = patterns.longest.exec(bytes)?.groups
      const shortest = patterns.shortest.exec(bytes)?.groups
      if (longest === undefined || shortest === undefined) return null
      // A path that can be cut in two ways belongs to two accounts; a guess would file one customer's call under another's key.
      if (longest.account !== shortest.account) return null

      const stableId = owner ?? accountOf(longest.account)
      const day = dayOf(longest)
      return stableId === null || day === null ? null : { stableId, day }
    },
  }
}

const emptyOrClimbing = /(?:^|\/)\.{0,2}(?:\/|$)/

const months = [
  ["january", "jan"],
  ["february", "feb"],
  ["march", "mar"],
  ["april", "apr"],
  ["may"],
  ["june", "jun"],
  ["july", "jul"],
  ["august", "aug"],
  ["september", "sep"],
  ["october", "oct"],
  ["november", "nov"],
  ["december", "dec"],
] as const

const placeholders: ReadonlyMap<string, string> = new Map([
  ["account", "(?<account>[^/]+)"],
  ["yyyy", "(?<year>\\d{4})"],
  ["MM", "(?<month>\\d{2})"],
  ["Mon", `(?<mon>${months.flat().map(inAnyCase).join("|")})`],
  ["dd", "(?<day>\\d{2})"],
  ["HH", "(?:[01]\\d|2[0-3])"],
  ["name", "[^/]+"],
  ["rest", "[^]+"],
])

function compile(text: string, isOwned: boolean): { readonly longest: RegExp; readonly shortest: RegExp } {
  const used: string[] = []
  const components = text.split("/")
  const pattern = components
    .map((component, index) => compileComponent(text, component, { last: index === components.length - 1, used }))
    .join("/")
  checkComplete(text, used, isOwned)
  return { longest: new RegExp(`^${pattern}$`), shortest: new RegExp(`^${pattern.replaceAll("[^/]+", "[^/]+?")}$`) }
}

function compileComponent(text: string, component: string, place: { readonly last: boolean; readonly used: string[] }): string {
  if (component === "*") return "[^/]+"
  if (component === "" || component === "." || component === "..")
    throw invalid(text, `"${component}" is no component of a path below the root`)
  if (component.includes("{account}{name}") || component.includes("{name}{account}")) {
    throw invalid(text, "nothing tells where {account} ends and {name} begins")
  }

  let pattern = ""
  for (const piece of component.split(/(\{[^{}]*\})/)) {
    if (!piece.startsWith("{") || !piece.endsWith("}")) {
      if (/[{}*]/.test(piece)) throw invalid(text, `"${piece}": braces go in pairs, and * stands for a whole component`)
      pattern += escaped(Buffer.from(piece, "utf8").toString("latin1"))
      continue
    }
    const name = piece.slice(1, -1)
    const part = placeholders.get(name)
    if (part === undefined)
      throw invalid(text, `${piece} is not known`, `known are ${[...placeholders.keys()].map((key) => `{${key}}`).join(" ")} and *`)
    if (place.used.includes(name)) throw invalid(text, `${piece} stands there twice`)
    if (name === "rest" && !(place.last && component === "{rest}")) throw invalid(text, "{rest} must be all of the last component")
    place.used.push(name)
    pattern += part
  }
  return pattern
}

function checkComplete(text: string, used: readonly string[], isOwned: boolean): void {
  if (isOwned && used.includes("account")) throw invalid(text, "{account} stands there, and the account is given beside it")
  if (!isOwned && !used.includes("account")) throw invalid(text, "{account} is missing")
  if (!used.includes("yyyy")) throw invalid(text, "{yyyy} is missing")
  if (!used.includes("dd")) throw invalid(text, "{dd} is missing")
  if (used.includes("MM") === used.includes("Mon")) throw invalid(text, "the month must stand there once, as {MM} or as {Mon}")
}

function invalid(text: string, why: string, hint?: string): ConfigError {
  return new ConfigError("config/invalid", `template "${text}": ${why}`, hint === undefined ? {} : { hint })
}

function accountOf(latin1: string | undefined): string | null {
  if (latin1 === undefined || latin1 === "." || latin1 === "..") return null
  const bytes = Buffer.from(latin1, "latin1")
  if (bytes.length > accountBytesMax) return null
  const account = utf8(bytes)
  // A folder that happens to be called "platform" must not pass for the operator's own data.
  return account === null || /\p{Cc}/u.test(account) || isReservedAccount(account) ? null : account
}

function utf8(bytes: Buffer): string | null {
  try {
    // Without ignoreBOM the decoder would drop a leading U+FEFF, and two accounts would become one.
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes)
  } catch {
    return null
  }
}

function dayOf(groups: Readonly<Record<string, string>>): string | null {
  const year = Number(groups.year)
  const month = groups.month === undefined ? monthNumber(groups.mon ?? "") : Number(groups.month)
  const day = Number(groups.day)
  const date = new Date(Date.UTC(year, month - 1, day))
  // Date.UTC moves 30 February on to March; a date that moved was none. Years below 1970 are zeroes of a broken clock or template.
  if (year < 1970 || date.getUTCMonth() !== month - 1 || date.getUTCDate() !== day) return null
  return date.toISOString().slice(0, 10)
}

function monthNumber(name: string): number {
  return 1 + months.findIndex((names) => names.some((known) => known === name.toLowerCase()))
}

function inAnyCase(word: string): string {
  return word.replace(/[a-z]/g, (letter) => `[${letter.toUpperCase()}${letter}]`)
}

function escaped(text: string): string {
  return text.replace(/[\\^$.*+?()[\]{}|/-]/g, "\\$&")
}
