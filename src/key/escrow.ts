import { hash } from "node:crypto"
import { KeyError } from "../errors.ts"
import { Secret } from "../secret.ts"
import { bech32Charset } from "./bech32.ts"
import { type Identity, type Kind, parseIdentity } from "./recipient.ts"

/**
 * The escrow sheet: an organisation identity on paper, which opens everything when all machines are gone. Its 58 characters stand in
 * four lines of groups of four; the last group of a line is a check over the line, so that a typing error is found where it is.
 */
export interface EscrowSheet {
  readonly identity: Identity
  /** The root's fingerprint, "SHA256:…": whoever recovers trusts nothing else. */
  readonly root: string
  /** The id of the repository. */
  readonly repository: string
  /** The day it was made, such as 2026-11-21. */
  readonly date: string
  /** What the identity opens, in one sentence. */
  readonly opens: string
  /** Where the data is: one line for each site, such as "fra: /mnt/vault, own data centre". */
  readonly sites: readonly string[]
}

const prefixes: Readonly<Record<Kind, string>> = { pq: "AGE-SECRET-KEY-PQ-1", x25519: "AGE-SECRET-KEY-1" }
const lineLengths = [16, 16, 16, 10] as const
const groupLength = 4
const widthMax = 72

/** Plain text, 72 columns, for one A4 page. It is secret: only a printer or its reader may see it. */
export function escrowSheetText(sheet: EscrowSheet): Secret {
  const { heading, facts, lines, explanation, sections } = contentOf(sheet)
  const page = [
    heading.padEnd(widthMax - sheet.date.length) + sheet.date,
    "=".repeat(widthMax),
    ...wrapped(warning, ""),
    "",
    ...facts.flatMap(([name, value]) => wrapped(value, name.padEnd(12))),
    "",
    `    ${prefixes[sheet.identity.kind]}`,
    ...lines.map((line, index) => `    ${String(index + 1)}   ${line}`),
    "",
    ...wrapped(explanation, ""),
    ...sections.flatMap(({ title, steps }) => ["", title, ...steps.flatMap((step, index) => wrapped(step, `${String(index + 1)}. `))]),
  ]
  return new Secret(`${page.join("\n")}\n`)
}

/** The same as a page of HTML that loads nothing and runs nothing. */
export function escrowSheetHtml(sheet: EscrowSheet): Secret {
  const { heading, facts, lines, explanation, sections } = contentOf(sheet)
  const rows = facts.map(([name, value]) => `<tr><th>${escaped(name)}<td>${escaped(value)}`)
  const steps = sections.map(
    ({ title, steps: list }) => `<h2>${escaped(title)}</h2><ol>${list.map((step) => `<li>${escaped(step)}`).join("")}</ol>`,
  )
  return new Secret(`<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta http-equiv="content-security-policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>${escaped(heading)} ${escaped(sheet.date)}</title>
<style>
@page { size: A4; margin: 18mm }
body { font: 10.5pt/1.35 sans-serif; max-width: 174mm; color: #000; background: #fff }
h1 { font-size: 15pt; border-bottom: 1pt solid; padding-bottom: 2mm } h2 { font-size: 11pt; margin: 4mm 0 1mm }
th { text-align: left; vertical-align: top; padding-right: 6mm; font-weight: 600 } td { overflow-wrap: anywhere }
pre { font: 14pt/1.6 monospace; border: 1pt solid; padding: 4mm; margin: 4mm 0 } ol { margin: 0; padding-left: 6mm }
</style>
<h1>${escaped(heading)}, ${escaped(sheet.date)}</h1>
<p><strong>${escaped(warning)}</strong>
<table>${rows.join("\n")}</table>
<pre>${prefixes[sheet.identity.kind]}\n${lines.map((line, index) => `${String(index + 1)}   ${line}`).join("\n")}</pre>
<p>${escaped(explanation)}
${steps.join("\n")}
</html>
`)
}

const warning =
  "Whoever holds this sheet can read every backup of this repository. Keep it sealed and offline, in more than one place. " +
  "Do not photograph it, scan it or type it in except to recover."

interface SheetContent {
  readonly heading: string
  readonly facts: readonly (readonly [string, string])[]
  readonly lines: readonly string[]
  readonly explanation: string
  readonly sections: readonly { readonly title: string; readonly steps: readonly string[] }[]
}

function contentOf(sheet: EscrowSheet): SheetContent {
  const { kind, recipient } = sheet.identity
  const age = kind === "pq" ? "age 1.3 or later" : "age"
  return {
    heading: "Holdline escrow sheet",
    facts: [
      ["Repository", sheet.repository],
      ["Opens", sheet.opens],
      ["Kind", kind === "pq" ? "post-quantum (ML-KEM-768 with X25519)" : "X25519"],
      ["Recipient", `${recipient.slice(0, 24)}… with SHA-256 ${hash("sha256", recipient).slice(0, 16)}`],
      ["Root key", sheet.root],
      ...sheet.sites.map((site, index) => [index === 0 ? "Data at" : "", site] as const),
    ],
    lines: sheetLines(sheet.identity),
    explanation:
      "The last group of each line is a check and no part of the identity. 0 is always zero: the letters B, I and O and the digit 1 " +
      "do not occur in the numbered lines. Spaces and capitals do not matter.",
    sections: [
      {
        title: "To recover with Holdline",
        steps: [
          "On a clean machine, type the identity above into a file only you can read, as it is printed: the first line, then the four " +
            "numbered ones with their checks. A line with a typing error will be named.",
          `Run "holdline recover" with one of the sites, --identity and that file, and the root key above. It trusts only what this root ` +
            "key has signed, and finds every backup from that one site.",
          "Delete the file, and seal the sheet again.",
        ],
      },
      {
        title: "To recover without Holdline",
        steps: [
          `Install ${age}, zstd, tar, jq and openssl.`,
          "Write the identity into a file escrow.txt in one line: the first line, then the four others without spaces, numbers and checks.",
          'Fetch recover.sh (every site has it as v1/recover-*.sh), and run "bash recover.sh --help".',
        ],
      },
    ],
  }
}

