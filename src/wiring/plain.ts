/** The value at a path of own keys; undefined where there is none. */
export function at(value: unknown, ...path: readonly string[]): unknown {
  return path.reduce<unknown>((inner, key) => new Map(entries(inner)).get(key), value)
}

/** Own keys and values of a plain object or a list; none of anything else. */
export function entries(value: unknown): [string, unknown][] {
  return typeof value === "object" && value !== null ? Object.entries(value) : []
}
