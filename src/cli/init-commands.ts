import type { Command } from "commander"
import type { Bench } from "./bench.ts"
import { addInitAgentCommand } from "./init-agent.ts"
import { addInitHostCommand } from "./init-host.ts"
import { addInitJobCommand } from "./init-job.ts"
import { addInitKeysCommand } from "./init-keys.ts"

export function addInitCommands(init: Command, bench: Bench): void {
  init.description(
    "Sets Holdline up: the keys on an operator's machine, a backup host, a job. `init host` does all of it on one machine, to try things out.",
  )
  addInitHostCommand(init, bench)
  addInitKeysCommand(init, bench)
  addInitAgentCommand(init, bench)
  addInitJobCommand(init, bench)
}
