import { z } from "zod"
import { durationSchema } from "./duration.ts"
import { profileOverrides } from "./profile.ts"

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

/** The telephony platform whose profile says what a job does not. */
const profile = z
  .string()
  .min(1)
  .describe("the telephony platform: `fusionpbx`, `freepbx`, `asterisk`, `netsapiens`, `kamailio`, or the path of a profile of your own")

export const directorySettings = z.strictObject({
  kind: z.literal("directory"),
  path: absolutePath.optional().describe("the directory; absolute. Needed where no `profile` knows it"),
  template: z
    .string()
    .optional()
    .describe(
      'archive mode: where account and event day stand in a path, such as "{account}/archive/{yyyy}/{Mon}/{dd}/{name}"; without {account} everything is `account`\'s',
    ),
  timezone: z.string().optional().describe("archive mode: the time zone of the dates in paths, such as Europe/Berlin; default UTC"),
  settle: durationSchema.optional().describe("archive mode: how long a file must be unchanged before it counts as finished; default 5m"),
  account: account
    .optional()
    .describe("the account everything belongs to: in state mode, and in archive mode where the template has no {account}"),
  exclude: patterns.optional(),
  profile: profile.optional().describe("a telephony platform whose profile knows this directory; what is written here wins over it"),
  files: z.string().min(1).optional().describe("which of the profile's `files` entries, such as `recordings`"),
  overrides: profileOverrides.optional(),
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

const platform = {
  profile,
  overrides: profileOverrides.optional(),
}
const database = {
  database: z
    .string()
    .regex(/^[a-z0-9][a-z0-9-]{0,62}$/, "expected the name of a database")
    .describe("the name of a database in the configuration"),
  like: z
    .string()
    .min(1)
    .max(128)
    .optional()
    .describe("which of the profile's databases it is; default: the one of the same name, or the only one"),
  ...platform,
}

export const databaseSourceSettings = z.strictObject({
  kind: z.literal("database"),
  ...database,
  capture: z
    .array(z.enum(["accounts", "whole"]))
    .nonempty()
    .refine((ways) => new Set(ways).size === ways.length, "expected each way once")
    .optional()
    .describe(
      "`accounts`: each customer's rows by themselves, which can be restored and forgotten one by one; `whole`: the server's own dump, for the fast way back, kept under `mixed`. Default `accounts`",
    ),
  readers: z.int().min(1).max(64).optional().describe("how many tables are read at once, each on a connection of its own; default 8"),
})

export const cdrsSettings = z.strictObject({
  kind: z.literal("cdrs"),
  ...database,
  timezone: z.string().optional().describe("the time zone in which days begin, such as Europe/Berlin; default UTC"),
})

export const csvSettings = z.strictObject({
  kind: z.literal("csv"),
  ...platform,
  files: z.string().min(1).describe("which of the profile's `csv` entries"),
  account: account.optional().describe("the one customer of this PBX, where the files name none; default `mixed`"),
  path: absolutePath.optional().describe("the directory of the files; default: the profile's"),
  timezone: z.string().optional().describe("the time zone of the times in the files and of the days, such as Europe/Berlin; default UTC"),
})

export const sourceSettings = z.discriminatedUnion("kind", [
  directorySettings,
  sqliteSettings,
  commandSettings,
  databaseSourceSettings,
  cdrsSettings,
  csvSettings,
])

/** As a job file says it: a profile may know the rest. */
export type WrittenSource = z.infer<typeof sourceSettings>
export type WrittenDirectory = z.infer<typeof directorySettings>
export type DatabaseJobSettings = z.infer<typeof databaseSourceSettings>
export type CdrsSettings = z.infer<typeof cdrsSettings>
export type CsvSettings = z.infer<typeof csvSettings>

/** With what its profile says. */
export type DirectorySettings = WrittenDirectory & { readonly path: string }
export type SqliteSettings = z.infer<typeof sqliteSettings>
export type CommandSettings = z.infer<typeof commandSettings>
/** Sources that need nothing but this host. */
export type SourceSettings = DirectorySettings | SqliteSettings | CommandSettings
/** Of a job: also those that take a database or a profile. */
export type JobSourceSettings = SourceSettings | DatabaseJobSettings | CdrsSettings | CsvSettings
