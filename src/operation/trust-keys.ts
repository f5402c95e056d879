import { BackupError, FormatError } from "../errors.ts"
import { type KeyName, keyPrefix, parseKeyObjectKey } from "../format/names.ts"
import { openKeyObject } from "../key/account.ts"
import type { Identity } from "../key/recipient.ts"
import { decryptSmall } from "../key/small.ts"
import { fetchNamed } from "../vault/named.ts"
import type { Vault } from "../vault/vault.ts"

/** The epoch of the reserved account `catalog` whose key object holds no identity but the key of tombstones (README §10). */
export const tombstoneEpoch = "tombstone"

const tombstonePattern = /^# account: catalog\n# epoch: tombstone\n[0-9a-f]{64}\n$/

/** What is sealed for it; `hex` is 32 bytes. */
export function tombstoneText(hex: string): string {
  return `# account: catalog\n# epoch: ${tombstoneEpoch}\n${hex}\n`
}

/** Opens a key object and checks that it is what its name says; rejects with why it is not. */
export async function openNamedKey(name: string, object: Uint8Array, identities: readonly Identity[]): Promise<KeyName> {
  const named = parseKeyObjectKey(name)
  if (named === null) throw new FormatError("format/malformed", `${name}: not the name of a key object`)
  const { account, epoch } = named
  if (account !== "catalog" || epoch !== tombstoneEpoch) {
    await openKeyObject(object, identities, { account, epoch })
    return named
  }
  const plaintext = await decryptSmall(object, identities)
  const isRight = tombstonePattern.test(Buffer.from(plaintext).toString("latin1"))
  plaintext.fill(0)
  if (!isRight) throw new FormatError("format/malformed", `${name}: it holds no key of tombstones`)
  return named
}

export interface KeysChecked {
  /** Key objects that opened and are what their names say. */
  readonly opened: number
  readonly accounts: number
  readonly failed: readonly { readonly name: string; readonly error: BackupError }[]
  /** Sites that could not be listed. */
  readonly missed: readonly BackupError[]
}

/** Opens every key object at any of the sites with the identities given. Nothing of what is in them leaves this function. */
export async function checkKeyObjects(vault: Vault, identities: readonly Identity[], signal: AbortSignal): Promise<KeysChecked> {
  const { names, missed } = await keyObjectNames(vault, signal)
  const accounts = new Set<string>()
  const failed: { name: string; error: BackupError }[] = []
  for (const name of names) {
    try {
      const { bytes } = await fetchNamed(vault, name, { signal })
      accounts.add((await openNamedKey(name, bytes, identities)).account)
    } catch (error) {
      if (!(error instanceof BackupError)) throw error
      failed.push({ name, error })
    }
  }
  return { opened: names.length - failed.length, accounts: accounts.size, failed, missed }
}

async function keyObjectNames(vault: Vault, signal: AbortSignal): Promise<{ names: string[]; missed: BackupError[] }> {
  const names = new Set<string>()
  const missed: BackupError[] = []
  for (const { opened } of vault.sites) {
    try {
      for await (const { key } of opened.site.list(keyPrefix, { signal })) names.add(key)
    } catch (error) {
      signal.throwIfAborted()
      if (!(error instanceof BackupError)) throw error
      missed.push(error)
    }
  }
  return { names: [...names].sort(), missed }
}
