import { mkdir } from "node:fs/promises"
import { dirname } from "node:path"
import { type Clock, timestamp } from "../clock.ts"
import { KeyError } from "../errors.ts"
import { isMissing, writeAtomically } from "../files.ts"
import { generateSigningKey, readSigningKey, type SigningKey, writeSigningKey } from "../key/signing.ts"
import { type Random, randomId } from "../random.ts"
import { findIdentities } from "./doctor-identities.ts"
import type { VerifiedTrust } from "./trust-bundle.ts"
import { encodeRequest } from "./trust-request.ts"

export interface AgentSetup {
  readonly agent: string
  /** Where the signing key is, or will be. */
  readonly keyPath: string
  readonly requestPath: string
  /** Verified against the root that this host pins. */
  readonly trust: VerifiedTrust
  /** Files and directories of this host in which no identity may stand. */
  readonly searched: readonly string[]
  readonly clock: Clock
  readonly random: Random
}

export interface AgentReady {
  readonly agent: string
  /** The agent key's, for a comparison by telephone. */
  readonly fingerprint: string
  readonly keyPath: string
  readonly requestPath: string
  /** False where the key was there before. */
  readonly isNewKey: boolean
  /** Whether the newest trust list names this key for this agent already. */
  readonly isTrusted: boolean
}

/**
 * Gives a backup host its signing key, the only secret it has, and writes the request that the operator signs. A key that is there
 * is kept: running it again only writes the request again. KeyError key/misplaced where an identity is found on this host.
 */
export async function initAgent(setup: AgentSetup): Promise<AgentReady> {
  const { agent, keyPath, requestPath, trust, clock, random } = setup
  await refuseMisplaced(setup.searched, trust.repository.root)
  const { key, isNewKey } = await signingKeyAt(keyPath, random)
  if (key.publicKey === trust.repository.root) {
    throw new KeyError("key/misplaced", `signing key ${keyPath}: this is the root's, which no backup host may have`, {
      hint: "move it back offline, and name another file for the agent's own key",
    })
  }
  const request = encodeRequest({ agent, created: timestamp(clock.now()) }, key)
  await mkdir(dirname(requestPath), { recursive: true })
  const temporary = `${requestPath}.${randomId(random)}`
  await writeAtomically(requestPath, Buffer.from(request), { temporary, mode: 0o644, replace: true })
  const isTrusted = trust.newest.body.agents.some((known) => known.id === agent && known.key === key.publicKey)
  return { agent, fingerprint: key.fingerprint, keyPath, requestPath, isNewKey, isTrusted }
}

async function refuseMisplaced(searched: readonly string[], root: string): Promise<void> {
  const { found } = await findIdentities(searched, { exclude: [], root })
  if (found.length === 0) return
  const files = found.map(({ path, kind }) => `${path} (${kind})`).join(", ")
  throw new KeyError("key/misplaced", `keys that no backup host may have are on this one: ${files}`, {
    hint: "move them to a restorer's machine, or offline: whoever takes this host over could read every backup, or make it believe anything",
  })
}

async function signingKeyAt(path: string, random: Random): Promise<{ readonly key: SigningKey; readonly isNewKey: boolean }> {
  try {
    return { key: await readSigningKey(path), isNewKey: false }
  } catch (error) {
    if (!(error instanceof KeyError && isMissing(error.cause))) throw error
  }
  const key = generateSigningKey(random)
  await mkdir(dirname(path), { recursive: true, mode: 0o700 })
  await writeSigningKey(path, key)
  return { key, isNewKey: true }
}
