import { describe, expect, test } from "vitest"
import { holdsNumber, numberColumns, parseNumber, partyColumns } from "../../src/operation/trace-number.ts"

function holds(field: string, number: string): boolean {
  const sought = parseNumber(number)
  if (sought === null) throw new Error(`${number} is no number`)
  return holdsNumber(field, sought)
}

describe("a number is recognised however it is written", () => {
  test.each([
    ["+4930123456", "+49 (30) 123-456"],
    ["004930123456", "+4930123456"],
    ["030123456", "+4930123456"],
    ["+4930123456", "030 123456"],
    ["01149301234567", "+49 30 1234567"],
    ["912125551234", "+1 212 555 1234"],
    ["2125551234", "+1 (212) 555-1234"],
    ['"Dr. Ada" <+4930123456>', "030123456"],
    ["sip:+4930123456@sbc.example.net;user=phone", "030123456"],
    ["tel:+49-30-123456", "0049 30 123456"],
    ["1001", "1001"],
    ["*671001", "671001"],
  ])("%s is %s", (field, number) => {
    expect(holds(field, number)).toBe(true)
  })

  test.each([
    ["+493055501001", "1001"], // an extension is no end of a number
    ["1001", "+493055501001"],
    ["123456", "0123456789123456"], // six digits are too few for an end
    ["+4930123457", "+4930123456"],
    ["", "1001"],
    ["anonymous", "1001"],
    ["2026-11-20 14:05:00+00", "20261120"], // a time is no number
    ["PJSIP/1001-0000002a", "1001"],
    ['"1001" <1002>', "1001"],
    ["9".repeat(40), "9999999"],
  ])("%s is not %s", (field, number) => {
    expect(holds(field, number)).toBe(false)
  })

  test("what is no number is not looked for", () => {
    expect(["", "acme", "+", "sip:ada@example.net"].map(parseNumber)).toEqual([null, null, null, null])
  })
})

describe("columns that hold numbers", () => {
  const text = (...names: string[]) => names.map((name) => ({ name, type: "text" }))

  test("of the platforms that are known", () => {
    const fusionpbx = text("xml_cdr_uuid", "domain_name", "caller_id_name", "caller_id_number", "destination_number", "hangup_cause")
    expect(numberColumns(fusionpbx)).toEqual(["caller_id_number", "destination_number"])
    const freepbx = text("clid", "src", "dst", "dcontext", "channel", "disposition", "uniqueid", "did", "recordingfile", "cnum", "cnam")
    expect(numberColumns(freepbx)).toEqual(["clid", "src", "dst", "did", "cnum"])
    const netsapiens = text("orig_sub", "orig_from_user", "orig_to_user", "term_sub", "orig_domain", "cdr_id")
    expect(numberColumns(netsapiens)).toEqual(["orig_sub", "orig_from_user", "orig_to_user", "term_sub"])
  })

  test("not where the type can hold none", () => {
    expect(numberColumns([{ name: "number", type: "jsonb" }])).toEqual([])
    expect(numberColumns([{ name: "phone", type: "bigint" }])).toEqual(["phone"])
  })

  test("who called and who was called", () => {
    expect(partyColumns(["clid", "src", "dst", "did"])).toEqual({ from: "src", to: "dst" })
    expect(partyColumns(["caller_id_number", "caller_destination", "destination_number"])).toEqual({
      from: "caller_id_number",
      to: "destination_number",
    })
    expect(partyColumns([])).toEqual({ from: undefined, to: undefined })
  })
})
