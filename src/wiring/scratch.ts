import { mkdtemp, readdir, rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { errnoOf, JobError, reasonOf } from "../errors.ts"

/** A private directory for plaintext that is needed for a moment; it is gone when it is disposed of. */
export interface Scratch extends AsyncDisposable {
  readonly path: string
}

/**
 * Makes one below the state directory, or where a reader may not write there, below the system's own. What processes left there that were
 * killed is removed. Rejects with a JobError where neither can be written.
 */
export async function openScratch(state: string): Promise<Scratch> {
  await removeAbandoned(state)
  const path = await firstOf([state, tmpdir()])
  return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true }) }
}

async function firstOf(parents: readonly string[]): Promise<string> {
  let failure: unknown
  for (const parent of parents) {
    try {
      return await mkdtemp(join(parent, `reading-${String(process.pid)}-`))
    } catch (error) {
      if (errnoOf(error) === undefined) throw error
      failure = error
    }
  }
  throw new JobError("job/target", `no directory for what is read: ${errnoOf(failure) ?? reasonOf(failure)}`, {
    cause: failure,
    hint: "let this user write the state directory, or name one with --state",
  })
}

async function removeAbandoned(state: string): Promise<void> {
  try {
    for (const name of await readdir(state)) {
      const [, pid] = /^reading-(\d+)-/.exec(name) ?? []
      if (pid !== undefined && !isRunning(Number(pid))) await rm(join(state, name), { recursive: true, force: true })
    }
  } catch (error) {
    if (errnoOf(error) === undefined) throw error
  }
}

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return errnoOf(error) !== "ESRCH"
  }
}
