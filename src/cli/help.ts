import type { Command } from "commander"
import { ConfigError } from "../errors.ts"
import { nearest } from "../wiring/suggest.ts"
import type { Bench } from "./bench.ts"
import { exitCodesText, helpText, manual } from "./manual.ts"

/** Pages that belong to no single command. */
const topics: Readonly<Record<string, () => readonly string[]>> = {
  "exit-codes": () => ["How commands end:", "", ...exitCodesText()],
  references: () => references,
  environment: () => environment,
}

const references = [
  "How a snapshot or a run is named:",
  "",
  "  call-recordings@latest                     the newest snapshot of the job",
  "  call-recordings@2026-11-20                 as it was at the end of that day",
  "  call-recordings@2026-11-20T14:00           as it was at that minute",
  "  call-recordings@2026-11-20T14:00+01:00     the same, with the zone's offset",
  "  3f9a0c                                     the beginning of a run's or a commit's id, at least 4 characters",
  "",
  "Times without an offset are UTC, or in the zone that --timezone names. A name stands for what was stored at a site",
  "at or before that moment: of a state the newest complete snapshot, of an archive everything until then.",
]

const environment = [
  "Variables that Holdline reads; a flag wins over them, they win over the configuration:",
  "",
  "  HOLDLINE_CONFIG   the configuration to use (--config)",
  "  HOLDLINE_JOBS     where the job files are (--jobs)",
  "  HOLDLINE_STATE    where the catalog is (--state)",
  "  HOLDLINE_AGENT    this host's name as an agent (--agent)",
  "  NO_COLOR          set to anything: no colour (--no-color)",
  "  TERM              dumb: no colour, and no line that is written over",
  "",
  "References to secrets in the configuration may name further variables ({env: NAME}) and systemd credentials",
  "({credential: NAME}, from $CREDENTIALS_DIRECTORY). A variable that is set to nothing counts as not set.",
]

export function addHelpCommand(command: Command, bench: Bench, program: Command): void {
  command
    .description("Prints the help of a command, or a page on exit codes, references to snapshots, or environment variables.")
    .argument("[command...]", `a command such as "restore run", or one of ${Object.keys(topics).join(", ")}`)
    .action((words: string[]) => {
      const [topic = ""] = words
      const page = topics[topic]
      if (page === undefined) bench.stdout.write(helpText(find(program, words), bench.paint))
      else for (const line of page()) bench.stdout.line(line)
    })
  manual(command, {
    examples: [
      ["holdline help run", "the help of one command"],
      ["holdline help exit-codes", "what the numbers mean"],
    ],
    reads: "nothing",
    writes: "nothing",
    exits: ["done", "notFound"],
  })
}

function find(program: Command, words: readonly string[]): Command {
  return words.reduce<Command>((command, word) => {
    const found = command.commands.find((each) => each.name() === word)
    if (found !== undefined) return found
    const names = [...command.commands.map((each) => each.name()), ...(command === program ? Object.keys(topics) : [])]
    const meant = nearest(word, names)
    const hint = meant === undefined ? `there are ${names.join(", ")}` : `did you mean ${meant}?`
    throw new ConfigError("config/not-found", `no such command: ${words.join(" ")}`, { hint })
  }, program)
}
