import { z } from "zod"
import { namesPerStatementMax } from "../../limits.ts"
import type { SequenceValue } from "../database.ts"
import { ownRelations } from "./catalog.ts"
import type { PostgresConnection } from "./connect.ts"
import { qualified } from "./quote.ts"

/**
 * Every sequence, those of identity columns too. Sequences keep no versions: a value is of the moment it is read, at or after the
 * snapshot's, so that none given out before is given out again. They are read themselves: the view pg_sequences shows a value that was
 * set and not given out as none, and one the role may not see likewise.
 */
export async function readSequences(connection: PostgresConnection): Promise<readonly SequenceValue[]> {
  const sequences = await connection.rows(nameRow, listQuery)
  const values: SequenceValue[] = []
  for (let at = 0; at < sequences.length; at += namesPerStatementMax) {
    const some = sequences.slice(at, at + namesPerStatementMax)
    const selects = some.map(
      ({ schema, name }, index) => `SELECT ${index} AS at, last_value::text AS value, is_called AS called FROM ${qualified(schema, name)}`,
    )
    for (const { at: index, value, called } of await connection.rows(valueRow, selects.join(" UNION ALL "))) {
      const sequence = some[index]
      if (sequence !== undefined) values.push({ name: `${sequence.schema}.${sequence.name}`, value: BigInt(value), called })
    }
  }
  return values
}

const nameRow = z.strictObject({ schema: z.string(), name: z.string() })
const valueRow = z.strictObject({ at: z.int(), value: z.string().regex(/^-?\d+$/), called: z.boolean() })

const listQuery = `SELECT n.nspname::text AS schema, c.relname::text AS name ${ownRelations()} AND c.relkind = 'S'
  ORDER BY n.nspname::text COLLATE "C", c.relname::text COLLATE "C"`
