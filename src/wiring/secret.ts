import { constants } from "node:fs"
import { type FileHandle, open } from "node:fs/promises"
import { join } from "node:path"
import { ConfigError, errnoOf, reasonOf } from "../errors.ts"
import { secretBytesMax } from "../limits.ts"
import { Secret } from "../secret.ts"
import { type Environment, nonEmpty } from "./locate.ts"
import { type Origin, originText } from "./origin.ts"
import type { SecretReference } from "./values.ts"

export interface SecretPlace {
  /** The key of the configuration that holds the reference, such as "signingKey". */
  readonly key: string
  readonly origin: Origin
  readonly env: Environment
}

/** Follows a reference to a secret. Every failure names the reference and the line it stands on, never the content. */
export async function openSecret(reference: SecretReference, place: SecretPlace): Promise<Secret> {
  const text = await follow(reference, place)
  const value = text.replace(/\r?\n$/, "")
  if (value.trim() === "") throw refused(reference, place, "it is empty")
  return new Secret(value)
}

/** "file /etc/holdline/agent.key", "environment variable NAME", "credential NAME". */
function referenceText({ file, env, credential }: SecretReference): string {
  if (file !== undefined) return `file ${file}`
  return env === undefined ? `credential ${String(credential)}` : `environment variable ${env}`
}

async function follow(reference: SecretReference, place: SecretPlace): Promise<string> {
  if (reference.file !== undefined) return await readSecretFile(reference.file, reference, place, { ownerOnly: true })
  if (reference.env !== undefined) {
    const value = nonEmpty(place.env[reference.env])
    if (value === undefined) throw refused(reference, place, "it is not set")
    return value
  }
  const directory = nonEmpty(place.env.CREDENTIALS_DIRECTORY)
  if (directory === undefined || reference.credential === undefined) {
    throw refused(reference, place, "CREDENTIALS_DIRECTORY is not set", "credentials exist only in a systemd service with LoadCredential=")
  }
  // systemd guards the directory; the file's own mode shows an access list as group rights.
  return await readSecretFile(join(directory, reference.credential), reference, place, { ownerOnly: false })
}

async function readSecretFile(
  path: string,
  reference: SecretReference,
  place: SecretPlace,
  options: { ownerOnly: boolean },
): Promise<string> {
  try {
    // Non-blocking, so that a named pipe is refused instead of waited for.
    await using file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK)
    return await readGuarded(file, path, reference, place, options)
  } catch (error) {
    if (error instanceof ConfigError) throw error
    throw refused(reference, place, errnoOf(error) === "ENOENT" ? "there is no such file" : (errnoOf(error) ?? reasonOf(error)))
  }
}

async function readGuarded(
  file: FileHandle,
  path: string,
  reference: SecretReference,
  place: SecretPlace,
  { ownerOnly }: { ownerOnly: boolean },
): Promise<string> {
  const { mode, size, ...stats } = await file.stat().then((found) => ({ mode: found.mode, size: found.size, isFile: found.isFile() }))
  if (!stats.isFile) throw refused(reference, place, "it is no regular file")
  if (ownerOnly && (mode & 0o077) !== 0) {
    const octal = (mode & 0o777).toString(8).padStart(4, "0")
    throw refused(reference, place, `others than its owner may use it (mode ${octal})`, `chmod 600 ${path}`)
  }
  if (size > secretBytesMax) throw refused(reference, place, `it is larger than ${String(secretBytesMax / 1024)} KiB`)
  return await file.readFile("utf8")
}

function refused(reference: SecretReference, { key, origin }: SecretPlace, why: string, hint?: string): ConfigError {
  const message = `${originText(origin)}: ${key}: cannot read ${referenceText(reference)}: ${why}`
  return new ConfigError("config/secret", message, hint === undefined ? {} : { hint })
}
