import { accountIdOf, addAccounts, findAccount, type KnownAccount, markRegistered, unregisteredAccounts } from "../catalog/accounts.ts"
import { isoWeek } from "../clock.ts"
import { sha256 } from "../digest.ts"
import { JobError } from "../errors.ts"
import { encodeCanonical } from "../format/canonical.ts"
import type { KeyRecord } from "../format/commit.ts"
import { keyObjectKey } from "../format/names.ts"
import { makeAccountKey } from "../key/account.ts"
import { encryptSmall } from "../key/small.ts"
import { randomId } from "../random.ts"
import { count } from "../units.ts"
import { place } from "../vault/place.ts"
import { isDurable } from "../vault/vault.ts"
import { commitRecords } from "./control.ts"
import { refuseLostKeys } from "./lost-keys.ts"
import type { OwnLog } from "./own-log.ts"
import { type AgentWorld, inForce } from "./world.ts"

const reserved: ReadonlySet<string> = new Set(["platform", "mixed"])
/** Records of one control commit: at about 6 KB each for post-quantum recipients it stays below the limit of a commit. */
const recordsMax = 500

/** Which key epoch an account is in: a new one each ISO week for what cannot be attributed, so that a week can be forgotten. */
export function epochOf(stableId: string, now: Date): string {
  return stableId === "mixed" ? isoWeek(now) : "1"
}

/** The account of a customer in the key epoch of `now`, if its recipient may be used. */
export function livingAccount(world: Pick<AgentWorld, "catalog">, stableId: string, now: Date): KnownAccount | undefined {
  const account = findAccount(world.catalog, stableId, epochOf(stableId, now))
  return account?.registered === true ? account : undefined
}

/**
 * Gives customers their accounts: an identity each, its key object at enough sites, and a durable commit that registers it. Only then
 * is the recipient used: nothing is ever encrypted to a key that a crash could lose. `now` says in which key epoch, and is one moment for
 * a whole run: a week that turns must not leave an item without its account. Returns how many were born.
 */
export async function bear(world: AgentWorld, log: OwnLog, stableIds: Iterable<string>, now: Date): Promise<number> {
  const unknown = [...new Set(stableIds)].filter((stableId) => findAccount(world.catalog, stableId, epochOf(stableId, now)) === undefined)
  const made = await Promise.all(unknown.map((stableId) => makeAccount(world, stableId, epochOf(stableId, now))))
  addAccounts(world.catalog, made)
  const waiting = unregisteredAccounts(world.catalog)
  for (let start = 0; start < waiting.length; start += recordsMax) await register(world, log, waiting.slice(start, start + recordsMax))
  return waiting.length
}

async function makeAccount(world: AgentWorld, stableId: string, epoch: string): Promise<KnownAccount> {
  const { organisation } = inForce(world).body
  const account = reserved.has(stableId) ? stableId : (accountIdOf(world.catalog, stableId) ?? randomId(world.random))
  const key = await makeAccountKey({
    account,
    epoch,
    organisation: organisation.recipients.map(({ recipient }) => recipient),
    random: world.random,
  })
  const keyName = keyObjectKey({ account, epoch, orgEpoch: organisation.epoch }, key.object)
  return { stableId, epoch, account, recipient: key.recipient, keyName, keyBytes: Buffer.from(key.object), registered: false }
}

async function register(world: AgentWorld, log: OwnLog, accounts: readonly KnownAccount[]): Promise<void> {
  const { signal } = world
  for (const { keyName, keyBytes } of accounts) {
    if (keyBytes === null) throw new Error(`catalog: the key object ${keyName} was forgotten before it was registered`)
    const { held, missed } = await place(world.everywhere, { key: keyName, bytes: keyBytes, sha256: sha256(keyBytes) }, { signal })
    if (!isDurable(held, world.everywhere)) throw notDurable(accounts.length, missed[0]?.message)
  }
  const records = await Promise.all(accounts.map((account) => recordOf(world, account)))
  const { durable, missed } = await commitRecords(world, log, records)
  if (!durable) {
    await refuseLostKeys(world, log)
    throw notDurable(accounts.length, missed[0]?.message)
  }
  markRegistered(world.catalog, accounts)
}

async function recordOf(world: AgentWorld, { account, epoch, stableId, recipient, keyName }: KnownAccount): Promise<KeyRecord> {
  const { organisation, catalog } = inForce(world).body
  const entry = encodeCanonical({ v: 1, platform: "", stableId, names: [stableId], recipient })
  const readers = [catalog.recipient, ...organisation.recipients.map((member) => member.recipient)]
  const sealed = await encryptSmall(Buffer.from(entry), readers)
  return { type: "key", account, epoch, orgEpoch: organisation.epoch, object: keyName, entry: Buffer.from(sealed).toString("base64") }
}

function notDurable(accounts: number, reason: string | undefined): JobError {
  return new JobError(
    "job/not-durable",
    `${count(accounts, "new account")}: too few sites took their key objects: ${reason ?? "no reason given"}`,
    {
      hint: "bring the sites back; nothing was encrypted to these keys yet",
    },
  )
}
