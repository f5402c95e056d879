import type { PostgresServer } from "../database/servers.ts"
import { Dice } from "../world/dice.ts"
import { type ProviderAccount, providerAccounts } from "./accounts.ts"
import { fusionpbxSchema, fusionpbxTables, type ProviderTable } from "./fusionpbx-tables.ts"
import { feed, inPieces } from "./load.ts"
import { momentText, Values } from "./values.ts"

export interface FusionpbxOptions {
  readonly accounts: number
  readonly seed: string
  /** 1: about sixty rows of settings for each user, as real providers have; smaller for smaller databases. */
  readonly scale: number
  /** When the newest rows were written. */
  readonly nowMs: number
}

/** Fills an empty database with an invented FusionPBX, without call detail records; gives its accounts. */
export async function loadFusionpbx(
  server: PostgresServer,
  database: string,
  options: FusionpbxOptions,
): Promise<readonly ProviderAccount[]> {
  const accounts = fusionpbxAccounts(options)
  await server.sql(fusionpbxSchema(), database)
  for (const table of fusionpbxTables) await copyIn(server, database, table.name, fusionpbxRows(table, accounts, options))
  return accounts
}

/** The accounts that a database of these options has. */
export function fusionpbxAccounts({ accounts, seed }: Pick<FusionpbxOptions, "accounts" | "seed">): readonly ProviderAccount[] {
  return providerAccounts(accounts, new Dice(`${seed} accounts`))
}

/** The rows of one table as COPY reads them; those of an account are spread over the table, as years of use spread them. */
export function* fusionpbxRows(table: ProviderTable, accounts: readonly ProviderAccount[], options: FusionpbxOptions): Generator<string> {
  const dice = new Dice(`${options.seed} ${table.name}`)
  if (table.name === "v_domains") {
    for (const account of accounts) yield domainRow(account, options.nowMs)
    return
  }
  const line = new Values(dice, options.nowMs).lineOf(table)
  const { perAccount, perUser, global } = table.rows
  let index = 0
  for (let row = 0; row < global; row++) yield line({ account: null, index: index++ })
  for (let year = 0; year < years; year++) {
    for (const account of accounts) {
      const wanted = ((perAccount + perUser * account.users) * options.scale) / years
      const rows = Math.floor(wanted) + (dice.chance(wanted % 1) ? 1 : 0)
      for (let row = 0; row < rows; row++) yield line({ account, index: index++ })
    }
  }
}

const years = 4

function domainRow({ uuid, domain }: ProviderAccount, nowMs: number): string {
  return `${uuid}\t\\N\t${domain}\tt\t\\N\t${momentText(nowMs)}\t\\N\t\\N\t\\N\n`
}

/** Rows into one table, as COPY reads them. */
export async function copyIn(server: PostgresServer, database: string, table: string, lines: Iterable<string>): Promise<void> {
  const { host, port, user } = server.settings(database)
  const command = ["psql", "-XAtq", "-v", "ON_ERROR_STOP=1", "-h", host, "-p", String(port), "-U", user] as const
  await feed([...command, "-c", `COPY ${table} FROM STDIN`, database], inPieces(lines), { ...server.environment, PGCLIENTENCODING: "UTF8" })
}
