import type { Command } from "commander"
import type { Bench } from "./bench.ts"
import { addSourceCheckCommand } from "./source-check.ts"

export function addSourceCommands(program: Command, bench: Bench): void {
  const source = program
    .command("source")
    .helpGroup("Setting up")
    .summary("check what jobs read")
    .description("Checks what jobs read: databases, call detail records, directories and files.")
  addSourceCheckCommand(source, bench)
}
