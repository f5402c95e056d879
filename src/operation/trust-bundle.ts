import { open } from "node:fs/promises"
import { z } from "zod"
import { hash32 } from "../digest.ts"
import { ConfigError, FormatError, KeyError, reasonOf } from "../errors.ts"
import { isMissing } from "../files.ts"
import { bundleBytesMax, decodeBundle, type TrustBundle } from "../format/bundle.ts"
import { publicKey } from "../format/fields.ts"
import { parseWith } from "../format/lines.ts"
import { parseKeyObjectKey } from "../format/names.ts"
import { decodeSigned } from "../format/signed.ts"
import { decodeRepository, decodeTrust, type Repository, type SeenTrust, type TrustList, verifyTrustChain } from "../format/trust.ts"
import { containsIdentity } from "../key/identity-file.ts"
import { smallObjectBytesMax } from "../limits.ts"
import { fingerprintOf } from "../signature.ts"

/** What the root signed, verified against its fingerprint. */
export interface VerifiedTrust {
  readonly repository: Repository
  readonly repositoryBytes: Uint8Array
  /** Oldest first, an unbroken chain. */
  readonly lists: readonly TrustList[]
  /** The one in force. */
  readonly newest: TrustList
  readonly bundle: TrustBundle
}

/** Reads a trust file, from which identities are kept away: KeyError key/misplaced where one stands in it. */
export async function readTrustFile(path: string): Promise<TrustBundle> {
  const bytes = await readBounded(path)
  if (containsIdentity(bytes)) {
    throw new KeyError("key/misplaced", `trust file ${path}: an identity stands in it, the secret half of a key`, {
      hint: "use the trust.json that `holdline init keys` wrote, and treat the identity as exposed if anybody could read it here",
    })
  }
  return decodeBundle(bytes, `trust file ${path}`)
}

/** Checks every signature, the chain and the names of key objects; KeyError key/untrusted where the root is another. */
export function verifyBundle(bundle: TrustBundle, root: string, seen?: SeenTrust): VerifiedTrust {
  const repository = decodeRepository(bundle.repository, root)
  const decoded = bundle.lists.map((bytes) => decodeTrust(bytes, root))
  const lists = verifyTrustChain(decoded, repository.id, seen)
  const newest = lists.at(-1)
  if (newest === undefined) throw new Error("a verified chain has a list")
  for (const { name, bytes } of bundle.keys) {
    if (parseKeyObjectKey(name)?.hash32 === hash32(bytes)) continue
    throw new FormatError("format/mismatch", `trust file: key object ${name}: its bytes are not what its name says`)
  }
  return { repository, repositoryBytes: bundle.repository, lists, newest, bundle }
}

async function readBounded(path: string): Promise<Uint8Array> {
  try {
    await using file = await open(path, "r")
    const { size } = await file.stat()
    if (size <= bundleBytesMax) return await file.readFile()
  } catch (cause) {
    const why = isMissing(cause) ? "no such file" : `it cannot be read: ${reasonOf(cause)}`
    const hint = "copy the trust.json here that the operator's machine has: `holdline init keys` wrote it"
    throw new ConfigError("config/not-found", `trust file ${path}: ${why}`, { cause, hint })
  }
  throw new FormatError("format/too-large", `trust file ${path}: more than ${String(bundleBytesMax)} bytes`)
}

const rootSchema = z.object({ root: publicKey })

/** The fingerprint of the root that a bundle says it has: to be compared with the escrow sheet, as anybody can write it. */
export function claimedRoot({ repository }: Pick<TrustBundle, "repository">): string {
  return fingerprintOf(parseWith(rootSchema, decodeSigned("repository", repository, smallObjectBytesMax).value, "repository").root)
}
