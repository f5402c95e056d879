import { existsSync } from "node:fs"
import { join } from "node:path"
import { sha256 } from "../digest.ts"
import { BackupError, JobError } from "../errors.ts"
import type { LedgerEvent } from "../ledger/entry.ts"
import { Ledger } from "../ledger/ledger.ts"
import type { Deed, Event } from "../operation/event.ts"
import type { AnchoredLedger } from "../operation/world.ts"
import type { RunReport } from "../report/run.ts"
import type { Loaded } from "./config.ts"
import type { Io } from "./io.ts"

const dayMs = 86_400_000

/** Where this host's ledger is. */
export function ledgerPath(state: string): string {
  return join(state, "ledger.sqlite")
}

/** This host's ledger, for looking at; a JobError where it has none. */
export function ledgerToRead(state: string): Ledger {
  if (existsSync(ledgerPath(state))) return Ledger.open(ledgerPath(state))
  throw new JobError("job/not-found", `${ledgerPath(state)}: this host has no ledger yet`, { hint: "it begins with the first run" })
}

/** The same, but what is done is kept in this host's ledger as well. A ledger that cannot be written stops nothing, and is told. */
export function keepingLedger({ config }: Loaded, io: Io): Io {
  const keep = (deed: Deed): void => {
    try {
      using ledger = Ledger.open(ledgerPath(config.state))
      ledger.append({ ...deed, who: personOf(io) }, { host: config.agent, time: io.clock.now() })
    } catch (error) {
      if (!(error instanceof BackupError)) throw error
      io.tell({ type: "warning", message: `not in the ledger: ${error.message}` })
    }
  }
  return {
    ...io,
    tell(event: Event) {
      if (event.type === "run-ended") keep(deedOf(event.report))
      if (event.type === "deed") keep(event.deed)
      io.tell(event)
    },
  }
}

/** What is said of a run. */
function deedOf({ job, outcome, run, dataset, captured, commits, failure }: RunReport): Deed {
  return {
    what: "run",
    subject: job,
    outcome,
    details: {
      ...{ run, dataset, files: captured.files, bytes: captured.bytes },
      ...(commits.length > 0 && {
        commits: commits
          .map(({ seq }) => seq)
          .join(" ")
          .slice(0, 1000),
      }),
      ...(failure !== undefined && { failure: failure.code }),
    },
  }
}

/** Tells of a configuration, with its jobs, that is another than the last one that an agent here worked with. */
export function tellConfiguration({ config, effective, jobs }: Loaded, io: Io): void {
  const digest = sha256(JSON.stringify([effective, [...jobs].toSorted(([a], [b]) => (a < b ? -1 : 1))]))
  using ledger = Ledger.open(ledgerPath(config.state))
  if (ledger.last("configuration")?.details.sha256 === digest) return
  io.tell({
    type: "deed",
    deed: { what: "configuration", subject: config.agent, outcome: "ok", details: { sha256: digest, jobs: jobs.size } },
  })
}

/** This host's ledger as anchoring needs it. */
export function anchoredLedger({ config }: Loaded, io: Io): AnchoredLedger {
  return {
    head() {
      using ledger = Ledger.open(ledgerPath(config.state))
      return ledger.head()
    },
    firstAfter(n) {
      using ledger = Ledger.open(ledgerPath(config.state))
      return ledger.firstAfter(n)
    },
    prune(anchored) {
      using ledger = Ledger.open(ledgerPath(config.state))
      const time = io.clock.now()
      const before = new Date(time.getTime() - config.ledger.days * dayMs)
      ledger.prune(before, anchored, { who: personOf(io), host: config.agent, time })
    },
  }
}

/** Who is at work here, as the host says it. */
function personOf({ env }: Pick<Io, "env">): LedgerEvent["who"] {
  const named = [env.SUDO_USER, env.USER, env.LOGNAME].find((name) => name !== undefined && name.trim() !== "")
  return (named ?? `uid ${String(process.getuid?.() ?? "unknown")}`).trim().slice(0, 200)
}
