import fc from "fast-check"
import { describe, expect, test } from "vitest"
import { parseTemplate } from "../../src/source/template.ts"

const fusionpbx = "{account}/archive/{yyyy}/{Mon}/{dd}/{name}"

describe("a path that fits", () => {
  test.each([
    [fusionpbx, "maple-dental.example/archive/2026/Nov/21/0b0e.wav", "maple-dental.example", "2026-11-21"],
    [fusionpbx, "maple-dental.example/archive/2026/november/01/x", "maple-dental.example", "2026-11-01"],
    [fusionpbx, "a/archive/2024/FEB/29/x", "a", "2024-02-29"],
    [fusionpbx, "a/archive/2026/May/31/x", "a", "2026-05-31"],
    ["{account}-{yyyy}{MM}{dd}.csv", "acme-20261121.csv", "acme", "2026-11-21"],
    ["{account}-{yyyy}{MM}{dd}.csv", "acme-20250101-20261121.csv", "acme-20250101", "2026-11-21"],
    ["{yyyy}/{MM}/{dd}/{HH}/{account}/{rest}", "2026/03/29/02/acme/a/b/c.wav", "acme", "2026-03-29"],
    ["{account}/*/{yyyy}-{MM}-{dd}_{name}", "acme/anything at all/2026-11-21_call.wav", "acme", "2026-11-21"],
    ["{account}_{yyyy}-{MM}-{dd}_{name}.mp3", "acme_2026-11-21_a_b.mp3", "acme", "2026-11-21"],
    ["rec (new) [v2.0]+/{account}/{yyyy}{MM}{dd}", "rec (new) [v2.0]+/acme/20261121", "acme", "2026-11-21"],
    ["Straße/{account}/{yyyy}{MM}{dd}", "Straße/Kölner Büro/20261121", "Kölner Büro", "2026-11-21"],
    ["{account}/{yyyy}{MM}{dd}/{name}", "a\nb".replace("\n", " ").concat("/20261121/line\nbreak"), "a b", "2026-11-21"],
  ])("%s: %s", (template, path, stableId, day) => {
    expect(parseTemplate(template).match(Buffer.from(path))).toEqual({ stableId, day })
  })

  test("keeps a byte order mark: two accounts do not become one", () => {
    expect(parseTemplate("{account}/{yyyy}{MM}{dd}").match(Buffer.from("\u{feff}acme/20261121"))?.stableId).toBe("\u{feff}acme")
  })
})

describe("a path that does not fit", () => {
  test.each([
    [fusionpbx, "acme/archive/2026/Feb/30/x", "a day that does not exist"],
    [fusionpbx, "acme/archive/2025/Feb/29/x", "29 February of no leap year"],
    [fusionpbx, "acme/archive/2026/Nov/00/x", "day zero"],
    [fusionpbx, "acme/archive/2026/Noo/01/x", "no month"],
    [fusionpbx, "acme/archive/2026/Nov/1/x", "a day of one digit"],
    [fusionpbx, "acme/archive/0026/Nov/01/x", "a year no telephone had"],
    [fusionpbx, "acme/archive/2026/Nov/21", "too short"],
    [fusionpbx, "acme/archive/2026/Nov/21/x/y", "too long"],
    [fusionpbx, "acme/Archive/2026/Nov/21/x", "a literal in another case"],
    [fusionpbx, "welcome.wav", "a prompt"],
    [fusionpbx, "../archive/2026/Nov/21/x", "an account that climbs"],
    [fusionpbx, "acme/archive/2026/Nov/21/..", "a name that climbs"],
    [fusionpbx, "./archive/2026/Nov/21/x", "an account that is here"],
    [fusionpbx, "/archive/2026/Nov/21/x", "an empty account"],
    [fusionpbx, "acme//archive/2026/Nov/21/x", "an empty component"],
    [fusionpbx, "acme/archive/2026/Nov/21/x/", "an empty name"],
    ["{yyyy}{MM}{dd}-{account}.wav", "20261121-...wav", "an account that climbs within a component"],
    ["{account}/{yyyy}/{MM}/{dd}/{HH}/{name}", "acme/2026/11/21/24/x", "an hour that does not exist"],
    ["{account}/{yyyy}/{MM}/{dd}/{name}", "acme/2026/13/21/x", "a month that does not exist"],
    ["{account}/{yyyy}{MM}{dd}/{rest}", "acme/20261121", "no rest"],
    [fusionpbx, "platform/archive/2026/Nov/21/x", "the operator's own reserved account"],
    [fusionpbx, "mixed/archive/2026/Nov/21/x", "the reserved account for the rest"],
    [fusionpbx, "catalog/archive/2026/Nov/21/x", "the reserved account of the catalog"],
    [fusionpbx, "ac\u{1b}[31mme/archive/2026/Nov/21/x", "an account that would colour a terminal"],
    [fusionpbx, `${"a".repeat(201)}/archive/2026/Nov/21/x`, "an account of 201 bytes"],
    ["{account}_{yyyy}-{MM}-{dd}_{name}", "acme_2026-11-20_x_2026-11-21_y", "two ways to cut it, two accounts"],
  ])("%s: %s (%s)", (template, path) => {
    expect(parseTemplate(template).match(Buffer.from(path))).toBeNull()
  })

  test("has an account that is not UTF-8", () => {
    const path = Buffer.concat([Buffer.from([0x61, 0xe9]), Buffer.from("/archive/2026/Nov/21/x")])
    expect(parseTemplate(fusionpbx).match(path)).toBeNull()
  })
})

test("the name may be any bytes, and an account up to 200 of them", () => {
  const path = Buffer.concat([Buffer.from(`${"ü".repeat(100)}/archive/2026/Nov/21/`), Buffer.from([0xff, 0xfe, 0x0a, 0x80])])
  expect(parseTemplate(fusionpbx).match(path)).toEqual({ stableId: "ü".repeat(100), day: "2026-11-21" })
})

