import { join, resolve } from "node:path"
import { type Command, Option } from "commander"
import type { Kind } from "../key/recipient.ts"
import { initKeys, type MadeKeys } from "../operation/init-keys.ts"
import { table } from "../report/table.ts"
import type { Bench } from "./bench.ts"
import { manual } from "./manual.ts"

interface KeysOptions {
  readonly out: string
  readonly recipients: Kind
  readonly dataAt: readonly string[]
}

export function addInitKeysCommand(init: Command, bench: Bench): void {
  const command = init
    .command("keys")
    .summary("make the keys of a new repository, on an operator's machine")
    .description(
      "Makes the root key, the organisation's identities with the escrow sheet, the catalog's keys and the first trust list. " +
        "Do it on a machine that is no backup host, best without a network.",
    )
    .requiredOption("--out <directory>", "where to write them: a new directory, which only you can enter")
    .addOption(
      new Option("--recipients <kind>", "kind of all identities: post-quantum, or what age had before 1.3")
        .choices(["pq", "x25519"])
        .default("pq"),
    )
    .option("--data-at <line...>", "where the data will be, for the escrow sheet; without it the sheet has lines to fill in", [])
    .action(async ({ out, recipients, dataAt }: KeysOptions) => {
      const { clock, random } = bench
      const made = await initKeys(resolve(bench.cwd, out), { kind: recipients, dataAt, clock, random })
      printKeys(made, bench)
      const { root, repository, kind, directory, files } = made
      bench.record("summary", { command: "init keys", root, repository, recipients: kind, directory, files })
    })
  manual(command, {
    examples: [
      ["holdline init keys --out ceremony", "post-quantum keys"],
      ['holdline init keys --out ceremony --data-at "fra: /mnt/vault, own data centre"', "the sheet says where the data is"],
      ["holdline init keys --out ceremony --recipients x25519", "for an age older than 1.3"],
    ],
    reads: "nothing",
    writes: "the directory: files that only you can read, and trust.json, which holds no secret",
    exits: ["done", "usage"],
  })
}

function printKeys({ root, repository, kind, directory, files }: MadeKeys, bench: Bench): void {
  const { paint } = bench
  bench.out(
    `${paint.status("good", "made")}  repository ${repository}, ${kind === "pq" ? "post-quantum" : "X25519"} identities`,
    `root  ${paint.strong(root)}`,
    "",
    ...table(
      ["FILE", "WHAT FOR", "WHO MAY HOLD IT"],
      files.map(({ name, purpose, holder }) => [name, purpose, holder]),
    ),
  )
  const sheet = join(directory, "escrow-sheet.txt")
  const trust = join(directory, "trust.json")
  bench.note(
    "",
    "Next:",
    `1. Print ${sheet} (or .html) on a printer that keeps nothing; write the root's fingerprint into the configuration (trust.root).`,
    `2. Type the printed sheet into a file, and check it:`,
    `   ${bench.notePaint.next(`holdline key escrow check TYPED --trust ${trust}`)}`,
    "   Then remove that file, escrow.identity, escrow-sheet.txt and escrow-sheet.html; seal the paper in two places.",
    "3. Copy trust.json to each backup host, and there:",
    `   ${bench.notePaint.next("holdline init agent --trust trust.json")}`,
    "4. Sign the requests that come back, with the classes and sites of the configuration:",
    `   ${bench.notePaint.next(`holdline key trust REQUEST… --root ${join(directory, "root.key")}`)}`,
  )
}
