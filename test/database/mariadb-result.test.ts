import fc from "fast-check"
import { describe, expect, test } from "vitest"
import { TextResult } from "../../src/database/mariadb/result.ts"
import { earliestLocalMs, offsetExpression, zonePeriods } from "../../src/database/mariadb/zone.ts"
import { escapeField } from "../../src/database/rows.ts"

type Field = Buffer | null

function packets(payload: Buffer): Buffer {
  const parts: Buffer[] = []
  for (let at = 0; ; at += 0xffffff) {
    const part = payload.subarray(at, at + 0xffffff)
    const header = Buffer.alloc(4)
    header.writeUIntLE(part.length, 0, 3)
    parts.push(header, part)
    if (part.length < 0xffffff) return Buffer.concat(parts)
  }
}

function lengthEncoded(field: Field): Buffer {
  if (field === null) return Buffer.of(0xfb)
  if (field.length < 0xfb) return Buffer.concat([Buffer.of(field.length), field])
  const length = Buffer.alloc(9)
  if (field.length < 0x10000) {
    length.writeUInt8(0xfc)
    length.writeUInt16LE(field.length, 1)
    return Buffer.concat([length.subarray(0, 3), field])
  }
  if (field.length < 0x1000000) {
    length.writeUInt8(0xfd)
    length.writeUIntLE(field.length, 1, 3)
    return Buffer.concat([length.subarray(0, 4), field])
  }
  length.writeUInt8(0xfe)
  length.writeBigUInt64LE(BigInt(field.length), 1)
  return Buffer.concat([length, field])
}

const end = packets(Buffer.of(0xfe, 0, 0, 2, 0))

/** What a server answers with these rows, without the packet that ends them. */
function answer(columns: number, rows: readonly (readonly Field[])[]): Buffer {
  const described = Array.from({ length: columns }, () => packets(Buffer.from("a description")))
  return Buffer.concat([
    packets(Buffer.of(columns)),
    ...described,
    end,
    ...rows.map((row) => packets(Buffer.concat(row.map(lengthEncoded)))),
  ])
}

function read(bytes: Buffer, size: number): { readonly lines: string; readonly result: TextResult } {
  const result = new TextResult()
  const pieces: Buffer[] = []
  for (let at = 0; at < bytes.length; at += size) pieces.push(...result.push(bytes.subarray(at, at + size)))
  return { lines: Buffer.concat(pieces).toString("latin1"), result }
}

function linesOf(rows: readonly (readonly Field[])[]): string {
  return rows.map((row) => `${row.map((field) => escapeField(field === null ? null : field.toString("latin1"))).join("\t")}\n`).join("")
}

describe("answers", () => {
  test("are the same lines however the network cuts them, whatever bytes the fields hold", () => {
    const field = fc.option(
      fc.uint8Array({ maxLength: 300 }).map((bytes) => Buffer.from(bytes)),
      { freq: 4 },
    )
    const rows = fc
      .integer({ min: 1, max: 5 })
      .chain((columns) => fc.array(fc.array(field, { minLength: columns, maxLength: columns }), { maxLength: 8 }))
    fc.assert(
      fc.property(rows, fc.integer({ min: 1, max: 70 }), (given, size) => {
        const { lines, result } = read(Buffer.concat([answer(given[0]?.length ?? 1, given), end]), size)
        expect([lines, result.done, result.refusal]).toEqual([linesOf(given), true, null])
      }),
    )
  })

  test.each([0xfa, 0xfb, 0xffff, 0x10000, 0xffffff - 7, 0xffffff - 6, 0xffffff - 4, 0x1000000, 2 * 0xffffff])(
    "a field of %d bytes is whole",
    (length) => {
      const given = [[Buffer.alloc(length, "plain text"), Buffer.from("b")]]
      const { lines, result } = read(Buffer.concat([answer(2, given), end]), 65_536)
      expect(result.done).toBe(true)
      expect(lines === linesOf(given)).toBe(true)
    },
  )

  test("an answer that is cut is never done", () => {
    const whole = Buffer.concat([
      answer(2, [
        [Buffer.from("one"), null],
        [Buffer.from("two"), Buffer.alloc(0)],
      ]),
      end,
    ])
    for (let length = 0; length < whole.length; length++) expect(read(whole.subarray(0, length), 1000).result.done).toBe(false)
    expect(read(whole, 1000).result.done).toBe(true)
  })

  test("an error among the rows is no end", () => {
    const error = packets(Buffer.concat([Buffer.of(0xff, 0x25, 0x05), Buffer.from("#70100Query execution was interrupted")]))
    const { result } = read(Buffer.concat([answer(1, [[Buffer.from("x")]]), error]), 3)
    expect([result.done, result.refusal?.number, result.refusal?.message]).toEqual([true, 1317, "Query execution was interrupted"])
  })

  test.each([
    ["a wish for a file", packets(Buffer.from("\xfb/etc/passwd", "latin1")), /read a file/],
    ["a row that ends in a field", Buffer.concat([answer(2, []), packets(Buffer.of(1, 0x61))]), /ends within a field/],
    ["anything behind the end", Buffer.concat([answer(1, []), end, end]), /after the end/],
  ])("%s is refused", (_, bytes, reason) => {
    expect(() => read(bytes, 1000)).toThrow(reason)
  })
})

