import { inspect } from "node:util"
import fc from "fast-check"
import { describe, expect, test } from "vitest"
import { escrowSheetHtml, escrowSheetText, readEscrowSheet } from "../../src/key/escrow.ts"
import { parseIdentities } from "../../src/key/identity-file.ts"
import { vectorIdentity } from "./vectors.ts"

const sheetOf = (kind: "pq" | "x25519") => ({
  identity: vectorIdentity(kind),
  root: "SHA256:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU",
  repository: "0123456789abcdef0123456789abcdef",
  date: "2026-11-21",
  opens: "every account of every epoch, and the catalog of Example <Telecom> & Co",
  sites: [
    "fra: /mnt/vault, own data centre fra-2",
    "s3-dub: bucket example-vault, aws eu-west-1",
    "gcs-bru: bucket example-vault, google europe-west1",
  ],
})

function problemOf(text: string): string {
  try {
    readEscrowSheet(text)
  } catch (error) {
    return error instanceof Error ? error.message : "not an error"
  }
  return "none"
}

describe.each(["pq", "x25519"] as const)("an escrow sheet of a %s identity", (kind) => {
  const sheet = sheetOf(kind)
  const page = escrowSheetText(sheet).reveal()
  const rows = page.split("\n")
  const start = rows.findIndex((row) => row.trim().startsWith("AGE-SECRET-KEY-"))
  /** The identity's five lines, as they are printed. */
  const printed = rows.slice(start, start + 5)

  test("fits one A4 page of 72 columns and says what is needed years later", () => {
    expect(rows.length).toBeLessThanOrEqual(60)
    expect(Math.max(...rows.map((row) => row.length))).toBeLessThanOrEqual(72)
    for (const fact of [sheet.root, sheet.repository, sheet.date, "s3-dub: bucket", "holdline recover", "recover.sh"])
      expect(page).toContain(fact)
    expect(page.includes("age 1.3 or later")).toBe(kind === "pq")
  })

  test("is read back as it is printed, as a whole page, and by --identity", () => {
    const { identity } = sheet
    expect(readEscrowSheet(page)).toEqual(identity)
    expect(readEscrowSheet(printed.join("\r\n"))).toEqual(identity)
    expect(parseIdentities(printed.join("\n"), "typed.txt")).toEqual([identity])
    const [, numbered = ""] = /<pre>([^<]*)<\/pre>/.exec(escrowSheetHtml(sheet).reveal()) ?? []
    expect(readEscrowSheet(numbered)).toEqual(identity)
  })

  test("is read however a person types it", () => {
    const spellings: readonly ((line: string) => string)[] = [
      (line) => line.toLowerCase(),
      (line) => line.replace(/^ +\d/, ""),
      (line) => line.replaceAll(" ", ""),
      (line) => line.replaceAll(" ", "\t\u00a0"),
      (line) => line.replace(/^ +(\d) /, "$1. ").replaceAll(/(?<=\w) (?=\w)/g, "-"),
      (line) => line.replaceAll("0", "o").replaceAll("L", "i"),
      (line) => `${line}\n\n`,
    ]
    for (const spelling of spellings) {
      const [first = "", ...numbered] = printed
      const text = [first, ...numbered.map(spelling)].join("\n")
      expect(readEscrowSheet(text), text).toEqual(sheet.identity)
    }
    const [first = "", ...numbered] = printed
    for (const typed of [first.toLowerCase(), first.replaceAll("-", " "), first.replace(/1$/, "l")]) {
      expect(readEscrowSheet([typed, ...numbered].join("\n")), typed).toEqual(sheet.identity)
    }
  })

  test("a mistyped character is found in its line, and nothing of the identity is repeated", () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 4 }),
        fc.nat(22),
        fc.constantFrom(..."QPZRY9X8GF2TVDW0S3JN54KHCE6MUA7L"),
        (number, at, char) => {
          const line = printed[number] ?? ""
          const column = 8 + at
          fc.pre(/[A-Z0-9]/.test(line[column] ?? " ") && line[column] !== char)
          const typed = printed.with(number, line.slice(0, column) + char + line.slice(column + 1)).join("\n")
          expect(problemOf(typed)).toBe(`escrow sheet: line ${String(number)} is mistyped: its check does not fit`)
        },
      ),
    )
  })

  test("missing, extra and swapped lines and characters are named", () => {
    const [first = "", one = "", two = "", three = "", four = ""] = printed
    expect(problemOf([first, two, one, three, four].join("\n"))).toContain("line 1")
    expect(problemOf([first, one, three, two, four].join("\n"))).toContain("line 2")
    expect(problemOf([first, one, two, three].join("\n"))).toContain("not 3")
    expect(problemOf([one, two, three, four].join("\n"))).toContain("is missing")
    expect(problemOf([first, one, two, three.slice(0, -1), four].join("\n"))).toBe("escrow sheet: line 3 has 19 characters instead of 20")
    expect(problemOf([first, one, `${two}Q`, three, four].join("\n"))).toBe("escrow sheet: line 2 has 21 characters instead of 20")
    const other = kind === "pq" ? "AGE-SECRET-KEY-1" : "AGE-SECRET-KEY-PQ-1"
    expect(problemOf([other, one, two, three, four].join("\n"))).toContain("line 1 is mistyped")
  })

  test("the page for a browser loads and runs nothing, and keeps text as text", () => {
    const html = escrowSheetHtml(sheet).reveal()
    expect(html).toContain("Example &lt;Telecom&gt; &amp; Co")
    expect(html).not.toMatch(/<script|<img|<link|src=|href=|url\(/i)
    for (const line of printed) expect(html).toContain(line.trim())
  })

  test("is secret until it is printed", () => {
    expect(inspect([escrowSheetText(sheet), escrowSheetHtml(sheet), sheet], { depth: 9 })).not.toContain("AGE-SECRET")
  })
})
