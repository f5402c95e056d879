import { matchesGlob, posix } from "node:path"
import { type Code, codeOf, referencesOf } from "./scan.ts"

/** Source texts by path, such as "src/vault/place.ts". */
export type Sources = ReadonlyMap<string, string>

/** Top to bottom. A folder imports from lower floors and from itself; below the last floor are the files of src/ itself. */
const floors: readonly (readonly string[])[] = [
  ["cli", "console"],
  ["schedule", "wiring"],
  ["operation"],
  ["vault", "catalog", "stream"],
  ["site", "source", "format", "key", "retention", "ledger", "alarm", "report", "runbook"],
  ["database"],
]

/** Packages that appear in one file each, so that a provider can be understood, and replaced, in one place. */
const oneFileEach: readonly string[] = ["@aws-sdk/client-s3", "@google-cloud/storage", "pg", "pg-copy-streams", "mysql2", "nodemailer"]

export interface Separation {
  /** A glob of files. */
  readonly from: string
  /** Globs of files, or names of packages, that none of them may reach through imports, however long the way. */
  readonly mustNotReach: readonly string[]
  /** Nor any file that calls this, whatever its name. */
  readonly norCallers?: RegExp
  readonly because: string
}

const separations: readonly Separation[] = [
  {
    from: "src/operation/{scrub,repair,expire}.ts",
    mustNotReach: ["age-encryption", "src/key/header.ts", "src/stream/{encrypt,decrypt,extract,worker}*.ts"],
    norCallers: /\b(?:createDecipheriv|decapsulate)\s*\(/,
    because: "upkeep works on ciphertext and signed commits alone",
  },
]

/** What the air may not be asked for, and the rooms that may ask. */
const inputs: readonly { readonly pattern: RegExp; readonly what: string; readonly rooms: string }[] = [
  { pattern: /\bDate\s*\.\s*now\b/, what: "Date.now", rooms: "src/{clock.ts,wiring/**}" },
  { pattern: /\bnew\s+Date\b(?!\s*\(\s*[^\s)])/, what: "new Date()", rooms: "src/{clock.ts,wiring/**}" },
  { pattern: /(?<!new\s+)(?<![.\w$])Date\s*\(/, what: "Date()", rooms: "src/{clock.ts,wiring/**}" },
  { pattern: /\bMath\s*\.\s*random\b/, what: "Math.random", rooms: "src/{random.ts,wiring/**}" },
  {
    pattern: /\b(?:randomBytes|randomUUID|randomInt|randomFillSync|getRandomValues)\b/,
    what: "node:crypto's randomness",
    rooms: "src/{random.ts,wiring/**}",
  },
  { pattern: /\bAbortSignal\s*\.\s*any\b/, what: "AbortSignal.any, which forgets", rooms: "src/abort.ts" },
  { pattern: /\bprocess\s*\.\s*env\b/, what: "process.env", rooms: "src/wiring/**" },
]

/** One module naming another; `to` is a path in the sources, or a package's name as written. */
interface Link {
  readonly from: string
  readonly to: string
  readonly typeOnly: boolean
}

/** Every breach of the house's rules in `sources`, as one sentence each. */
export function violations(sources: Sources, separated: readonly Separation[] = separations): string[] {
  const codes = [...sources].map(([path, source]) => ({ path, code: codeOf(source) }))
  const links: Link[] = []
  const breaches: string[] = []
  for (const { path, code } of codes) {
    breaches.push(...breachesWithin(path, code))
    for (const { specifier, typeOnly } of referencesOf(code)) {
      if (specifier === null) breaches.push(`${path}: imports a computed name, which nothing can check`)
      else links.push({ from: path, to: targetOf(path, specifier), typeOnly })
    }
  }
  breaches.push(...links.flatMap((link) => breachOfFloors(link, sources)))
  breaches.push(...oneFileEach.flatMap((name) => breachOfOneFile(name, links)))
  breaches.push(...separated.flatMap((separation) => breachesOfSeparation(separation, links, sources)))
  return breaches
}

function breachesWithin(path: string, code: Code): string[] {
  const breaches: string[] = []
  if (posix.basename(path) === "index.ts") breaches.push(`${path}: is a barrel: import from the file that defines the thing`)
  const folder = folderOf(path)
  if (folder !== undefined && floorOf(folder) === undefined) breaches.push(`${path}: the folder ${folder} has no floor`)
  for (const { pattern, what, rooms } of inputs) {
    if (pattern.test(code.text) && !matchesGlob(path, rooms)) breaches.push(`${path}: uses ${what}, which is an input: pass it in`)
  }
  for (const name of unawaited(code)) breaches.push(`${path}: calls ${name}() of node and leaves its promise floating`)
  return breaches
}

/** The type-aware linter knows the promises of our own functions, but not those of node's; for these the names must do. */
function unawaited(code: Code): string[] {
  const names = [...code.text.matchAll(/\bimport\s*\{([^}]*)\}\s*from\s*"§(\d+)"/g)]
    .filter(([, , index]) => /^node:.*\/promises$/.test(code.strings[Number(index)] ?? ""))
    .flatMap(([, list]) =>
      (list ?? "").split(",").map(
        (item) =>
          item
            .trim()
            .split(/\s+as\s+/)
            .at(-1) ?? "",
      ),
    )
  return names.filter((name) => name !== "" && new RegExp(`(?:^|[;{}])[ \\t]*${name}\\s*\\(`, "m").test(code.text))
}

function targetOf(from: string, specifier: string): string {
  return specifier.startsWith(".") ? posix.join(posix.dirname(from), specifier) : specifier
}

function breachOfFloors(link: Link, sources: Sources): string[] {
  const { from, to } = link
  if (to.startsWith("/") || to.startsWith("#") || to.startsWith("file:")) return [`${from}: imports ${to}: use a relative path`]
  if (to.startsWith("..") || to.startsWith("test/") || to.startsWith("bin/")) return [`${from}: imports ${to}, outside src/`]
  if (!to.startsWith("src/")) return []
  if (!sources.has(to)) return [`${from}: imports ${to}, which is not there`]
  const [upper, lower] = [folderOf(from), folderOf(to)]
  if (lower === undefined || upper === lower) return []
  if (upper === undefined) return [`${from}: is on the ground floor and imports the folder ${lower}`]
  const [upperFloor, lowerFloor] = [floorOf(upper), floorOf(lower)]
  if (upperFloor === undefined || lowerFloor === undefined || lowerFloor > upperFloor) return []
  const way = lowerFloor === upperFloor ? "its neighbour" : "upstairs"
  return [`${from}: imports ${to}: ${upper} may not import ${lower}, ${way}`]
}

function folderOf(path: string): string | undefined {
  const [, folder, ...rest] = path.split("/")
  return rest.length === 0 ? undefined : folder
}

function floorOf(folder: string): number | undefined {
  const floor = floors.findIndex((folders) => folders.includes(folder))
  return floor === -1 ? undefined : floor
}

function breachOfOneFile(name: string, links: readonly Link[]): string[] {
  const files = new Set(links.filter(({ to }) => to === name || to.startsWith(`${name}/`)).map(({ from }) => from))
  return files.size > 1 ? [`${name}: imported by ${[...files].sort().join(" and ")}; it belongs in one file`] : []
}

function breachesOfSeparation(separation: Separation, links: readonly Link[], sources: Sources): string[] {
  const starts = [...sources.keys()].filter((path) => matchesGlob(path, separation.from))
  return starts.flatMap((start) => {
    const ways = waysFrom(start, links)
    const forbidden = [...ways.keys()].filter((to) => isForbidden(to, separation, sources))
    return forbidden.map((to) => `${(ways.get(to) ?? []).join(" → ")}: forbidden, because ${separation.because}`)
  })
}

function isForbidden(to: string, { mustNotReach, norCallers }: Separation, sources: Sources): boolean {
  const code = codeOf(sources.get(to) ?? "").text
  return mustNotReach.some((glob) => to === glob || matchesGlob(to, glob)) || (norCallers?.test(code) ?? false)
}

/** The shortest way from `start` to each module that is loaded with it. */
function waysFrom(start: string, links: readonly Link[]): Map<string, readonly string[]> {
  const ways = new Map<string, readonly string[]>([[start, [start]]])
  // A Map hands out what is added while it is walked: this is the queue of a breadth-first search.
  for (const [from, way] of ways) {
    for (const link of links) {
      if (link.from === from && !link.typeOnly && !ways.has(link.to)) ways.set(link.to, [...way, link.to])
    }
  }
  ways.delete(start)
  return ways
}
