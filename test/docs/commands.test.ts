import { existsSync } from "node:fs"
import { dirname, join } from "node:path"
import { Readable, Writable } from "node:stream"
import { type Command, CommanderError } from "commander"
import { describe, expect, test } from "vitest"
import { programFor } from "../../src/cli/program.ts"
import { systemClock } from "../../src/clock.ts"
import { systemRandom } from "../../src/random.ts"
import { anchorsOf, commandsOf, type DocumentedCommand, linksOf, pages, read, root } from "./pages.ts"

describe.each(pages)("%s", (page) => {
  const commands = commandsOf(page, read(page))

  test.each(commands.map((command) => [`line ${String(command.line)}: holdline ${command.args.join(" ")}`, command] as const))(
    "%s",
    async (_, command) => {
      expect(await objection(command)).toBeNull()
    },
  )

  test("every link leads to a file and a heading that are there", () => {
    const broken = linksOf(read(page)).filter(({ path, anchor }) => {
      const target = path === "" ? page : join(dirname(page), path)
      if (!existsSync(join(root, target))) return true
      return anchor !== null && !anchorsOf(read(target)).includes(anchor)
    })
    expect(broken).toEqual([])
  })
})

test("a command that does not exist is objected to", async () => {
  const text = [
    "```sh",
    "holdline run --fast cdrs",
    "holdline rum cdrs",
    "holdline verify",
    "holdline run \\",
    "  cdrs",
    "```",
    "`holdline run --fast`",
  ]
  const found = await Promise.all(commandsOf("a page", text.join("\n")).map(objection))
  expect(found).toEqual([
    expect.stringContaining("unknown option '--fast'"),
    expect.stringContaining("unknown command 'rum'"),
    expect.stringContaining("missing required argument 'snapshot'"),
    null,
    expect.stringContaining("--fast"),
  ])
})

test("a command is read as a shell reads it", () => {
  const [command] = commandsOf("a page", '```\nholdline find "**/*.mp3" --identity - < stick > list # what there is\n```')
  expect(command?.args).toEqual(["find", "**/*.mp3", "--identity", "-"])
})

/** Why the command line would not be taken; null where it would. */
async function objection({ args, isWhole }: DocumentedCommand): Promise<string | null> {
  const { program } = await programFor(silence(), "all")
  if (!isWhole) return mentionObjection(program, args)
  for (const command of allCommands(program)) if (command.commands.length === 0) command.action(() => undefined)
  try {
    await program.parseAsync([...args], { from: "user" })
    return null
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error
    return error.code === "commander.helpDisplayed" || error.code === "commander.version" ? null : error.message
  }
}

// A mention need not be complete, but its words and options have to exist.
function mentionObjection(program: Command, args: readonly string[]): string | null {
  let command = program
  const known = new Set(optionsOf(program))
  for (const arg of args) {
    if (arg.startsWith("--")) {
      if (![...known, "--help"].includes(arg)) return `${command.name()} has no option ${arg}`
      continue
    }
    const next = command.commands.find((each) => each.name() === arg)
    if (next === undefined) {
      if (command.commands.length > 0 && /^[a-z-]+$/.test(arg) && !takesValue(program, args, arg)) return `no command ${arg}`
      continue
    }
    command = next
    for (const option of optionsOf(next)) known.add(option)
  }
  return null
}

function takesValue(program: Command, args: readonly string[], arg: string): boolean {
  const before = args[args.indexOf(arg) - 1]
  return program.options.some(({ long, required }) => required && long === before)
}

function optionsOf(command: Command): string[] {
  return command.options.flatMap(({ long }) => long ?? [])
}

function allCommands(command: Command): Command[] {
  return [command, ...command.commands.flatMap(allCommands)]
}

function silence(): Parameters<typeof programFor>[0] {
  const sink = (): Writable => new Writable({ write: (_chunk, _encoding, done) => done() })
  const { signal } = new AbortController()
  return { argv: [], stdin: Readable.from([]), stdout: sink(), stderr: sink(), env: {}, signal, clock: systemClock, random: systemRandom }
}
