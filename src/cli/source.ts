import type { Command } from "commander"
import type { Bench } from "./bench.ts"
import { addSourceCheckCommand } from "./source-check.ts"

export function addSourceCommands(source: Command, bench: Bench): void {
  source.description("Checks what jobs read: databases, call detail records, directories and files.")
  addSourceCheckCommand(source, bench)
}
