import { open } from "node:fs/promises"
import { dirname } from "node:path"
import { KeyError, reasonOf } from "../errors.ts"
import { isMissing, syncDirectory, writeDurably } from "../files.ts"
import { keyFileBytesMax } from "../limits.ts"

/**
 * The text of a file with a secret in it. Refused where others than its owner may read or write it. A symbolic link is followed,
 * since secrets are often mounted as links, and what it leads to is judged.
 */
export async function readPrivateFile(path: string, what: string): Promise<string> {
  await using file = await openExisting(path, what)
  const status = await file.stat()
  if (status.isDirectory()) throw new KeyError("key/malformed", `${what} ${path}: it is a directory`)
  const { mode } = status
  if (process.platform !== "win32" && (mode & forbiddenBits(path)) !== 0) {
    const octal = (mode & 0o777).toString(8).padStart(4, "0")
    throw new KeyError("key/untrusted", `${what} ${path}: others than its owner may use it (mode ${octal})`, { hint: `chmod 600 ${path}` })
  }
  // One byte more than allowed shows that there is more; a pipe does not say its size before.
  const bytes = Buffer.alloc(keyFileBytesMax + 1)
  let length = 0
  for (let read = -1; read !== 0 && length < bytes.length; length += read) read = (await file.read(bytes, length)).bytesRead
  if (length > keyFileBytesMax) throw new KeyError("key/malformed", `${what} ${path}: more than ${String(keyFileBytesMax)} bytes`)
  const text = bytes.toString("utf8", 0, length)
  bytes.fill(0)
  return text
}

/** A new file that only its owner may read; fails where the path exists. */
export async function writePrivateFile(path: string, text: string): Promise<void> {
  await writeDurably(path, Buffer.from(text), 0o600)
  await syncDirectory(dirname(path))
}

// systemd lets the service's user in by an access control list, whose mask shows as the group's read bit.
function forbiddenBits(path: string): number {
  return path.startsWith("/run/credentials/") ? 0o037 : 0o077
}

async function openExisting(path: string, what: string) {
  try {
    return await open(path, "r")
  } catch (cause) {
    if (isMissing(cause)) throw new KeyError("key/missing", `${what} ${path}: no such file`, { cause })
    throw new KeyError("key/missing", `${what} ${path}: it cannot be read: ${reasonOf(cause)}`, { cause })
  }
}
