import { ConfigError } from "../errors.ts"
import { roleFor } from "../format/approval.ts"
import { decodeUtf8 } from "../format/canonical.ts"
import { parsePublicKeyFile } from "../format/ssh-key.ts"
import type { Person } from "../format/trust.ts"
import { readSmallFile } from "./small-file.ts"

/** All that a person can be let approve. */
export const knownRoles: readonly string[] = [...new Set(Object.values(roleFor))]

/** A person with the key in a `.pub` file. */
export async function readPerson(name: string, path: string, roles: readonly string[]): Promise<Person> {
  // Names are printed beside keys and compared by people: nothing in one may look like something else.
  if (!/^[\p{L}\p{N}][\p{L}\p{N} .@_-]{0,99}$/u.test(name)) {
    throw new ConfigError("config/usage", `person ${JSON.stringify(name)}: expected a name of letters, digits, spaces and . @ _ -`)
  }
  const unknown = roles.find((role) => !knownRoles.includes(role))
  if (unknown !== undefined) throw new ConfigError("config/usage", `role ${unknown}: expected one of ${knownRoles.join(", ")}`)
  const what = `public key ${path}`
  return { name, ...parsePublicKeyFile(decodeUtf8(await readSmallFile(path, "public key"), what), what), roles: [...new Set(roles)].sort() }
}
