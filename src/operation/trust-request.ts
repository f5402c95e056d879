import { z } from "zod"
import { FormatError, KeyError } from "../errors.ts"
import { decodeUtf8, encodeCanonical } from "../format/canonical.ts"
import { agentId, publicKey, time } from "../format/fields.ts"
import { parseWith } from "../format/lines.ts"
import type { Signer } from "../format/signed.ts"
import { keyFileBytesMax } from "../limits.ts"
import { verifySignature } from "../signature.ts"
import { readSmallFile } from "./small-file.ts"

/** What an agent asks the operator: to be believed under this name and key. The proof shows that whoever asks has the private half. */
export interface TrustRequest {
  readonly agent: string
  /** Base64 of the raw ed25519 public key. */
  readonly key: string
  readonly created: string
}

const requestSchema = z.strictObject({
  v: z.literal(1),
  agent: agentId,
  key: publicKey,
  created: time,
  proof: z.base64().length(88),
})

/** JSON that a person can look at; it holds no secret. */
export function encodeRequest(request: Omit<TrustRequest, "key">, signer: Signer): string {
  const asked = { agent: request.agent, created: request.created, key: signer.publicKey }
  const proof = Buffer.from(signer.sign(messageOf(asked))).toString("base64")
  return `${JSON.stringify({ v: 1, ...asked, proof } satisfies z.infer<typeof requestSchema>, null, 2)}\n`
}

/** KeyError key/untrusted where the proof does not fit: somebody changed the request, or has not the key. */
function decodeRequest(bytes: Uint8Array, what: string): TrustRequest {
  if (bytes.length > keyFileBytesMax) throw new FormatError("format/too-large", `${what}: ${String(bytes.length)} bytes`)
  let value: unknown
  try {
    value = JSON.parse(decodeUtf8(bytes, what))
  } catch (cause) {
    const hint = "use the .request.json that `holdline init agent` wrote"
    throw new FormatError("format/malformed", `${what}: not a request of an agent`, { cause, hint })
  }
  const { agent, key, created, proof } = parseWith(requestSchema, value, what)
  const asked = { agent, key, created }
  if (!verifySignature(key, messageOf(asked), Buffer.from(proof, "base64"))) {
    throw new KeyError("key/untrusted", `${what}: its proof does not fit: it was changed on its way, or its sender has not the key`, {
      hint: "run `holdline init agent` on that host again, and compare the key's fingerprint by telephone",
    })
  }
  return asked
}

/** Reads and verifies the request in a file. */
export async function readRequest(path: string): Promise<TrustRequest> {
  return decodeRequest(await readSmallFile(path, "request"), `request ${path}`)
}

// The domain keeps a proof from passing for any other signature of the same key.
function messageOf({ agent, key, created }: TrustRequest): Uint8Array {
  return Buffer.from(`holdline/v1/request\n${encodeCanonical({ v: 1, agent, key, created })}`)
}
