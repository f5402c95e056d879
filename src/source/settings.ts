import { z } from "zod"
import { parseDuration } from "../units.ts"

/** A duration such as "5m", as milliseconds. */
export const durationSchema = z.string().transform((text, context) => {
  const ms = parseDuration(text)
  if (ms !== undefined) return ms
  context.addIssue({ code: "custom", message: 'expected a duration such as "5m", "6h" or "35d"' })
  return z.NEVER
})

const absolutePath = z.string().regex(/^\//, "expected an absolute path").describe("absolute path on this host")
const fileName = z
  .string()
  .regex(/^[A-Za-z0-9._-]{1,100}$/, "expected a file name of letters, digits, dots, dashes")
  .describe("name of the captured file in the snapshot")
const account = z
  .string()
  .min(1)
  .max(200)
  .describe(
    'the customer all of this belongs to, by the platform\'s own stable id; "platform" where it holds no customer data, "mixed" where it cannot be attributed',
  )
const patterns = z.array(z.string().min(1)).describe("glob patterns of paths below `path`")

export const directorySettings = z.strictObject({
  kind: z.literal("directory"),
  path: absolutePath,
  template: z
    .string()
    .optional()
    .describe('archive mode: where account and event day stand in a path, such as "{account}/archive/{yyyy}/{Mon}/{dd}/{name}"'),
  timezone: z.string().optional().describe("archive mode: the time zone of the dates in paths, such as Europe/Berlin; default UTC"),
  settle: durationSchema.optional().describe("archive mode: how long a file must be unchanged before it counts as finished; default 5m"),
  account: account.optional().describe("state mode: the account everything belongs to"),
  exclude: patterns.optional(),
})

export const sqliteSettings = z.strictObject({
  kind: z.literal("sqlite"),
  path: absolutePath.describe("the database file; copied with SQLite's online backup, then checked"),
  account,
  name: fileName.optional(),
})

export const commandSettings = z.strictObject({
  kind: z.literal("command"),
  command: z.tuple([z.string().min(1)], z.string()).describe("program and arguments; run without a shell; must exit 0"),
  account,
  name: fileName,
  timeout: durationSchema.optional().describe("the command is ended after this; default 6h"),
})

export const sourceSettings = z.discriminatedUnion("kind", [directorySettings, sqliteSettings, commandSettings])

export type DirectorySettings = z.infer<typeof directorySettings>
export type SqliteSettings = z.infer<typeof sqliteSettings>
export type CommandSettings = z.infer<typeof commandSettings>
export type SourceSettings = z.infer<typeof sourceSettings>
