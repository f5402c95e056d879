import { ownerOf } from "../catalog/accounts.ts"
import type { Catalog } from "../catalog/catalog.ts"
import { accountsEverNamed } from "../catalog/memory.ts"
import { BackupError, JobError } from "../errors.ts"
import { decodeCanonical, decodeUtf8 } from "../format/canonical.ts"
import { type KeyRecord, type RegisterEntry, registerEntrySchema } from "../format/commit.ts"
import { parseWith } from "../format/lines.ts"
import type { Identity } from "../key/recipient.ts"
import { decryptSmall } from "../key/small.ts"
import type { History } from "./history.ts"
import type { Keyring } from "./keyring.ts"

/** An account as the register knows it: who it is to its platform. */
export interface RegisteredAccount {
  readonly account: string
  readonly epoch: string
  readonly object: string
  readonly entry: RegisterEntry
}

/** The account register, opened with an organisation's or the catalog's identity. */
export async function readRegister(history: History, identities: readonly Identity[]): Promise<Register> {
  const accounts: RegisteredAccount[] = []
  const unreadable: string[] = []
  for (const record of [...history.keys.values()].flat()) {
    try {
      const { account, epoch, object } = record
      accounts.push({ account, epoch, object, entry: await openEntry(record, identities) })
    } catch (error) {
      // One entry that a hostile agent made, or that was sealed to others, must not hide the rest.
      if (!(error instanceof BackupError)) throw error
      unreadable.push(error.message)
    }
  }
  return { accounts, unreadable }
}

export interface Register {
  readonly accounts: readonly RegisteredAccount[]
  /** Why entries could not be read; each is one account that can only be named by its own id. */
  readonly unreadable: readonly string[]
}

async function openEntry({ account, entry }: KeyRecord, identities: readonly Identity[]): Promise<RegisterEntry> {
  const what = `register entry of account ${account}`
  const plaintext = await decryptSmall(Buffer.from(entry, "base64"), identities)
  return parseWith(registerEntrySchema, decodeCanonical(decodeUtf8(plaintext, what), what), what)
}

/** Whose each of these accounts is, by its platform's stable id, as far as the register can be opened. One customer may have several. */
export async function customersOf(history: History, keyring: Keyring, accounts: ReadonlySet<string>): Promise<ReadonlyMap<string, string>> {
  const customers = new Map<string, string>()
  for (const [record] of history.keys.values()) {
    if (record === undefined || !accounts.has(record.account) || customers.has(record.account)) continue
    try {
      customers.set(record.account, (await openEntry(record, keyring.given)).stableId)
    } catch (error) {
      // Whose it is, is not known: it stays by itself.
      if (!(error instanceof BackupError)) throw error
    }
  }
  return customers
}

/**
 * The ids of accounts given by id, by their platform's own stable id, or by the name that paths and people use, as far as this host's
 * catalog has learned it. One customer may be several accounts: all are meant. A name that several customers have or had is refused.
 */
export async function accountsNamed(
  history: History,
  keyring: Keyring,
  names: readonly string[],
  catalog: Catalog,
): Promise<ReadonlySet<string>> {
  const records = [...history.keys.values()].flat()
  const ids = new Set(records.map(({ account }) => account))
  if (names.every((name) => ids.has(name))) return new Set(names)
  const owners = await ownersOf(records, keyring, catalog)
  const found = new Set<string>()
  for (const name of names) {
    if (ids.has(name)) {
      found.add(name)
      continue
    }
    const under = owners.filter(({ stableId }) => stableId === name).map(({ account }) => account)
    const called = customerCalled(name, catalog, under)
    const matching = owners.filter(({ stableId }) => stableId === name || stableId === called)
    if (matching.length === 0) throw unknownAccount(name, called)
    for (const { account } of matching) found.add(account)
  }
  return found
}

/** Whose the accounts are: as this host's own runs have it, and otherwise as the register says, which takes a millisecond for each. */
async function ownersOf(
  records: readonly KeyRecord[],
  keyring: Keyring,
  catalog: Catalog,
): Promise<{ readonly account: string; readonly stableId: string }[]> {
  const owners: { account: string; stableId: string }[] = []
  for (const record of records) {
    const { account } = record
    const remembered = ownerOf(catalog, account)
    if (remembered !== undefined) {
      owners.push({ account, stableId: remembered })
      continue
    }
    try {
      owners.push({ account, stableId: (await openEntry(record, keyring.given)).stableId })
    } catch (error) {
      // It can only be named by its own id.
      if (!(error instanceof BackupError)) throw error
    }
  }
  return owners
}

// A domain that was deleted and made anew is another customer by its id: whoever names it may mean either.
function customerCalled(name: string, catalog: Catalog, under: readonly string[]): string | undefined {
  const { now, before } = accountsEverNamed(catalog, name)
  if (now.length + before.length <= 1) return now[0] ?? before[0]
  const all = [...now, ...before.map((one) => `formerly ${one}`)]
  const listed = before.length === 0 ? all.join(", ") : `${all.slice(0, -1).join(", ")}, and ${all.at(-1) ?? ""}`
  throw new JobError("job/not-found", `account ${name}: this is the name of several: ${listed}`, {
    hint: `say which, by its id${under.length === 0 ? "" : `; what was kept under the name itself is ${[...new Set(under)].join(", ")}`}`,
  })
}

function unknownAccount(name: string, called: string | undefined): JobError {
  if (called !== undefined) return new JobError("job/not-found", `account ${name}: is ${called}, of which nothing was captured`)
  return new JobError("job/not-found", `account ${name}: not known`, {
    hint: "give the customer by the id in the platform's database, or by the name that this host's runs have read there; where no database is captured, by the name in its paths",
  })
}
