/**
 * Where the items of a database or of call detail records stand below their dataset's root: `accounts/<account>/<rest>`. Stable ids may
 * hold anything, so they are percent-encoded; what begins with a dot is encoded further, so that no id is a hidden file or climbs.
 */
export function accountPath(stableId: string, ...rest: readonly string[]): Buffer {
  return Buffer.from(["accounts", encoded(stableId), ...rest.map(encoded)].join("/"), "utf8")
}

/** The stable id and the components below it; null for a path that is no account's. */
export function parseAccountPath(path: Uint8Array): { readonly stableId: string; readonly rest: readonly string[] } | null {
  const [top, account, ...rest] = Buffer.from(path).toString("utf8").split("/")
  if (top !== "accounts" || account === undefined || rest.length === 0) return null
  try {
    return { stableId: decodeURIComponent(account), rest: rest.map((part) => decodeURIComponent(part)) }
  } catch {
    return null
  }
}

/** "000001", so that pieces are in order by name. */
export function pieceNumber(number: number): string {
  return String(number).padStart(6, "0")
}

function encoded(component: string): string {
  return encodeURIComponent(component).replace(/^\.+/, (dots) => "%2E".repeat(dots.length))
}
