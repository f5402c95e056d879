import type { Answer, Call } from "./call.ts"
import { json } from "./call.ts"
import { Refusal } from "./refusal.ts"

const grants: ReadonlySet<string> = new Set([
  "urn:ietf:params:oauth:grant-type:jwt-bearer",
  "urn:ietf:params:oauth:grant-type:token-exchange",
  "refresh_token",
])

/** Issues bearer tokens to whoever asks in the right form, and knows those it issued: who asks is not looked at any closer. */
export class Tokens {
  readonly #issued = new Set<string>()

  issue(call: Call): Answer {
    const form = new URLSearchParams(call.body.toString("utf8"))
    if (!grants.has(form.get("grant_type") ?? "")) return { ...json({ error: "unsupported_grant_type" }), status: 400 }
    if ((form.get("assertion") ?? form.get("subject_token") ?? form.get("refresh_token") ?? "") === "") {
      return { ...json({ error: "invalid_grant" }), status: 400 }
    }
    const token = `stand-in.${String(this.#issued.size + 1)}`
    this.#issued.add(token)
    const type = "urn:ietf:params:oauth:token-type:access_token"
    return json({ access_token: token, issued_token_type: type, token_type: "Bearer", expires_in: 3600 })
  }

  check({ headers }: Call): void {
    const token = /^Bearer (.+)$/.exec(headers.authorization ?? "")?.[1]
    if (token !== undefined && this.#issued.has(token)) return
    throw new Refusal(401, token === undefined ? "required" : "authError", token === undefined ? "Login Required." : "Invalid Credentials")
  }

  /** Tokens issued so far are good no longer. */
  revoke(): void {
    this.#issued.clear()
  }
}
