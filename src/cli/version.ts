import { readFileSync } from "node:fs"
import { at } from "../wiring/plain.ts"

/** The version of this package, from the nearest package.json above: one folder further up once compiled to dist/src/. */
export function version(): string {
  for (const above of ["../../package.json", "../../../package.json"]) {
    const text = readIfThere(new URL(above, import.meta.url))
    if (text === null) continue
    const found: unknown = JSON.parse(text)
    const number = at(found, "version")
    if (at(found, "name") === "holdline" && typeof number === "string") return number
  }
  throw new Error("this package's package.json: not found above the command line")
}

function readIfThere(url: URL): string | null {
  try {
    return readFileSync(url, "utf8")
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return null
    throw error
  }
}
