import { readFileSync } from "node:fs"
import { z } from "zod"

/** The version of this package, from the nearest package.json above: one folder further up once compiled to dist/src/. */
export function version(): string {
  const named = z.object({ name: z.literal("holdline"), version: z.string() })
  for (const above of ["../../package.json", "../../../package.json"]) {
    const text = readIfThere(new URL(above, import.meta.url))
    if (text !== null) return named.parse(JSON.parse(text)).version
  }
  throw new Error("package.json: not found above the command line")
}

function readIfThere(url: URL): string | null {
  try {
    return readFileSync(url, "utf8")
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return null
    throw error
  }
}
