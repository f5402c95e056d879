import { hash32 } from "../digest.ts"
import { BackupError, KeyError } from "../errors.ts"
import { openKeyObject } from "../key/account.ts"
import { type PreparedIdentity, prepareIdentity } from "../key/header.ts"
import type { Identity } from "../key/recipient.ts"
import { fetchNamed } from "../vault/named.ts"
import type { History } from "./history.ts"
import { failoverTeller } from "./logs.ts"
import type { World } from "./world.ts"

/** The identities of accounts, opened one by one with an organisation's identity when they are needed, and kept in memory only. */
export class Keyring {
  readonly #world: World
  readonly #history: History
  readonly #organisation: readonly Identity[]
  readonly #opened = new Map<string, Promise<readonly Identity[]>>()

  constructor(world: World, history: History, organisation: readonly Identity[]) {
    if (organisation.length === 0) throw noIdentity()
    this.#world = world
    this.#history = history
    this.#organisation = organisation
    // Whoever opens one may read every customer of what it is for.
    const subject = organisation
      .map(({ recipient }) => hash32(recipient).slice(0, 12))
      .join(" ")
      .slice(0, 200)
    world.tell({ type: "deed", deed: { what: "key-use", subject, outcome: "ok", details: {} } })
  }

  /** The organisation's identities as they were given. */
  get given(): readonly Identity[] {
    return this.#organisation
  }

  /** What opens an inventory. */
  organisation(): PreparedIdentity {
    return oneOf(this.#organisation)
  }

  /** Every identity of an account's key epoch: there are several where an agent once lost its memory. */
  async identities(account: string, epoch: string): Promise<readonly Identity[]> {
    const id = `${account} ${epoch}`
    const known = this.#opened.get(id) ?? this.#open(account, epoch)
    this.#opened.set(id, known)
    return await known
  }

  async prepared(account: string, epoch: string): Promise<PreparedIdentity> {
    return oneOf(await this.identities(account, epoch))
  }

  async #open(account: string, epoch: string): Promise<readonly Identity[]> {
    const records = this.#history.keys.get(`${account} ${epoch}`) ?? []
    const identities: Identity[] = []
    let failure: unknown
    for (const { object } of records) {
      try {
        const { signal } = this.#world
        const { bytes } = await fetchNamed(this.#world.vault, object, { signal, onFailover: failoverTeller(this.#world) })
        identities.push((await openKeyObject(bytes, this.#organisation, { account, epoch })).identity)
      } catch (error) {
        if (!(error instanceof BackupError)) throw error
        failure = error
      }
    }
    if (identities.length > 0) return identities
    if (failure !== undefined) throw failure
    throw new KeyError("key/missing", `account ${account}: no key object of epoch ${epoch} is registered at these sites`)
  }
}

/** Without an organisation's identity nothing can be opened; an agent has none, and must not. */
function noIdentity(): KeyError {
  return new KeyError("key/missing", "no identity was given: what is kept can be opened only with one of the organisation's", {
    hint: "give --identity FILE, with the operations or the escrow identity, on a machine that may hold it",
  })
}

function oneOf(identities: readonly Identity[]): PreparedIdentity {
  const prepared = identities.map((identity) => prepareIdentity(identity))
  const [first] = prepared
  if (first === undefined) throw noIdentity()
  return { ...first, open: (header) => openWithAny(prepared, header) }
}

function openWithAny(identities: readonly PreparedIdentity[], header: Uint8Array): Uint8Array {
  let wrong: unknown
  for (const identity of identities) {
    try {
      return identity.open(header)
    } catch (error) {
      if (!(error instanceof KeyError) || error.code !== "key/wrong") throw error
      wrong = error
    }
  }
  throw wrong
}
