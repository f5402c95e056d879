import { CommanderError } from "commander"
import { BackupError, reasonOf } from "../errors.ts"
import { visible } from "../report/visible.ts"
import type { Bench } from "./bench.ts"
import { type Exit, exitCodes, exitOfAbort, exitOfError } from "./exit.ts"

/** Says on stderr why the command ends here, and gives how it ends: one sentence and a hint for people, one object with --json. */
export function sayFailure(error: unknown, bench: Bench, options: { readonly json: boolean }): Exit {
  // Help has been printed: asked for, or in place of the command that is missing.
  if (error instanceof CommanderError && (error.exitCode === 0 || error.code === "commander.help")) {
    return error.exitCode === 0 ? "done" : "usage"
  }
  const failure = failureOf(error, bench.signal)
  const { exit, code, message, hint, stack } = failure
  if (options.json) {
    bench.stderr.line(JSON.stringify({ type: "error", code, message, hint, stack, exit: exitCodes[exit].code }))
    return exit
  }
  // Several lines are several problems of a configuration, each with its place in front.
  const sentence = message.split("\n").map(visible).join("\n")
  bench.stderr.line(stack ?? (code === "config/invalid" ? sentence : `holdline: ${sentence}`))
  if (hint !== undefined) bench.stderr.line(bench.notePaint.next(visible(hint)))
  return exit
}

interface Failure {
  readonly exit: Exit
  readonly code: string
  readonly message: string
  readonly hint?: string | undefined
  /** Only of a bug. */
  readonly stack?: string | undefined
}

function failureOf(error: unknown, signal: AbortSignal): Failure {
  if (error instanceof CommanderError) return usageOf(error)
  if (isInterruption(error, signal)) return interruption(signal.reason)
  if (error instanceof BackupError) {
    const { code, message, hint } = error
    return { exit: exitOfError(error), code, message, hint }
  }
  const stack = error instanceof Error ? (error.stack ?? error.message) : String(error)
  const hint = "this is a bug in Holdline: please report it with the lines above"
  return { exit: "failed", code: "bug", message: reasonOf(error), stack, hint }
}

/** Whether an error is what an interruption broke; what matters to people is then that it was asked for. A bug stays one. */
export function isInterruption(error: unknown, { aborted, reason }: AbortSignal): boolean {
  if (!aborted) return false
  return error === reason || error instanceof BackupError || (error instanceof Error && error.name === "AbortError")
}

function interruption(reason: unknown): Failure {
  const exit = exitOfAbort(reason)
  const hint =
    exit === "timeout"
      ? "run it again, with a longer --timeout if need be: it goes on where it can"
      : "run it again: it goes on where it can"
  return { exit, code: exit === "timeout" ? "cli/timeout" : "cli/interrupted", message: reasonOf(reason), hint }
}

function usageOf({ message }: CommanderError): Failure {
  const [sentence = "", suggestion] = message.replace(/^error: /, "").split("\n")
  const meant = /^\(Did you mean (.*)\?\)$/.exec(suggestion ?? "")?.[1]
  const hint = meant === undefined ? "`holdline help` lists the commands, `holdline help COMMAND` explains one" : `did you mean ${meant}?`
  return { exit: "usage", code: "config/usage", message: sentence.replaceAll("'", '"').replace(/\.$/, ""), hint }
}
