import fc from "fast-check"
import { expect, test } from "vitest"
import { decodeCanonical, decodeUtf8, encodeCanonical, type Json } from "../../src/format/canonical.ts"

const asciiKey = fc.string({ unit: "grapheme-ascii", minLength: 1 })
const { json } = fc.letrec<{ json: Json }>((tie) => ({
  json: fc.oneof(
    { maxDepth: 5 },
    fc.constantFrom(null, true, false),
    fc.maxSafeInteger().map((n) => (Object.is(n, -0) ? 0 : n)),
    fc.string({ unit: "binary" }),
    fc.array(tie("json"), { maxLength: 4 }),
    fc.dictionary(asciiKey, tie("json"), { maxKeys: 4 }),
  ),
}))

test("what goes in comes out, and there is one text for it", () => {
  fc.assert(
    fc.property(json, (value) => {
      const text = encodeCanonical(value)
      const decoded = decodeCanonical(text, "x")
      expect(JSON.stringify(sorted(decoded))).toBe(JSON.stringify(sorted(value)))
      expect(encodeCanonical(decoded)).toBe(text)
    }),
  )
})

function sorted(value: Json): Json {
  return JSON.parse(encodeCanonical(value))
}

test("keys come in the order of their bytes, whatever order they were given in", () => {
  expect(encodeCanonical({ b: 1, a: 2, "10": 3, "9": 4, A: 5, " ": 6 })).toBe('{" ":6,"10":3,"9":4,"A":5,"a":2,"b":1}')
})

test("a member that is undefined is left out", () => {
  expect(encodeCanonical({ a: undefined, b: 1 })).toBe('{"b":1}')
})

test("any other JSON is refused, however it is cut or spaced", () => {
  fc.assert(
    fc.property(fc.json(), fc.nat(), (text, at) => {
      for (const other of [text, `${text.slice(0, at % (text.length + 1))} ${text.slice(at % (text.length + 1))}`]) {
        let decoded: Json
        try {
          decoded = decodeCanonical(other, "x")
        } catch (error) {
          expect(error).toMatchObject({ code: expect.stringMatching(/^format\//) })
          continue
        }
        expect(encodeCanonical(decoded)).toBe(other)
      }
    }),
  )
})

test.each([
  ["a duplicate key", '{"a":1,"a":1}'],
  ["keys out of order", '{"b":1,"a":1}'],
  ["white space", '{"a": 1}'],
  ["white space around it", " 1"],
  ["a line end", "1\n"],
  ["a float", "0.5"],
  ["a float that is an integer", "1.0"],
  ["an exponent", "1e3"],
  ["minus zero", "-0"],
  ["2^53", "9007199254740992"],
  ["a number beyond all", "1e999"],
  ["a leading zero", "01"],
  ["an escape without need", '"\\u0041"'],
  ["an escaped slash", '"\\/"'],
  ["an upper-case escape", '"\\u001F"'],
  ["a long escape for a short one", '"\\u000a"'],
  ["a lone surrogate", '"\\ud800"'],
  ["an empty key", '{"":1}'],
  ["a key that is no ASCII", '{"é":1}'],
  ["a byte order mark", "\ufeff1"],
  ["two values", "1 1"],
  ["nothing", ""],
  ["a comment", "1//"],
  ["half an object", '{"a":1'],
])("%s is refused", (_, text) => {
  expect(() => decodeCanonical(text, "x")).toThrow(expect.objectContaining({ code: "format/malformed" }))
})

test("16 levels are read, and a million are refused without being followed", () => {
  const nested = (levels: number): string => "[".repeat(levels) + "]".repeat(levels)
  expect(decodeCanonical(nested(17), "x")).toHaveLength(1)
  for (const levels of [18, 1000, 1_000_000]) {
    expect(() => decodeCanonical(nested(levels), "x"), String(levels)).toThrow(expect.objectContaining({ code: "format/too-large" }))
  }
})

test("a key called __proto__ is a key like any other", () => {
  const text = '{"__proto__":{"polluted":1}}'
  expect(encodeCanonical(decodeCanonical(text, "x"))).toBe(text)
  expect(Object.hasOwn(Object.prototype, "polluted")).toBe(false)
})

test("bytes that are no UTF-8 are refused, and a byte order mark is not lost", () => {
  expect(() => decodeUtf8(Buffer.from([0x22, 0xe9, 0x22]), "x")).toThrow(expect.objectContaining({ code: "format/malformed" }))
  expect(decodeUtf8(Buffer.from("\ufeffa"), "x")).toBe("\ufeffa")
})

test("what cannot be written canonically is not written", () => {
  for (const value of [0.5, Number.NaN, Number.POSITIVE_INFINITY, -0, 2 ** 53, "\ud800", { "": 1 }, { é: 1 }]) {
    expect(() => encodeCanonical(value), String(value)).toThrow(expect.objectContaining({ code: "format/malformed" }))
  }
})
