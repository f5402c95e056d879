import { z } from "zod"

/**
 * Whose the rows of a database are. A table that is not named here, and a table said to be `shared` that gained a column which names an
 * account, fail closed: the error says the line to add.
 */
const identifier = z.string().min(1).max(128)
const tableName = z
  .string()
  .regex(/^[^.]+(\.[^.]+)?$/, 'expected a table such as "public.v_extensions", or "cdr" in the database\'s own schema')

const joinSchema = z.strictObject({
  column: identifier.describe("a column of the table before"),
  table: tableName.describe("the table that it leads to"),
  key: identifier.describe("the unique column there that it equals"),
})

const ownedTable = z.strictObject({
  account: identifier.describe("the column that holds the account: of this table, or of the last one in `via`"),
  via: z.array(joinSchema).nonempty().optional().describe("the joins that lead to the account's column"),
  null: z
    .enum(["platform", "mixed"])
    .optional()
    .describe("whose rows without an account are; default `mixed`, and the run is partial for them"),
})

const tableRule = z.union([
  z.literal("shared").describe("no customer data: kept under `platform`"),
  z.literal("mixed").describe("customer data that cannot be told apart: kept under `mixed`, in its short class"),
  z.strictObject({ ignore: z.string().min(1).max(200).describe("why the table is not captured") }).describe("not captured; why"),
  z
    .strictObject({ cdr: z.literal(true).describe("captured by a job of call detail records") })
    .describe("captured by a job of call detail records"),
  ownedTable,
])

export const tenancySchema = z.strictObject({
  accounts: z
    .strictObject({
      table: tableName.describe("the table with a row for each account"),
      id: identifier.describe("the column that never changes: the platform's own stable id"),
      name: identifier.optional().describe("the column of the name that paths and people use"),
      columns: z.array(identifier).optional().describe("names of columns that hold an account's id wherever they stand"),
    })
    .optional()
    .describe("where the accounts themselves stand; absent where all tables are one account's"),
  single: z
    .string()
    .min(1)
    .max(200)
    .optional()
    .describe(
      "the stable id of the database's only account, as of a PBX of one customer: what would be `mixed` is its own, tables that no line names too",
    ),
  tables: z.record(tableName, tableRule).prefault({}),
  /** Patterns of tables, such as "homer.hep_proto_*", with the rule for all they match; a table's own line comes first. */
  patterns: z
    .array(
      z.strictObject({ match: z.string().min(1).describe("a glob pattern of tables"), rule: tableRule.describe("whose their rows are") }),
    )
    .prefault([]),
})

export type Tenancy = z.infer<typeof tenancySchema>
export type TableRule = z.infer<typeof tableRule>
