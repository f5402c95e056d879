import { ConfigError } from "../errors.ts"
import { sqliteBusyMs } from "../limits.ts"
import type { Environment } from "../program.ts"
import { commandSource } from "./command.ts"
import { directorySource } from "./directory.ts"
import type { SourceSettings } from "./settings.ts"
import type { Source, SourceMode } from "./source.ts"
import { sqliteSource } from "./sqlite.ts"

/** A source that needs nothing but this host. Throws a ConfigError where the settings do not fit the job's mode; touches nothing on disk yet. */
export function openSource(settings: SourceSettings, mode: SourceMode, environment: Environment): Source {
  switch (settings.kind) {
    case "directory":
      return directorySource(settings, mode, environment)
    case "sqlite":
      requireState(settings.kind, mode)
      return sqliteSource(settings, sqliteBusyMs)
    case "command":
      requireState(settings.kind, mode)
      return commandSource(settings, environment)
  }
}

// A dump is a whole: nothing in it says which account and day a part belongs to.
function requireState(kind: string, mode: SourceMode): void {
  if (mode === "state") return
  throw new ConfigError("config/invalid", `source ${kind}: works in state mode only`, { hint: 'set "mode: state"' })
}
