import type { Catalog, Row } from "./catalog.ts"
import { blobOf, nullable, numberOf, textOf } from "./rows.ts"

/** An account as this agent knows it: its platform's stable id, its own random id, and the recipient of one key epoch. */
export interface KnownAccount {
  readonly stableId: string
  readonly epoch: string
  readonly account: string
  readonly recipient: string
  /** The key object's name. */
  readonly keyName: string
  /** Kept until the account is registered; then the sites have it. */
  readonly keyBytes: Buffer | null
  /** Whether a durable control commit registers it. Before that its recipient must not be used. */
  readonly registered: boolean
}

export function findAccount(catalog: Catalog, stableId: string, epoch: string): KnownAccount | undefined {
  const row = catalog.get("SELECT * FROM account WHERE stable_id = ? AND epoch = ? ORDER BY registered DESC LIMIT 1", stableId, epoch)
  return row === undefined ? undefined : accountOf(row)
}

/** The account id of a customer whatever its epoch, so that a new epoch keeps it. */
export function accountIdOf(catalog: Catalog, stableId: string): string | undefined {
  const row = catalog.get("SELECT account FROM account WHERE stable_id = ? ORDER BY registered DESC LIMIT 1", stableId)
  return row === undefined ? undefined : textOf(row, "account")
}

/** Whose an account is, whatever its epoch. */
export function ownerOf(catalog: Catalog, account: string): string | undefined {
  const row = catalog.get("SELECT stable_id FROM account WHERE account = ? LIMIT 1", account)
  return row === undefined ? undefined : textOf(row, "stable_id")
}

export function unregisteredAccounts(catalog: Catalog): KnownAccount[] {
  return catalog.all("SELECT * FROM account WHERE registered = 0 ORDER BY stable_id, epoch").map(accountOf)
}

export function registeredAccounts(catalog: Catalog): KnownAccount[] {
  return catalog.all("SELECT * FROM account WHERE registered = 1 ORDER BY stable_id, epoch").map(accountOf)
}

/** Forgets accounts that nobody can open any more, and every item, of any dataset, that is encrypted to them: captured again, to others. */
export function forgetAccounts(catalog: Catalog, accounts: readonly KnownAccount[]): void {
  catalog.transaction(() => {
    for (const { account, epoch } of accounts) {
      catalog.run("DELETE FROM item WHERE account = ? AND epoch = ?", account, epoch)
      catalog.run("DELETE FROM account WHERE account = ? AND epoch = ?", account, epoch)
    }
  })
}

export function addAccounts(catalog: Catalog, accounts: readonly KnownAccount[]): void {
  catalog.transaction(() => {
    for (const { stableId, epoch, account, recipient, keyName, keyBytes, registered } of accounts) {
      catalog.run(
        "INSERT OR REPLACE INTO account (stable_id, epoch, account, recipient, key_name, key_bytes, registered) VALUES (?, ?, ?, ?, ?, ?, ?)",
        stableId,
        epoch,
        account,
        recipient,
        keyName,
        keyBytes,
        registered ? 1 : 0,
      )
    }
  }, "durable")
}

export function markRegistered(catalog: Catalog, accounts: readonly KnownAccount[]): void {
  catalog.transaction(() => {
    for (const { keyName } of accounts) catalog.run("UPDATE account SET registered = 1, key_bytes = NULL WHERE key_name = ?", keyName)
  }, "durable")
}

/** The recipient of an account's key epoch, for its manifests. */
export function recipientOf(catalog: Catalog, account: string, epoch: string): string {
  const row = catalog.get("SELECT recipient FROM account WHERE account = ? AND epoch = ? AND registered = 1 LIMIT 1", account, epoch)
  if (row === undefined) throw new Error(`catalog: account ${account} epoch ${epoch} is not registered`)
  return textOf(row, "recipient")
}

function accountOf(row: Row): KnownAccount {
  return {
    stableId: textOf(row, "stable_id"),
    epoch: textOf(row, "epoch"),
    account: textOf(row, "account"),
    recipient: textOf(row, "recipient"),
    keyName: textOf(row, "key_name"),
    keyBytes: nullable(row, "key_bytes", blobOf),
    registered: numberOf(row, "registered") === 1,
  }
}
