import type { Database, DatabaseAccess } from "./database.ts"
import type { DatabaseSettings } from "./settings.ts"

/** Opens a database with the engine its settings name; only that engine's client is loaded. Rejects as the engine's own open does. */
export async function openDatabase(settings: DatabaseSettings, access: DatabaseAccess): Promise<Database> {
  switch (settings.kind) {
    case "postgres":
      return (await import("./postgres/open.ts")).openPostgres(settings, access)
    case "mariadb":
      return (await import("./mariadb/open.ts")).openMariadb(settings, access)
  }
}
