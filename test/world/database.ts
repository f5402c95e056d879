import { createHash } from "node:crypto"
import { chmodSync, mkdirSync, utimesSync } from "node:fs"
import { dirname } from "node:path"
import { DatabaseSync } from "node:sqlite"
import type { WorldAccount } from "./accounts.ts"
import { outsideNumber } from "./accounts.ts"
import { secret } from "./configuration.ts"
import type { Dice } from "./dice.ts"

/** Voicemail as FreeSWITCH keeps it, and the accounts and extensions of the provider. */
export function writeDatabase(path: string, accounts: readonly WorldAccount[], nowMs: number, dice: Dice): void {
  mkdirSync(dirname(path), { recursive: true })
  const database = new DatabaseSync(path)
  database.exec(schema)
  database.exec("BEGIN")
  const addAccount = database.prepare("INSERT INTO accounts VALUES (?, ?, ?)")
  const addExtension = database.prepare("INSERT INTO extensions VALUES (?, ?, ?, ?, ?, ?)")
  for (const account of accounts) {
    addAccount.run(account.uuid, account.domain, 1)
    for (const { uuid, number, name } of account.extensions) {
      addExtension.run(uuid, account.uuid, number, name, secret(dice), outsideNumber(dice))
      for (let left = dice.between(0, 2); left > 0; left--) addMessage(database, account, number, nowMs, dice)
    }
  }
  database.exec("COMMIT")
  database.close()
  chmodSync(path, 0o640)
  utimesSync(path, nowMs / 1000 - 3600, nowMs / 1000 - 3600)
}

/** Leaves voicemail for some extensions, deletes some, and changes a password: what a day does to such a database. */
export function changeDatabase(path: string, accounts: readonly WorldAccount[], nowMs: number, dice: Dice): void {
  const database = new DatabaseSync(path)
  database.exec("BEGIN")
  for (const account of accounts) {
    const extension = account.extensions[dice.between(0, account.extensions.length - 1)]
    if (extension === undefined) continue
    if (dice.chance(0.6)) addMessage(database, account, extension.number, nowMs, dice)
    if (dice.chance(0.1)) database.prepare("UPDATE extensions SET password = ? WHERE uuid = ?").run(secret(dice), extension.uuid)
  }
  database.exec("DELETE FROM voicemail_msgs WHERE rowid = (SELECT min(rowid) FROM voicemail_msgs)")
  database.exec("COMMIT")
  database.close()
  utimesSync(path, nowMs / 1000, nowMs / 1000)
}

/** The same for two databases with the same rows in all tables, whatever their pages look like. */
export function databaseDigest(path: string): string {
  const database = new DatabaseSync(path, { readOnly: true })
  try {
    const digest = createHash("sha256")
    for (const table of ["accounts", "extensions", "voicemail_msgs", "voicemail_prefs"]) {
      const rows = database.prepare(`SELECT rowid, * FROM ${table} ORDER BY rowid`).all()
      digest.update(`${table} ${JSON.stringify(rows)}\n`)
    }
    return digest.digest("hex")
  } finally {
    database.close()
  }
}

function addMessage(database: DatabaseSync, account: WorldAccount, number: string, nowMs: number, dice: Dice): void {
  const uuid = dice.uuid()
  const created = Math.floor(nowMs / 1000) - dice.between(60, 30 * 86_400)
  const path = `/var/lib/freeswitch/storage/voicemail/default/${account.domain}/${number}/msg_${uuid}.wav`
  database
    .prepare("INSERT INTO voicemail_msgs VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)")
    .run(created, 0, number, account.domain, uuid, "", outsideNumber(dice), "inbox", path, dice.between(2, 90), "", "B_NORMAL", "")
}

const schema = `
CREATE TABLE accounts (uuid TEXT PRIMARY KEY, domain TEXT NOT NULL UNIQUE, enabled INTEGER NOT NULL);
CREATE TABLE extensions (uuid TEXT PRIMARY KEY, account_uuid TEXT NOT NULL REFERENCES accounts (uuid), number TEXT NOT NULL,
  name TEXT NOT NULL, password TEXT NOT NULL, emergency_number TEXT NOT NULL);
CREATE TABLE voicemail_msgs (created_epoch INTEGER, read_epoch INTEGER, username VARCHAR(255), domain VARCHAR(255), uuid VARCHAR(255),
  cid_name VARCHAR(255), cid_number VARCHAR(255), in_folder VARCHAR(255), file_path VARCHAR(255), message_len INTEGER,
  flags VARCHAR(255), read_flags VARCHAR(255), forwarded_by VARCHAR(255));
CREATE TABLE voicemail_prefs (username VARCHAR(255), domain VARCHAR(255), name_path VARCHAR(255), greeting_path VARCHAR(255), password VARCHAR(255));
CREATE INDEX voicemail_msgs_idx ON voicemail_msgs (username, domain, in_folder);
`
