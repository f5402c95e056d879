import { ConfigError } from "../errors.ts"
import type { Bench } from "./bench.ts"

/** Who gives a command: as `--by` says, else as the host knows them. */
export function personFrom({ by }: { readonly by?: string }, { env }: Bench): string {
  const name = (by ?? env.SUDO_USER ?? env.USER ?? env.LOGNAME ?? "").trim()
  if (name !== "" && name.length <= 200) return name
  throw new ConfigError("config/usage", "--by: expected a name of 1 to 200 characters: this host does not say who is asking")
}
