import { z } from "zod"

/** What the examining thread says of a database. */
export const databaseExamination = z.strictObject({
  /** Exactly "ok", or a line for each damage found. */
  integrity: z.array(z.string()),
  tables: z.int().nonnegative(),
  /** Rows whose foreign key leads nowhere. */
  brokenReferences: z.int().nonnegative(),
})

export type DatabaseExamination = z.infer<typeof databaseExamination>
