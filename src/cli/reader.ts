import { resolve } from "node:path"
import type { Command } from "commander"
import { ConfigError, JobError } from "../errors.ts"
import { isDate } from "../format/names.ts"
import { parseIdentities, readIdentityFile } from "../key/identity-file.ts"
import type { Identity } from "../key/recipient.ts"
import { keyFileBytesMax } from "../limits.ts"
import { readHistory, type SnapshotChoice } from "../operation/history.ts"
import type { Selection } from "../operation/select.ts"
import type { World } from "../operation/world.ts"
import type { Bench } from "./bench.ts"
import { readStdin } from "./init-ask.ts"
import type { Reference } from "./reference.ts"

/** Options of every command that reads what is kept. */
export interface ReaderOptions {
  readonly identity: readonly string[]
  readonly from: readonly string[]
  readonly timeout?: string
}

/** Options that say which part is wanted. */
export interface SelectionOptions {
  readonly account: readonly string[]
  readonly path: readonly string[]
  readonly since?: string
  readonly until?: string
  readonly partial?: boolean
}

export function addReaderOptions(command: Command): Command {
  return command
    .option("--identity <file>", "an identity of the organisation; - reads standard input; may be repeated", collect, [])
    .option("--from <site>", "read from this site only; may be repeated", collect, [])
    .option("--timeout <duration>", "end after this long, such as 30m")
}

export function addSelectionOptions(command: Command): Command {
  return command
    .option(
      "--account <id>",
      "only this account: its id, the platform's own id, or its name, such as its domain; may be repeated",
      collect,
      [],
    )
    .option("--path <glob>", 'only paths that match, such as "**/*.wav"; may be repeated', collect, [])
    .option("--since <day>", "only from this day on, such as 2026-11-01 (the event day; in a state, the day of the last change)")
    .option("--until <day>", "only until the end of this day")
    .option("--partial", "of a state, the newest snapshot even if it is partial")
}

/** Collects a repeated option. */
export function collect(value: string, before: readonly string[]): readonly string[] {
  return [...before, value]
}

/** The identities that were given, from files or standard input; none where none was. */
export async function readIdentities(paths: readonly string[], bench: Bench): Promise<readonly Identity[]> {
  const lists = await Promise.all(
    paths.map(async (path) => {
      if (path !== "-") return await readIdentityFile(resolve(bench.cwd, path))
      return parseIdentities(await readStdin(bench, keyFileBytesMax), "standard input")
    }),
  )
  return lists.flat()
}

/** What of a dataset is wanted, from the command line. */
export function selectionOf({ account, path, since, until }: SelectionOptions): Selection {
  for (const [flag, day] of [
    ["--since", since],
    ["--until", until],
  ] as const) {
    if (day !== undefined && !isDate(day)) throw new ConfigError("config/usage", `${flag} ${day}: expected a day such as 2026-11-20`)
  }
  return {
    ...(account.length === 0 ? {} : { accounts: account }),
    ...(path.length === 0 ? {} : { paths: path }),
    ...(since === undefined ? {} : { from: since }),
    ...(until === undefined ? {} : { to: until }),
  }
}

/** Finds out of which dataset the snapshot is that was named by its id alone. */
export async function choiceOf(reference: Reference, world: World, options: { readonly allowPartial: boolean }): Promise<SnapshotChoice> {
  if ("dataset" in reference) return { ...reference, ...options }
  const { only } = reference
  const { snapshots } = await readHistory(world)
  const found = snapshots.find(({ commit }) => commit.sha256.startsWith(only) || commit.body.run.startsWith(only))
  if (found !== undefined) return { dataset: found.commit.body.dataset, only, ...options }
  throw new JobError("job/not-found", `no snapshot begins with ${only}`, { hint: "list them with `holdline snapshots list`" })
}
