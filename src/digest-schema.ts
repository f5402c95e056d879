import { z } from "zod"
import { digestPattern } from "./digest.ts"

/** A digest in what was read. Apart from its making, which threads do that need no schemas. */
export const digestSchema = z.string().regex(digestPattern, "expected 64 lower-case hex characters").brand<"Digest">()
