import type { Argument, Command, Option } from "commander"
import type { Paint } from "../report/paint.ts"
import { type Exit, exitCodes } from "./exit.ts"

/** What a command's help says beyond its sentence, its arguments and its options. */
export interface Manual {
  /** Command lines with what each is for; the first is what most people want. */
  readonly examples: readonly (readonly [line: string, purpose: string])[]
  readonly reads: string
  /** "nothing" where the command changes nothing anywhere. */
  readonly writes: string
  /** Printed in the order of their numbers. */
  readonly exits: readonly Exit[]
}

/** Of the program itself, which does nothing on its own. */
const firstSteps: Manual["examples"] = [
  ["holdline init host --dir try-out", "set everything up on one machine, to try it out"],
  ["holdline run call-recordings", "back up what is new"],
  ["holdline status", "see whether everything is safe now"],
  ["holdline restore run call-recordings@latest --to out --identity operations.identity", "bring it back"],
]

const manuals = new WeakMap<Command, Manual>()

/** Attaches a manual to a command, for its help. */
export function manual(command: Command, pages: Manual): Command {
  manuals.set(command, pages)
  return command
}

/** The help of a command: what it is for, examples, then the reference, and how it ends. */
export function helpText(command: Command, paint: Paint): string {
  const pages = manuals.get(command)
  const sections: string[][] = [[usageOf(command)], wrapped(command.description().split(" "), { between: " ", indent: "" })]
  const examples = command.parent === null ? firstSteps : (pages?.examples ?? [])
  if (examples.length > 0) sections.push([paint.strong("Examples"), ...exampleLines(examples, paint)])
  const commands = command.commands.filter((each) => each.name() !== "help")
  if (commands.length > 0) sections.push(...commandSections(command, paint))
  const terms = command.registeredArguments.map((argument) => [argumentTerm(argument), argument.description] as const)
  if (terms.length > 0) sections.push([paint.strong("Arguments"), ...pair(terms)])
  if (command.parent !== null && command.options.length > 0) {
    sections.push([paint.strong("Options"), ...pair(command.options.map(optionTerm))])
  }
  if (pages !== undefined)
    sections.push([paint.strong("Touches"), ...pair([["reads", pages.reads] as const, ["writes", pages.writes] as const])])
  const shared = rootOf(command).options
  if (command.parent === null) sections.push([paint.strong("Options of every command"), ...pair(shared.map(optionTerm))])
  else
    sections.push([
      paint.strong("Options of every command"),
      ...wrapped(
        shared.map((option) => optionTerm(option)[0]),
        { between: ", ", indent: "  " },
      ),
    ])
  if (pages !== undefined) sections.push([paint.strong("Exit codes"), ...pair(byNumber(pages.exits).map(exitTerm))])
  return `${sections.map((lines) => lines.join("\n")).join("\n\n")}\n`
}

/** Every exit code, for `help exit-codes`. */
export function exitCodesText(): string[] {
  return Object.values(exitCodes).map(({ code, meaning }) => `${String(code).padStart(5)}  ${meaning}`)
}

function exitTerm(exit: Exit): readonly [string, string] {
  const { code, meaning } = exitCodes[exit]
  return [String(code), meaning]
}

// In the order in which a person meets them: groups as they were declared.
function commandSections(command: Command, paint: Paint): string[][] {
  const groups = new Map<string, Command[]>()
  for (const each of command.commands) {
    const group = each.helpGroup() || "Commands"
    groups.set(group, [...(groups.get(group) ?? []), each])
  }
  const width = Math.max(...command.commands.map((each) => each.name().length))
  return [...groups].map(([group, members]) => {
    return [paint.strong(group), ...pair(members.map((each) => [each.name().padEnd(width), each.summary() || each.description()] as const))]
  })
}

function usageOf(command: Command): string {
  const names: string[] = []
  for (let each: Command | null = command; each !== null; each = each.parent) names.unshift(each.name())
  const wanted = command.commands.length > 0 ? ["COMMAND"] : command.registeredArguments.map(argumentTerm)
  const options = command.parent !== null && command.options.length > 0 ? ["[OPTIONS]"] : []
  return ["Usage:", ...names, ...wanted, ...options].join(" ")
}

function argumentTerm(argument: Argument): string {
  const name = argument.name().toUpperCase() + (argument.variadic ? "…" : "")
  return argument.required ? name : `[${name}]`
}

function optionTerm(option: Option): readonly [string, string] {
  const shown: unknown = option.defaultValue
  const fallback = typeof shown === "string" || typeof shown === "number" ? ` (default: ${String(shown)})` : ""
  return [option.flags.replace(/<(.*)>/, (_, name: string) => name.toUpperCase()), `${option.description}${fallback}`]
}

function rootOf(command: Command): Command {
  return command.parent === null ? command : rootOf(command.parent)
}

function pair(rows: readonly (readonly [string, string])[]): string[] {
  const width = Math.max(...rows.map(([left]) => left.length))
  return rows.map(([left, right]) => `  ${left.padEnd(width)}  ${right}`.trimEnd())
}

// A short command line has its purpose beside it; a long one below.
function exampleLines(examples: Manual["examples"], paint: Paint): string[] {
  if (examples.every(([line, purpose]) => line.length + purpose.length < widthMax - 6)) return pair(examples)
  return examples.flatMap(([line, purpose]) => [`  ${line}`, ...(purpose === "" ? [] : [`      ${paint.faint(purpose)}`])])
}

function byNumber(exits: readonly Exit[]): Exit[] {
  return exits.toSorted((a, b) => exitCodes[a].code - exitCodes[b].code)
}

const widthMax = 100

function wrapped(words: readonly string[], { between, indent }: { readonly between: string; readonly indent: string }): string[] {
  const lines: string[] = []
  for (const word of words) {
    const longer = `${lines.at(-1) ?? ""}${between}${word}`
    if (lines.length > 0 && longer.length <= widthMax) lines.splice(-1, 1, longer)
    else lines.push(indent + word)
  }
  return lines
}
