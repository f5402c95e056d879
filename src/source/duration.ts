import { z } from "zod"
import { parseDuration } from "../units.ts"

/** A duration such as "5m", as milliseconds. */
export const durationSchema = z.string().transform((text, context) => {
  const ms = parseDuration(text)
  if (ms !== undefined) return ms
  context.addIssue({ code: "custom", message: 'expected a duration such as "5m", "6h" or "35d"' })
  return z.NEVER
})
