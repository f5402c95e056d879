import { accessSync, constants } from "node:fs"
import { delimiter, join } from "node:path"

/**
 * Null where the program `tool` can be run, otherwise the reason to skip a test that needs it. Throws instead of letting the test
 * be skipped where HOLDLINE_CI_REQUIRES, a list such as "age,zstd", says that this machine must have it.
 *
 *   test("age opens a segment", (context) => {
 *     const lacking = requireTool("age")
 *     if (lacking !== null) context.skip(lacking)
 */
export function requireTool(tool: string, environment: NodeJS.ProcessEnv = process.env): string | null {
  if (foundOnPath(tool, environment.PATH ?? "")) return null
  const required = (environment.HOLDLINE_CI_REQUIRES ?? "").split(",")
  if (required.includes(tool)) throw new Error(`${tool}: not found, and HOLDLINE_CI_REQUIRES says that this machine has it`)
  return `${tool} is not installed`
}

function foundOnPath(tool: string, path: string): boolean {
  return path.split(delimiter).some((folder) => folder !== "" && isExecutable(join(folder, tool)))
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK)
    return true
  } catch {
    return false
  }
}
