import type { Command } from "commander"
import type { Bench } from "./bench.ts"

/** A command as the help of all commands lists it. */
export interface Listed {
  readonly name: string
  readonly group: string
  readonly summary: string
  /** Its code, which adds what it takes and does to its place in the program. */
  readonly load: () => Promise<(command: Command, bench: Bench, program: Command) => void>
}

/** All commands, in the order in which the help lists them. */
export const commands: readonly Listed[] = [
  {
    name: "status",
    group: "Backups",
    summary: "answer whether everything is safe now",
    load: async () => (await import("./status.ts")).addStatusCommand,
  },
  {
    name: "run",
    group: "Backups",
    summary: "run jobs now",
    load: async () => (await import("./run.ts")).addRunCommand,
  },
  {
    name: "runs",
    group: "Backups",
    summary: "list and show past runs",
    load: async () => (await import("./runs.ts")).addRunsCommands,
  },
  {
    name: "jobs",
    group: "Backups",
    summary: "list the jobs",
    load: async () => (await import("./jobs.ts")).addJobsCommand,
  },
  {
    name: "serve",
    group: "Backups",
    summary: "run jobs when they are due",
    load: async () => (await import("./serve.ts")).addServeCommand,
  },
  {
    name: "snapshots",
    group: "Getting data back",
    summary: "list snapshots and what is in them",
    load: async () => (await import("./snapshots.ts")).addSnapshotsCommands,
  },
  {
    name: "anomaly",
    group: "Backups",
    summary: "list and lift anomalies",
    load: async () => (await import("./anomaly.ts")).addAnomalyCommands,
  },
  {
    name: "retention",
    group: "Backups",
    summary: "show how long everything is kept, and why",
    load: async () => (await import("./retention.ts")).addRetentionCommands,
  },
  {
    name: "hold",
    group: "Backups",
    summary: "place, list and lift legal holds",
    load: async () => (await import("./hold.ts")).addHoldCommands,
  },
  {
    name: "alarm",
    group: "Backups",
    summary: "what is wrong, who was told, and who takes care of it",
    load: async () => (await import("./alarm.ts")).addAlarmCommands,
  },
  {
    name: "metrics",
    group: "Backups",
    summary: "print how everything stands, for Prometheus",
    load: async () => (await import("./metrics.ts")).addMetricsCommand,
  },
  {
    name: "find",
    group: "Getting data back",
    summary: "find a file or calls in all snapshots",
    load: async () => (await import("./snapshot-files.ts")).addFindCommand,
  },
  {
    name: "restore",
    group: "Getting data back",
    summary: "bring files back from any site",
    load: async () => (await import("./restore.ts")).addRestoreCommands,
  },
  {
    name: "verify",
    group: "Getting data back",
    summary: "prove that a snapshot can be had back",
    load: async () => (await import("./verify.ts")).addVerifyCommand,
  },
  {
    name: "recover",
    group: "Getting data back",
    summary: "begin again from one site, after everything else was lost",
    load: async () => (await import("./recover.ts")).addRecoverCommand,
  },
  {
    name: "site",
    group: "Sites",
    summary: "list and check the sites",
    load: async () => (await import("./site.ts")).addSiteCommands,
  },
  {
    name: "scrub",
    group: "Sites",
    summary: "look for missing and rotten copies at the sites",
    load: async () => (await import("./scrub.ts")).addScrubCommand,
  },
  {
    name: "repair",
    group: "Sites",
    summary: "bring sites what they lack, from the others",
    load: async () => (await import("./repair.ts")).addRepairCommand,
  },
  {
    name: "ledger",
    group: "Proof",
    summary: "who did what, when, and what came of it",
    load: async () => (await import("./ledger.ts")).addLedgerCommands,
  },
  {
    name: "witness",
    group: "Proof",
    summary: "judge from another machine whether every objective is met",
    load: async () => (await import("./witness.ts")).addWitnessCommand,
  },
  {
    name: "init",
    group: "Setting up",
    summary: "make keys, set up a host, write a job",
    load: async () => (await import("./init-commands.ts")).addInitCommands,
  },
  {
    name: "doctor",
    group: "Setting up",
    summary: "look at everything a run on this host needs",
    load: async () => (await import("./doctor.ts")).addDoctorCommand,
  },
  {
    name: "notify",
    group: "Setting up",
    summary: "test whom this host tells when something is wrong",
    load: async () => (await import("./notify.ts")).addNotifyCommands,
  },
  {
    name: "service",
    group: "Setting up",
    summary: "let systemd keep `holdline serve` running",
    load: async () => (await import("./service.ts")).addServiceCommands,
  },
  {
    name: "source",
    group: "Setting up",
    summary: "check what jobs read",
    load: async () => (await import("./source.ts")).addSourceCommands,
  },
  {
    name: "key",
    group: "Setting up",
    summary: "sign whom to believe, check keys and the escrow sheet",
    load: async () => (await import("./key.ts")).addKeyCommands,
  },
  {
    name: "config",
    group: "Setting up",
    summary: "check, show and explain the configuration",
    load: async () => (await import("./config.ts")).addConfigCommands,
  },
  {
    name: "help",
    group: "Help",
    summary: "explain a command, or one of exit-codes, references, environment",
    load: async () => (await import("./help.ts")).addHelpCommand,
  },
  {
    name: "completion",
    group: "Help",
    summary: "print completions for a shell",
    load: async () => (await import("./completion.ts")).addCompletionCommand,
  },
]
