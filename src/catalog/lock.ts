import { DatabaseSync } from "node:sqlite"
import { JobError, reasonOf } from "../errors.ts"

/**
 * At most one process at a time works on a state directory. The lock is an exclusive transaction on a file of its own: the kernel frees it
 * when the process ends, however it ends, so no stale lock can stop backups.
 */
export function lockState(path: string): Disposable {
  const database = new DatabaseSync(path)
  try {
    database.exec(
      "PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; PRAGMA locking_mode = EXCLUSIVE; PRAGMA busy_timeout = 0; BEGIN EXCLUSIVE",
    )
  } catch (error) {
    database.close()
    if (!/locked|busy/i.test(reasonOf(error))) throw error
    throw new JobError("job/busy", `${path}: another process works with this state directory`, {
      cause: error,
      hint: "wait for it to end, or look for it with `holdline runs list`",
    })
  }
  return { [Symbol.dispose]: () => database.close() }
}
