import { resolve } from "node:path"
import type { Command } from "commander"
import { parseIdentities, readIdentityFile } from "../key/identity-file.ts"
import type { Identity } from "../key/recipient.ts"
import { keyFileBytesMax } from "../limits.ts"
import { checkKeyObjects, type KeysChecked } from "../operation/trust-keys.ts"
import { count } from "../units.ts"
import { openReader } from "../wiring/world.ts"
import type { Bench } from "./bench.ts"
import { exitCodes } from "./exit.ts"
import { readStdin } from "./init-ask.ts"
import { manual } from "./manual.ts"

export function addKeyCheckCommand(key: Command, bench: Bench): void {
  const command = key
    .command("check")
    .summary("open every key object at the sites")
    .description("Opens the key object of every account with an organisation's identity, and checks that each is what its name says.")
    .requiredOption("--identity <file>", "the operations or the escrow identity, or a typed escrow sheet; - for standard input")
    .option("--timeout <duration>", "end after this long, such as 1h")
    .action(async ({ identity, timeout }: { identity: string; timeout?: string }) => {
      bench.limitTime(timeout)
      const identities = await identitiesAt(identity, bench)
      await using session = await openReader(await bench.load(), { io: bench.io({ tell: () => undefined }) })
      print(await checkKeyObjects(session.world.vault, identities, bench.signal), bench)
    })
  manual(command, {
    examples: [["holdline key check --identity /media/stick/operations.identity", "on a machine that may hold it, never a backup host"]],
    reads: "every key object at the sites",
    writes: "nothing at the sites",
    exits: ["done", "usage", "denied", "findings", "timeout", "interrupted"],
  })
}

async function identitiesAt(path: string, bench: Bench): Promise<readonly Identity[]> {
  if (path === "-") return parseIdentities(await readStdin(bench, keyFileBytesMax), "standard input")
  return await readIdentityFile(resolve(bench.cwd, path))
}

function print({ opened, accounts, failed, missed }: KeysChecked, bench: Bench): void {
  const { paint } = bench
  for (const { name, error } of failed) {
    bench.out(`${paint.status("bad", "closed")}  ${name}: ${error.message}`)
    bench.record("finding", { object: name, code: error.code, message: error.message })
  }
  for (const error of missed) {
    bench.out(`${paint.status("bad", "missed")}  ${error.message}`)
    bench.record("finding", { code: error.code, message: error.message })
  }
  const isRight = failed.length === 0 && missed.length === 0 && opened > 0
  if (!isRight) bench.ends("findings")
  const none = opened + failed.length === 0 ? ": no site has any yet" : ""
  bench.out(`${paint.status(isRight ? "good" : "bad", "opened")}  ${count(opened, "key object")} of ${count(accounts, "account")}${none}`)
  const summary = { opened, accounts, failed: failed.length, missedSites: missed.length }
  bench.record("summary", { command: "key check", exit: exitCodes[bench.exit].code, ...summary })
}
