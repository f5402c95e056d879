import type {
  AlarmErrorCode,
  BackupError,
  ConfigErrorCode,
  FormatErrorCode,
  JobErrorCode,
  KeyErrorCode,
  SiteErrorCode,
  VaultErrorCode,
} from "../errors.ts"

/** How a command ends. Scripts and monitoring rely on these numbers; `holdline help exit-codes` prints them. */
export const exitCodes = {
  done: { code: 0, meaning: "done" },
  failed: { code: 1, meaning: "failed" },
  usage: { code: 2, meaning: "the command line or the configuration cannot be followed" },
  partial: { code: 3, meaning: "finished but incomplete: a partial run" },
  denied: { code: 4, meaning: "not allowed: a key, an approval or a permission is missing" },
  notFound: { code: 5, meaning: "not found: no such configuration, job, site, run, snapshot or path" },
  findings: { code: 6, meaning: "a check found something" },
  waiting: { code: 7, meaning: "waiting for approval" },
  busy: { code: 75, meaning: "busy: another process holds the lock; try again later" },
  timeout: { code: 124, meaning: "the time given with --timeout is over" },
  interrupted: { code: 130, meaning: "interrupted with Ctrl-C (SIGINT)" },
  terminated: { code: 143, meaning: "ended by SIGTERM" },
} as const

export type Exit = keyof typeof exitCodes

/** From best to worst: where several things were done, the worst decides how the command ends. */
const byGravity: readonly Exit[] = [
  "done",
  "partial",
  "findings",
  "waiting",
  "busy",
  "notFound",
  "denied",
  "usage",
  "failed",
  "timeout",
  "terminated",
  "interrupted",
]

export function worse(a: Exit, b: Exit): Exit {
  return byGravity.indexOf(a) >= byGravity.indexOf(b) ? a : b
}

type ErrorCode = SiteErrorCode | FormatErrorCode | ConfigErrorCode | JobErrorCode | KeyErrorCode | VaultErrorCode | AlarmErrorCode

const exitByError: Readonly<Record<ErrorCode, Exit>> = {
  "site/not-found": "notFound",
  "site/conflict": "failed",
  "site/denied": "denied",
  "site/full": "failed",
  "site/unsupported": "usage",
  "site/throttled": "failed",
  "site/unavailable": "failed",
  "site/corrupt": "failed",
  "format/malformed": "failed",
  "format/too-large": "failed",
  "format/unsupported": "failed",
  "format/mismatch": "failed",
  "format/foreign": "failed",
  "config/invalid": "usage",
  "config/not-found": "notFound",
  "config/secret": "usage",
  "config/trust": "usage",
  "config/usage": "usage",
  "job/source": "failed",
  "job/command": "failed",
  "job/busy": "busy",
  "job/superseded": "busy",
  "job/time-limit": "timeout",
  "job/clock": "failed",
  "job/not-durable": "failed",
  "job/spool-full": "failed",
  "job/not-found": "notFound",
  "job/target": "failed",
  "job/unconfined": "failed",
  "key/malformed": "usage",
  "key/mixed": "usage",
  "key/missing": "denied",
  "key/wrong": "denied",
  "key/untrusted": "denied",
  "key/rollback": "denied",
  "key/misplaced": "denied",
  "key/repeated": "failed",
  "alarm/unreachable": "failed",
  "alarm/refused": "failed",
  "vault/unreachable": "failed",
  "vault/lost": "failed",
  "vault/incomplete": "failed",
}

/** How a command ends that met this error; one from a newer catalog, whose code is not known, is a failure. */
export function exitOfError({ code }: Pick<BackupError, "code">): Exit {
  return new Map<string, Exit>(Object.entries(exitByError)).get(code) ?? "failed"
}

/** How a command ends whose signal was aborted: by Ctrl-C, by SIGTERM or by its time limit. */
export function exitOfAbort(reason: unknown): Exit {
  if (reason instanceof TimeLimitReached) return "timeout"
  const signal = reason instanceof Error && "signal" in reason ? reason.signal : undefined
  return signal === "SIGTERM" ? "terminated" : "interrupted"
}

/** The reason of a signal that was aborted by --timeout. */
export class TimeLimitReached extends Error {
  constructor(limit: string) {
    super(`the time limit of ${limit} is over`)
    this.name = "TimeLimitReached"
  }
}
