import { type SiteError, VaultError } from "../errors.ts"

/** No site at all could be read; every reason is kept. */
export function unreachable(errors: readonly SiteError[]): VaultError {
  const reasons = errors.map(({ message }) => message).join("; ")
  const cause = new AggregateError(errors, `${String(errors.length)} sites failed`)
  return new VaultError("vault/unreachable", `no site can be read: ${reasons}`, { cause, hint: "bring a site back, then try again" })
}