describe("time zones", () => {
  const zones = [
    "UTC",
    "Europe/Berlin",
    "America/New_York",
    "America/St_Johns",
    "Africa/Casablanca",
    "Australia/Lord_Howe",
    "Asia/Kathmandu",
    "Pacific/Apia",
    "America/Sao_Paulo",
  ]

  test.each(zones)("%s: a day by its periods is the day that its clocks show", (timezone) => {
    const format = new Intl.DateTimeFormat("sv-SE", { timeZone: timezone, dateStyle: "short" })
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 2 ** 32 - 1 }), (second) => {
        const offset = zonePeriods(timezone).findLast(({ from }) => from <= second)?.offset ?? 0
        expect(new Date((second + offset) * 1000).toISOString().slice(0, 10)).toBe(format.format(second * 1000))
      }),
      { numRuns: 2000 },
    )
  })

  test("the expression for an offset asks few questions, and all of the right ones", () => {
    const expression = offsetExpression("Europe/Berlin", (second) => `m < ${second}`)
    const at = (moment: number): number => {
      let rest = expression
      for (let questions = 0; ; questions++) {
        const question = /^IF\(m < (\d+), /.exec(rest)
        if (question === null) {
          expect(questions).toBeLessThan(10)
          return Number.parseInt(rest, 10)
        }
        const [whole, second] = question
        const yes = branch(rest.slice(whole.length))
        rest = moment < Number(second) ? yes : rest.slice(whole.length + yes.length + 2)
      }
    }
    for (const { from, offset } of zonePeriods("Europe/Berlin")) expect([at(from), at(from + 1)]).toEqual([offset, offset])
  })

  test("where clocks go back, the hour that comes twice is not missed", () => {
    const before = new Date("2024-10-27T00:30:00Z")
    expect(new Date(earliestLocalMs("Europe/Berlin", before)).toISOString()).toBe("2024-10-27T02:00:00.000Z")
    expect(new Date(earliestLocalMs("Europe/Berlin", new Date("2024-07-01T00:00:00Z"))).toISOString()).toBe("2024-07-01T02:00:00.000Z")
  })

  test("a zone that nobody knows is refused", () => {
    expect(() => zonePeriods("Europe/Nowhere")).toThrow(/not known here/)
  })
})

/** The text up to the comma or bracket that ends it, brackets balanced. */
function branch(text: string): string {
  let depth = 0
  for (let at = 0; at < text.length; at++) {
    const character = text[at]
    if (character === "(") depth += 1
    if (character === ")" && depth-- === 0) return text.slice(0, at)
    if (character === "," && depth === 0) return text.slice(0, at)
  }
  return text
}
