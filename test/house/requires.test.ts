import { expect, test } from "vitest"
import { requireTool } from "../requires.ts"

const path = process.env.PATH

test("a program that is there is no reason to skip", () => {
  expect(requireTool("sh", { PATH: path, HOLDLINE_CI_REQUIRES: "sh" })).toBeNull()
})

test("a program that is not there is a reason to skip, in words", () => {
  expect(requireTool("no-such-program", { PATH: path })).toBe("no-such-program is not installed")
  expect(requireTool("sh", {})).toBe("sh is not installed")
})

test("a program that CI has installed is never a reason to skip", () => {
  expect(() => requireTool("no-such-program", { PATH: path, HOLDLINE_CI_REQUIRES: "age,no-such-program" })).toThrow(
    "no-such-program: not found",
  )
})
