import { z } from "zod"
import { FormatError } from "../errors.ts"
import { smallObjectBytesMax } from "../limits.ts"
import { decodeUtf8 } from "./canonical.ts"
import { parseWith } from "./lines.ts"
import { parseKeyObjectKey } from "./names.ts"

/** README §8. What an operator hands to an agent: everything the root signed so far, and the catalog's key objects. Holds no secret. */
export interface TrustBundle {
  readonly repository: Uint8Array
  /** Trust lists, oldest first. */
  readonly lists: readonly Uint8Array[]
  /** Key objects of the reserved account `catalog`. */
  readonly keys: readonly { readonly name: string; readonly bytes: Uint8Array }[]
}

export const bundleBytesMax = 64 * smallObjectBytesMax

const bundleSchema = z.strictObject({
  v: z.literal(1),
  repository: z.base64(),
  lists: z.array(z.base64()).min(1),
  keys: z.array(z.strictObject({ name: z.string().refine((name) => parseKeyObjectKey(name)?.account === "catalog"), bytes: z.base64() })),
})

/** A bundle is a local file, not an object of a repository: JSON that a person can look at. */
export function encodeBundle(bundle: TrustBundle): string {
  const value: z.infer<typeof bundleSchema> = {
    v: 1,
    repository: Buffer.from(bundle.repository).toString("base64"),
    lists: bundle.lists.map((list) => Buffer.from(list).toString("base64")),
    keys: bundle.keys.map(({ name, bytes }) => ({ name, bytes: Buffer.from(bytes).toString("base64") })),
  }
  return `${JSON.stringify(value, null, 2)}\n`
}

export function decodeBundle(bytes: Uint8Array, what: string): TrustBundle {
  if (bytes.length > bundleBytesMax) throw new FormatError("format/too-large", `${what}: ${String(bytes.length)} bytes`)
  let value: unknown
  try {
    value = JSON.parse(decodeUtf8(bytes, what))
  } catch (cause) {
    throw new FormatError("format/malformed", `${what}: not a trust bundle`, {
      cause,
      hint: "use the trust.json that `holdline init keys` wrote",
    })
  }
  const parsed = parseWith(bundleSchema, value, what)
  return {
    repository: Buffer.from(parsed.repository, "base64"),
    lists: parsed.lists.map((list) => Buffer.from(list, "base64")),
    keys: parsed.keys.map(({ name, bytes }) => ({ name, bytes: Buffer.from(bytes, "base64") })),
  }
}
