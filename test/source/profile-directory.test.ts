import { expect, test } from "vitest"
import type { ProfileFiles } from "../../src/source/profile.ts"
import { directoryOf } from "../../src/source/profile-directory.ts"
import type { WrittenDirectory } from "../../src/source/settings.ts"

const written: WrittenDirectory = { kind: "directory", profile: "own", files: "x" }
const tree: ProfileFiles = { mode: "state", path: "/srv/tree", account: "mixed", exclude: ["tmp"] }
const calls: ProfileFiles = { mode: "archive", path: "/srv/calls", template: "{yyyy}/{MM}/{dd}/{name}", account: "mixed", settle: 60_000 }

test("what the job does not say is the profile's", () => {
  expect(directoryOf(written, "archive", calls)).toEqual({
    ...written,
    ...{ path: "/srv/calls", template: "{yyyy}/{MM}/{dd}/{name}", account: "mixed", settle: 60_000 },
  })
  expect(directoryOf(written, "state", tree)).toEqual({ ...written, path: "/srv/tree", account: "mixed", exclude: ["tmp"] })
})

test("what the job says wins, key by key", () => {
  const own: WrittenDirectory = { ...written, path: "/x", template: "{yyyy}{MM}{dd}", account: "a", settle: 1, exclude: [] }
  expect(directoryOf(own, "archive", calls)).toEqual(own)
})

test("a template of the job's own that names the account needs no account of the profile", () => {
  expect(directoryOf({ ...written, template: "{account}/{yyyy}{MM}{dd}" }, "archive", tree)).toEqual({
    ...written,
    ...{ path: "/srv/tree", template: "{account}/{yyyy}{MM}{dd}", exclude: ["tmp"] },
  })
})

test("an archive captured as a state has no template and does not settle", () => {
  expect(directoryOf({ ...written, account: "a" }, "state", calls)).toEqual({ ...written, path: "/srv/calls", account: "a" })
})

test.each([
  ["archive", tree, 'expected "state", or a template'],
  ["state", calls, 'expected "archive", or an account'],
] as const)("mode %s over the other is refused where the job does not say what it needs", (mode, entry, why) => {
  expect(() => directoryOf(written, mode, entry)).toThrow(why)
})
