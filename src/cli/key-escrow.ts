import { resolve } from "node:path"
import type { Command } from "commander"
import { KeyError } from "../errors.ts"
import { readEscrowSheet } from "../key/escrow.ts"
import { readPrivateFile } from "../key/private-file.ts"
import { keyFileBytesMax } from "../limits.ts"
import { claimedRoot, readTrustFile, verifyBundle } from "../operation/trust-bundle.ts"
import type { Bench } from "./bench.ts"
import { readStdin } from "./init-ask.ts"
import { manual } from "./manual.ts"

interface EscrowOptions {
  readonly trust: string
  readonly fingerprint?: string
}

export function addKeyEscrowCommand(key: Command, bench: Bench): void {
  const escrow = key.command("escrow").summary("check the escrow sheet").description("Checks that the paper opens what it must open.")
  const command = escrow
    .command("check")
    .summary("check a sheet as somebody typed it")
    .description(
      "Reads an escrow sheet as somebody typed it from the paper, and says whether it belongs to the repository. A typing error is found " +
        "in its line. Nothing of it is shown.",
    )
    .argument("<sheet>", "a file with the typed lines, which only you can read; - for standard input")
    .requiredOption("--trust <file>", "the repository's trust file")
    .option("--fingerprint <fingerprint>", "the root's as on the sheet, SHA256:…, to be compared as well")
    .action((sheet: string, options: EscrowOptions) => check(sheet, options, bench))
  manual(command, {
    examples: [["holdline key escrow check typed.txt --trust trust.json", "then remove typed.txt"]],
    reads: "the typed sheet and the trust file",
    writes: "nothing",
    exits: ["done", "usage", "denied"],
  })
}

async function check(sheet: string, { trust, fingerprint }: EscrowOptions, bench: Bench): Promise<void> {
  const bundle = await readTrustFile(resolve(bench.cwd, trust))
  const root = fingerprint ?? claimedRoot(bundle)
  const { repository, newest } = verifyBundle(bundle, root)
  const text = sheet === "-" ? await readStdin(bench, keyFileBytesMax) : await readPrivateFile(resolve(bench.cwd, sheet), "escrow sheet")
  const { recipient } = readEscrowSheet(text)
  const known = newest.body.organisation.recipients.find((member) => member.recipient === recipient)
  if (known?.name !== "escrow") {
    const whose = known === undefined ? "it opens nothing of this repository" : `it is the ${known.name} identity, not escrow's`
    throw new KeyError("key/wrong", `escrow sheet: every line is typed right, but ${whose}`, {
      hint: `look for the sheet of repository ${repository.id}`,
    })
  }
  bench.out(
    `${bench.paint.status("good", "right")}  this sheet opens every backup of repository ${repository.id}`,
    fingerprint === undefined ? `root  ${root}: compare it with the sheet` : `root  ${root}`,
  )
  bench.note("", sheet === "-" ? "Seal the sheet again." : `Next: remove ${sheet}, and seal the sheet again.`)
  bench.record("summary", { command: "key escrow check", repository: repository.id, root, right: true })
}
