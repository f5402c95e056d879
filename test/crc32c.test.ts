import fc from "fast-check"
import { expect, test } from "vitest"
import { crc32cByTable, loadCrc32c } from "../src/crc32c.ts"
import { crc32c } from "./server/checksums.ts"

test.each([
  ["", 0],
  ["123456789", 0xe306_9283],
  ["\0".repeat(32), 0x8a91_36aa],
])("the CRC-32C of %j is as published", async (text, expected) => {
  const quickest = await loadCrc32c()
  expect(crc32cByTable(Buffer.from(text))).toBe(expected)
  expect(quickest(Buffer.from(text))).toBe(expected)
})

test("whatever the bytes, and wherever they lie in their buffer, all three ways agree", async () => {
  const quickest = await loadCrc32c()
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 100 }), fc.nat(9), (whole, offset) => {
      const bytes = whole.subarray(Math.min(offset, whole.length))
      const expected = crc32c(bytes)
      return crc32cByTable(bytes) === expected && quickest(bytes) === expected
    }),
  )
})
