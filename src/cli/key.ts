import type { Command } from "commander"
import type { Bench } from "./bench.ts"
import { addKeyCheckCommand } from "./key-check.ts"
import { addKeyEscrowCommand } from "./key-escrow.ts"
import { addKeyListCommand } from "./key-list.ts"
import { addKeyLostCommand } from "./key-lost.ts"
import { addKeyTrustCommand } from "./key-trust.ts"

export function addKeyCommands(key: Command, bench: Bench): void {
  key.description("Signs trust lists, shows whom this host believes, and checks that keys open what they must.")
  addKeyTrustCommand(key, bench)
  addKeyListCommand(key, bench)
  addKeyCheckCommand(key, bench)
  addKeyEscrowCommand(key, bench)
  addKeyLostCommand(key, bench)
}
