import { readdirSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { describe, expect, test } from "vitest"
import { matches, matchesAll, parseTranscript, play, project, type Step } from "./transcript.ts"

const names = readdirSync(import.meta.dirname).filter((name) => name.endsWith(".txt"))

test("there are transcripts", () => {
  expect(names.length).toBeGreaterThan(3)
})

describe("the command line does what its transcripts say", () => {
  test.each(names)("%s", async (name) => {
    const { files, steps } = parseTranscript(readFileSync(new URL(name, import.meta.url), "utf8"))
    expect(steps.length, "commands").toBeGreaterThan(0)
    await using made = await project(files)
    let cwd = made.root
    for (const step of steps) {
      const to = /^cd (\S+)$/.exec(step.command)?.[1]
      if (to === undefined) await expectStep(step, { name, root: made.root, cwd })
      else cwd = join(cwd, to)
    }
  })
})

interface Stage {
  readonly name: string
  readonly root: string
  readonly cwd: string
}

async function expectStep({ command, line, exit, expected }: Step, { name, root, cwd }: Stage): Promise<void> {
  const played = await play(command, root, cwd)
  if (played.exit === exit && matchesAll(expected, played.printed)) return
  // Lines that fit are shown as expected, so that only the others differ.
  const printed = played.printed.map((each) => expected.find((wanted) => wanted !== "<…>" && matches(wanted, each)) ?? each)
  const where = `${name}:${String(line)}: $ ${command}`
  expect([`! ${String(played.exit)}`, ...printed].join("\n"), where).toBe([`! ${String(exit)}`, ...expected].join("\n"))
  throw new Error(`${where}: the lines come in another order`)
}

describe("a transcript", () => {
  test("has files, commands, exit codes and output", () => {
    const { files, steps } = parseTranscript(
      "Words.\n-- a/b.yaml --\nx: 1\n-- transcript --\n# remark\n$ holdline jobs\n! 2\none\n\n$ ls\n",
    )
    expect([...files]).toEqual([["a/b.yaml", "x: 1\n"]])
    expect(steps).toEqual([
      { line: 6, command: "holdline jobs", exit: 2, expected: ["one"] },
      { line: 10, command: "ls", exit: 0, expected: [] },
    ])
  })

  test("lets placeholders stand for what differs, and nothing else", () => {
    expect(matches("took <duration>, <size>", "took 1.2 s, 18.4 MiB")).toBe(true)
    expect(matches("took <duration>", "took long")).toBe(false)
    expect(matches("run <id> at <time>", "run 3f9a0c21aa00 at 2026-11-21 18:40:00Z")).toBe(true)
    expect(matches("a.c", "abc")).toBe(false)
    expect(matchesAll(["a", "…", "d"], ["a", "b", "c", "d"])).toBe(true)
    expect(matchesAll(["a", "…", "d"], ["a", "b", "c"])).toBe(false)
    expect(matchesAll(["a", "…"], ["a"])).toBe(true)
    expect(matchesAll(["a"], ["a", "b"])).toBe(false)
  })
})