function sheetLines(identity: Identity): string[] {
  const prefix = prefixes[identity.kind]
  let rest = identity.secret.reveal().slice(prefix.length)
  return lineLengths.map((length, index) => {
    const line = rest.slice(0, length)
    rest = rest.slice(length)
    const groups = Array.from({ length: Math.ceil(length / groupLength) }, (_, i) => line.slice(i * groupLength, (i + 1) * groupLength))
    return `${groups.join(" ").padEnd(19)}   ${checkOf(prefix, index + 1, line)}`
  })
}

/** Twenty bits over a line and its place: an error is missed once in a million times, and then the identity's own checksum fails. */
function checkOf(prefix: string, number: number, line: string): string {
  const digest = Buffer.from(hash("sha256", `holdline/v1/escrow\n${prefix}\n${String(number)}\n${line}`, "hex"), "hex")
  const bits = digest.readUIntBE(0, 3)
  return [19, 14, 9, 4].map((shift) => bech32Charset.charAt((bits >> shift) & 31).toUpperCase()).join("")
}

/** Whether the text has an escrow sheet's first line by itself, so that the numbered ones must follow. */
export function isTypedSheet(text: string): boolean {
  return text.split(/\r\n|\n|\r/).some((line) => prefixOf(line) !== null)
}

/**
 * The identity of a sheet, as a person typed it: white space, grouping, case and line numbers do not matter, and neither does anything
 * before and after. KeyError key/malformed names the line that is wrong; no message repeats any of the text.
 */
export function readEscrowSheet(text: string): Identity {
  const typed = text.split(/\r\n|\n|\r/).filter((line) => line.trim() !== "")
  const start = typed.findIndex((line) => prefixOf(line) !== null)
  const prefix = prefixOf(typed[start] ?? "")
  if (prefix === null) {
    throw malformed("the line AGE-SECRET-KEY-PQ-1 or AGE-SECRET-KEY-1 is missing", "type it first, by itself, as it is printed")
  }
  const numbered = typed.slice(start + 1, start + 1 + lineLengths.length)
  if (numbered.length < lineLengths.length) {
    throw malformed(`${String(lineLengths.length)} numbered lines must follow ${prefix}, not ${String(numbered.length)}`)
  }
  return parseIdentity(prefix + numbered.map((line, index) => readLine(line, index, prefix)).join(""))
}

function prefixOf(line: string): string | null {
  const compact = line.startsWith("#") ? "" : line.toUpperCase().replace(/[^0-9A-Z]/g, "")
  const match = /^AGESECRETKEY(PQ)?[1IL]$/.exec(compact)
  if (match === null) return null
  return match[1] === undefined ? prefixes.x25519 : prefixes.pq
}

function readLine(typed: string, index: number, prefix: string): string {
  const name = `line ${String(index + 1)}`
  const length = lineLengths[index] ?? 0
  const whole = length + groupLength
  const compact = typed.toUpperCase().replace(/[^0-9A-Z]/g, "")
  const unnumbered = compact.startsWith(String(index + 1)) ? compact.slice(1) : compact
  for (const candidate of [unnumbered, compact]) {
    // What can only be a misreading of one other character.
    const line = candidate.replaceAll("O", "0").replaceAll(/[1I]/g, "L").replaceAll("B", "8")
    const data = line.slice(0, length)
    if (line.length === whole && checkOf(prefix, index + 1, data) === line.slice(length)) return data
  }
  const entered = /^\s*\d\W/.test(typed) ? unnumbered : compact
  if (entered.length === whole) {
    throw malformed(`${name} is mistyped: its check does not fit`, `compare ${name} with the sheet, character by character`)
  }
  throw malformed(`${name} has ${String(entered.length)} characters instead of ${String(whole)}`, `${name} ends with its check group`)
}

function malformed(problem: string, hint?: string): KeyError {
  return new KeyError("key/malformed", `escrow sheet: ${problem}`, hint === undefined ? {} : { hint })
}

/** Words in lines of 72 columns, the first after `lead`, the others below it. */
function wrapped(text: string, lead: string): string[] {
  const lines: string[] = []
  let line = lead
  for (const word of text.split(" ")) {
    const joined = line.length === lead.length ? line + word : `${line} ${word}`
    if (joined.length > widthMax && line.length > lead.length) {
      lines.push(line)
      line = " ".repeat(lead.length) + word
    } else line = joined
  }
  return [...lines, line]
}

function escaped(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;").replaceAll('"', "&quot;")
}
