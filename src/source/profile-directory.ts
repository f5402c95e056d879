import { ConfigError } from "../errors.ts"
import type { ProfileFiles } from "./profile.ts"
import type { DirectorySettings, WrittenDirectory } from "./settings.ts"
import type { SourceMode } from "./source.ts"

/**
 * A directory of a profile as a job captures it: what the job says wins, and what it does not say is the profile's. A template of the
 * job's own with {account} needs no account, and what only the other mode knows is left out. Throws a ConfigError where the profile's
 * directory is for the other mode, unless the job says what its own mode needs.
 */
export function directoryOf(written: WrittenDirectory, mode: SourceMode, entry: ProfileFiles): DirectorySettings {
  const { overrides: _, ...own } = written
  if (entry.mode !== mode && (mode === "archive" ? own.template : own.account) === undefined) {
    throw new ConfigError(
      "config/invalid",
      entry.mode === "archive"
        ? "the profile's directory only gains files: expected \"archive\", or an account of the job's own"
        : "the profile's directory changes as a whole: expected \"state\", or a template of the job's own",
    )
  }
  const template = own.template ?? entry.template
  const account = own.account ?? (own.template?.includes("{account}") === true ? undefined : entry.account)
  const settle = own.settle ?? entry.settle
  const exclude = own.exclude ?? entry.exclude
  return {
    ...own,
    path: own.path ?? entry.path,
    ...(mode === "archive" && template !== undefined && { template }),
    ...(mode === "archive" && settle !== undefined && { settle }),
    ...(account !== undefined && { account }),
    ...(exclude !== undefined && { exclude }),
  }
}
