import { hash } from "node:crypto"
import { z } from "zod"

/** Lower-case hex SHA-256. */
export const digestSchema = z
  .string()
  .regex(/^[0-9a-f]{64}$/, "expected 64 lower-case hex characters")
  .brand<"Digest">()
export type Digest = z.infer<typeof digestSchema>

export function sha256(bytes: Uint8Array | string): Digest {
  return digestSchema.parse(hash("sha256", bytes, "hex"))
}

/** The first 32 hex characters of a SHA-256: how names of immutable objects carry their hash. */
export function hash32(bytes: Uint8Array | string): string {
  return sha256(bytes).slice(0, 32)
}
