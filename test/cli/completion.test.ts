import { execFileSync } from "node:child_process"
import { expect, test } from "vitest"
import { requireTool } from "../requires.ts"
import { holdline } from "./terminal.ts"

test.for<[string, string[]]>([
  ["holdline ", ["run", "restore", "snapshots", "--json"]],
  ["holdline rest", ["restore"]],
  ["holdline restore ", ["plan", "run"]],
  ["holdline --json restore run --own", ["--owners"]],
  ["holdline config show --or", ["--origin"]],
])("bash completes %j", async ([typed, expected], context) => {
  const lacking = requireTool("bash")
  if (lacking !== null) context.skip(lacking)
  const { out } = await holdline(["completion", "bash"], { cwd: "/" })
  const words = typed.split(" ")
  const quoted = words.map((word) => `"${word}"`).join(" ")
  const script = `${out}\nCOMP_WORDS=(${quoted}); COMP_CWORD=${String(words.length - 1)}; _holdline; printf '%s\\n' "\${COMPREPLY[@]}"`
  const offered = execFileSync("bash", ["-c", script], { encoding: "utf8" }).trim().split("\n")
  expect(offered).toEqual(expect.arrayContaining(expected))
  expect(offered.every((each) => each.startsWith(words.at(-1) ?? ""))).toBe(true)
})
