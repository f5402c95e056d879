import { Readable, Writable } from "node:stream"
import type { Command } from "commander"
import { describe, expect, test } from "vitest"
import { programFor } from "../../src/cli/program.ts"
import { systemClock } from "../../src/clock.ts"
import { systemRandom } from "../../src/random.ts"
import { holdline } from "./terminal.ts"

const silent = () => new Writable({ write: (_chunk, _encoding, done) => done() })
const { program } = await programFor(
  {
    ...{ argv: [], stdin: Readable.from([]), stdout: silent(), stderr: silent(), env: {}, cwd: "/" },
    ...{ signal: new AbortController().signal, clock: systemClock, random: systemRandom },
  },
  "all",
)

const leaves = commandsBelow(program, []).filter(({ command }) => command.commands.length === 0)

describe("the help", () => {
  test("knows all commands", () => {
    const names = leaves.map(({ path }) => path.join(" "))
    expect(names).toEqual(
      expect.arrayContaining(["run", "status", "restore run", "verify", "recover", "init host", "config show", "doctor"]),
    )
    expect(new Set(names).size).toBe(names.length)
  })

  test.each(leaves.map(({ path }) => path.join(" ")))("of %s has a sentence, examples, what it touches and how it ends", async (name) => {
    const { out, err, exit } = await holdline(["help", ...name.split(" ")], { cwd: "/" })
    expect({ err, exit }).toEqual({ err: "", exit: 0 })
    const headings = ["Usage: holdline", "Examples", "Touches", "Options of every command", "Exit codes"]
    const places = headings.map((heading) => out.indexOf(heading))
    expect(places, out).toEqual(places.toSorted((a, b) => a - b))
    expect(
      places.every((place) => place !== -1),
      out,
    ).toBe(true)
    expect(out).toMatch(/^ {2}0 +done$/m)
    expect(await holdline([...name.split(" "), "--help"], { cwd: "/" })).toEqual({ out, err, exit })
  })

  test.each(leaves.map(({ path, command }) => [path.join(" "), command] as const))(
    "of %s shows only examples that can be run",
    async (name) => {
      const { out } = await holdline(["help", ...name.split(" ")], { cwd: "/" })
      const lines = [...out.matchAll(/^ {2}(holdline .*?)(?: {2,}.*)?$/gm)].map(([, line = ""]) => line)
      expect(lines.length).toBeGreaterThan(0)
      for (const line of lines) expect(optionsUnknown(line), line).toEqual([])
    },
  )

  test("a command group without a command prints its commands and ends as a wrong usage", async () => {
    const { err, out, exit } = await holdline(["config"], { cwd: "/" })
    expect(exit).toBe(2)
    expect(out).toBe("")
    expect(err).toContain("validate")
  })
})

interface Placed {
  readonly path: readonly string[]
  readonly command: Command
}

function commandsBelow(command: Command, path: readonly string[]): Placed[] {
  return command.commands.flatMap((each) => {
    const own = [...path, each.name()]
    return [{ path: own, command: each }, ...commandsBelow(each, own)]
  })
}

/** Flags of an example that its command does not have. */
function optionsUnknown(line: string): string[] {
  const words = line.split(" ").slice(1)
  let command = program
  for (const word of words) command = command.commands.find((each) => each.name() === word) ?? command
  const known = new Set([...program.options, ...command.options].map((option) => option.long))
  return words.filter((word) => /^--\w/.test(word) && !known.has(word))
}
