import { chmod, mkdir } from "node:fs/promises"
import { errnoOf, JobError, reasonOf } from "../errors.ts"

/** Makes the state directory, or makes it this user's own; a JobError where it cannot be used. */
export async function prepareState(path: string): Promise<void> {
  try {
    await mkdir(path, { recursive: true, mode: 0o700 })
    await chmod(path, 0o700)
  } catch (cause) {
    throw new JobError("job/target", `state directory ${path}: cannot be used: ${errnoOf(cause) ?? reasonOf(cause)}`, {
      cause,
      hint: 'check "state" in the configuration, and who owns that directory',
    })
  }
}
