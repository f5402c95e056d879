import { z } from "zod"
import { type Digest, sha256 } from "../digest.ts"
import { digestSchema } from "../digest-schema.ts"

/** What happened; each is written when it is over, whatever came of it. */
export const ledgerEvents = [
  "run", // a job captured
  "restore", // something was read back into the clear
  "verify", // something was read back and compared
  "key-use", // an identity was given to a command
  "configuration", // the configuration in use is another than before
  "anomaly-lifted",
  "hold", // placed or lifted
  "approval",
  "repair",
  "expiry",
  "erasure",
  "rotation",
  "posture", // a site differs from what is configured, or does again what it should
  "pruned", // entries older than they are kept for were removed from the front
] as const

const name = z.string().regex(/^[a-z][A-Za-z0-9]{0,39}$/)
const detail = z.union([z.string().max(1000), z.int(), z.boolean()])

/** What is said of one event. Ids only: no name, number or path of a customer, and no secret. */
export const ledgerEventSchema = z.strictObject({
  what: z.enum(ledgerEvents),
  /** What it was done to: a job, a dataset, a site. */
  subject: z.string().min(1).max(200),
  /** Who asked for it, as the host knows them. */
  who: z.string().min(1).max(200),
  outcome: z.enum(["ok", "partial", "failed", "refused"]),
  details: z.record(name, detail),
})
export type LedgerEvent = z.infer<typeof ledgerEventSchema>

const entrySchema = z.strictObject({
  v: z.literal(1),
  /** Its place in the ledger; the first is 1. */
  n: z.int().positive(),
  /** SHA-256 of the line before; of the first: 64 zeros. */
  prev: digestSchema,
  time: z.iso.datetime({ precision: 3 }),
  host: z.string().min(1).max(63),
  ...ledgerEventSchema.shape,
})
export type LedgerEntry = z.infer<typeof entrySchema>

/** A place in a ledger and the SHA-256 of the line there: all before it follows. */
export interface LedgerPlace {
  readonly n: number
  readonly sha256: Digest
}

/** Before the first entry. */
export const ledgerOrigin: LedgerPlace = { n: 0, sha256: digestSchema.parse("0".repeat(64)) }

/** The line that continues a ledger, and its place. */
export function nextLine(before: LedgerPlace, event: LedgerEvent, at: { readonly host: string; readonly time: string }) {
  const { what, subject, who, outcome, details } = ledgerEventSchema.parse(event)
  const line = JSON.stringify({ v: 1, n: before.n + 1, prev: before.sha256, ...at, what, subject, who, outcome, details })
  return { line, place: placeOf(before.n + 1, line) }
}

/** An entry is named by its line, byte for byte, so that `sha256sum` tells whether the next one follows. */
export function placeOf(n: number, line: string): LedgerPlace {
  return { n, sha256: sha256(line) }
}

/** Reads a line; null where it is none. */
export function parseLine(line: string): LedgerEntry | null {
  try {
    return entrySchema.safeParse(JSON.parse(line)).data ?? null
  } catch {
    return null
  }
}
