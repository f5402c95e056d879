import type { Database, DatabaseAccess } from "../database/database.ts"
import { openDatabase } from "../database/open.ts"
import type { DatabaseSettings } from "../database/settings.ts"
import { ConfigError } from "../errors.ts"
import type { OpenDatabase } from "../source/database.ts"
import type { Loaded } from "./config.ts"
import type { Io } from "./io.ts"
import { openSecret } from "./secret.ts"
import { nearest } from "./suggest.ts"

/** How a database of the configuration is opened: its password is read each time, so that one that was changed is the one used. */
export function databaseNamed(loaded: Loaded, name: string, io: Io): OpenDatabase {
  const { settings, access } = databaseAt(loaded, name, io)
  return async (options): Promise<Database> => await openDatabase(settings, await access(options))
}

/** Where a database of the configuration is, and what it takes to get in. ConfigError where there is none of that name. */
export interface DatabaseAt {
  readonly settings: DatabaseSettings
  access(options: { readonly scratch: string; readonly signal: AbortSignal }): Promise<DatabaseAccess>
}

export function databaseAt({ config, origins }: Loaded, name: string, io: Io): DatabaseAt {
  const found = config.databases[name]
  if (found === undefined) {
    const meant = nearest(name, Object.keys(config.databases))
    throw new ConfigError("config/not-found", `there is no database ${name} in the configuration`, {
      hint: meant === undefined ? "add it under `databases`" : `did you mean ${meant}?`,
    })
  }
  const { password: reference, ...settings } = found
  return {
    settings,
    access: async ({ scratch, signal }) => {
      const key = `databases.${name}.password`
      const origin = origins.get(key) ?? { default: true }
      const password = reference === undefined ? undefined : await openSecret(reference, { key, origin, env: io.env })
      return { password, environment: programEnvironment(io), scratch, signal }
    },
  }
}

/** What a program that is started may see of the environment: enough to find programs and a home, no secrets. */
export function programEnvironment({ env }: Io): Record<string, string> {
  const names = ["PATH", "HOME", "USER", "LOGNAME", "TMPDIR", "TZ"]
  return Object.fromEntries([...names.flatMap((name) => (env[name] === undefined ? [] : [[name, env[name]]])), ["LANG", "C.UTF-8"]])
}