describe("a template that is refused", () => {
  test.each([
    ["{account}/{year}/{MM}/{dd}", "{year} is not known"],
    ["{account}/{yyyy}/{mm}/{dd}", "{mm} is not known"],
    ["{account}/{}/{yyyy}/{MM}/{dd}", "{} is not known"],
    ["{account}/{account}/{yyyy}/{MM}/{dd}", "{account} stands there twice"],
    ["{account}/{yyyy}/{MM}/{dd}/{dd}", "{dd} stands there twice"],
    ["{yyyy}/{MM}/{dd}/{name}", "{account} is missing"],
    ["{account}/{MM}/{dd}/{name}", "{yyyy} is missing"],
    ["{account}/{yyyy}/{MM}/{name}", "{dd} is missing"],
    ["{account}/{yyyy}/{dd}/{name}", "the month must stand there once"],
    ["{account}/{yyyy}/{MM}/{Mon}/{dd}", "the month must stand there once"],
    ["{account}/{yyyy/{MM}/{dd}", "braces go in pairs"],
    ["{account}/{yyyy}/{MM}/{dd}}", "braces go in pairs"],
    ["{account}/{yyyy}/{MM}/{dd}*", "* stands for a whole component"],
    ["{account}/**/{yyyy}/{MM}/{dd}", "* stands for a whole component"],
    ["{account}{name}/{yyyy}/{MM}/{dd}", "nothing tells where {account} ends"],
    ["{rest}/{account}/{yyyy}/{MM}/{dd}", "{rest} must be all of the last component"],
    ["{account}/{yyyy}/{MM}/{dd}/x{rest}", "{rest} must be all of the last component"],
    ["/{account}/{yyyy}/{MM}/{dd}", "is no component"],
    ["{account}/../{yyyy}/{MM}/{dd}", "is no component"],
    ["", "is no component"],
  ])("%s", (template, why) => {
    expect(() => parseTemplate(template)).toThrow(
      expect.objectContaining({ code: "config/invalid", message: expect.stringContaining(why) }),
    )
  })
})

describe("where everything is one account's", () => {
  const monitor = "{yyyy}/{MM}/{dd}/{name}"

  test("the path says only the day", () => {
    const parsed = parseTemplate(monitor, "maple")
    expect(parsed.match(Buffer.from("2026/11/21/out-5551234-100.wav"))).toEqual({ stableId: "maple", day: "2026-11-21" })
    expect(parsed.match(Buffer.from("2026/11/31/out-5551234-100.wav"))).toBeNull()
    expect(parsed.match(Buffer.from("welcome.wav"))).toBeNull()
  })

  test("a reserved account may own it, as it was said and not found in a path", () => {
    expect(parseTemplate(monitor, "mixed").match(Buffer.from("2026/11/21/x"))).toEqual({ stableId: "mixed", day: "2026-11-21" })
  })

  test("no path may name another", () => {
    expect(() => parseTemplate(fusionpbx, "maple")).toThrow("{account} stands there, and the account is given beside it")
    expect(() => parseTemplate("{yyyy}/{dd}/{name}", "maple")).toThrow("the month must stand there once")
  })
})

const account = fc
  .string({ unit: "grapheme", minLength: 1, maxLength: 40 })
  .filter((id) => !/[/\p{Cc}]/u.test(id) && Buffer.byteLength(id) <= 200 && !["..", ".", "platform", "mixed", "catalog"].includes(id))
const date = fc
  .date({ min: new Date("1970-01-01"), max: new Date("9999-12-31"), noInvalidDate: true })
  .map((moment) => moment.toISOString().slice(0, 10))
const name = fc
  .uint8Array({ minLength: 1, maxLength: 60 })
  .map((bytes) => Buffer.from(bytes).toString("latin1").replaceAll(/[/\0]/g, "_"))
  .filter((bytes) => bytes !== "." && bytes !== "..")

const months = ["Jan", "February", "mar", "APR", "May", "June", "Jul", "Aug", "sEp", "October", "Nov", "Dec"]
const layouts: readonly (readonly [string, (parts: Parts) => string])[] = [
  [fusionpbx, ({ id, y, mon, d, file }) => `${id}/archive/${y}/${mon}/${d}/${file}`],
  ["{account}-{yyyy}{MM}{dd}.csv", ({ id, y, m, d }) => `${id}-${y}${m}${d}.csv`],
  ["{yyyy}/{MM}/{dd}/{account}/*/{rest}", ({ id, y, m, d, file }) => `${y}/${m}/${d}/${id}/${file}/${file}/${file}`],
  ["{dd}{Mon}{yyyy}/{account}@pbx/{HH}/{name}", ({ id, y, mon, d, file }) => `${d}${mon}${y}/${id}@pbx/23/${file}`],
]

interface Parts {
  readonly id: string
  readonly y: string
  readonly m: string
  readonly mon: string
  readonly d: string
  readonly file: string
}

test.each(layouts)("%s: what is written into a path is read from it", (template, write) => {
  const parsed = parseTemplate(template)
  fc.assert(
    fc.property(account, date, name, (stableId, day, file) => {
      const [y = "", m = "", d = ""] = day.split("-")
      const id = Buffer.from(stableId).toString("latin1")
      const path = write({ id, y, m, d, mon: months[Number(m) - 1] ?? "", file })
      expect(parsed.match(Buffer.from(path, "latin1"))).toEqual({ stableId, day })
    }),
  )
})

test("no path makes it throw", () => {
  const parsed = layouts.map(([template]) => parseTemplate(template))
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
      for (const template of parsed) template.match(Buffer.from(bytes))
    }),
  )
})
