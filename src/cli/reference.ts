import { ConfigError } from "../errors.ts"
import type { SnapshotChoice } from "../operation/history.ts"
import { endOfMoment } from "./moment.ts"

/** A snapshot as a person names it: of a dataset, at a moment; or by the beginning of an id, of whichever dataset has it. */
export type Reference = Pick<SnapshotChoice, "dataset" | "asOf"> | { readonly only: string }

/** Reads "call-recordings", "call-recordings@latest", "call-recordings@2026-11-20T14:00" or "3f9a0c"; `holdline help references`. */
export function parseReference(text: string, timezone: string): Reference {
  const [name = "", when, ...rest] = text.split("@")
  if (name === "" || rest.length > 0 || when === "") throw notReference(text)
  if (when === undefined && isIdPrefix(name)) return { only: name }
  if (when === undefined || when === "latest") return { dataset: name }
  return { dataset: name, asOf: endOfMoment(when, timezone) }
}

// A dataset that is named like an id can be said with "@latest".
function isIdPrefix(text: string): boolean {
  return /^[0-9a-f]{4,64}$/.test(text) && /\d/.test(text)
}

function notReference(text: string): ConfigError {
  return new ConfigError("config/usage", `${text}: names no snapshot`, {
    hint: "write JOB@latest, JOB@2026-11-20 or the beginning of an id; see `holdline help references`",
  })
}
