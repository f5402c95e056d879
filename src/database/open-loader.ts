import type { DatabaseAccess } from "./database.ts"
import type { Loader } from "./loader.ts"
import type { DatabaseSettings } from "./settings.ts"

/** Opens a database for loading with the engine its settings name. Rejects as the engine's own open does. */
export async function openLoader(settings: DatabaseSettings, access: DatabaseAccess): Promise<Loader> {
  switch (settings.kind) {
    case "postgres":
      return (await import("./postgres/load.ts")).openPostgresLoader(settings, access)
    case "mariadb":
      return (await import("./mariadb/load.ts")).openMariadbLoader(settings, access)
  }
}
