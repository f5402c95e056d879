import { count, formatSize } from "../units.ts"

/** An anomaly that is open: expiry of its dataset stands still until a person lifts it. */
export interface AnomalyReport {
  readonly id: string
  readonly dataset: string
  readonly kind: string
  readonly time: string
  readonly numbers: Readonly<Record<string, number>>
}

/** What was found, in words: "held 40 files and holds 3". Kinds and numbers of another release are shown as they are. */
export function anomalyText({ kind, numbers }: Pick<AnomalyReport, "kind" | "numbers">): string {
  const known = texts.get(kind)?.(new Map(Object.entries(numbers)))
  if (known !== undefined) return known
  const rest = Object.entries(numbers).map(([name, n]) => `${name} ${String(n)}`)
  return [kind, ...(rest.length === 0 ? [] : [`(${rest.join(", ")})`])].join(" ")
}

type Numbers = ReadonlyMap<string, number>

const texts = new Map<string, (numbers: Numbers) => string>([
  ["emptied", (n) => `the source holds nothing, and held ${held(n, "filesBefore", "bytesBefore")}`],
  ["emptied-table", (n) => `${count(n.get("tables") ?? 0, "table")} that held rows ${n.get("tables") === 1 ? "holds" : "hold"} none`],
  ["shrunk", (n) => `the source holds ${held(n, "files", "bytes")}, and held ${held(n, "filesBefore", "bytesBefore")}`],
  ["mass-change", (n) => `${String(n.get("lost") ?? 0)} of ${files(n, "known")} of the last days went away or changed`],
  ["failed", (n) => `${count(n.get("failed") ?? 0, "program or copy", "programs or copies")} of a database failed`],
])

function files(numbers: Numbers, name: string): string {
  return count(numbers.get(name) ?? 0, "file")
}

function held(numbers: Numbers, name: string, bytes: string): string {
  return `${files(numbers, name)} with ${formatSize(numbers.get(bytes) ?? 0)}`
}
