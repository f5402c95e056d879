import { open } from "node:fs/promises"
import { ConfigError, FormatError, reasonOf } from "../errors.ts"
import { isMissing } from "../files.ts"
import { keyFileBytesMax } from "../limits.ts"

/** Reads a file that a person handed over, such as a request or a signature; `what` is what messages call it. */
export async function readSmallFile(path: string, what: string): Promise<Uint8Array> {
  try {
    await using file = await open(path, "r")
    const { size } = await file.stat()
    if (size <= keyFileBytesMax) return await file.readFile()
  } catch (cause) {
    const why = isMissing(cause) ? "no such file" : `it cannot be read: ${reasonOf(cause)}`
    throw new ConfigError("config/not-found", `${what} ${path}: ${why}`, { cause })
  }
  throw new FormatError("format/too-large", `${what} ${path}: more than ${String(keyFileBytesMax)} bytes`)
}
