/** What Google refuses, in its own words: a status, and a reason that programs switch on. */
export class Refusal extends Error {
  readonly status: number
  readonly reason: string
  readonly headers: Readonly<Record<string, string>>

  constructor(status: number, reason: string, message: string, headers: Readonly<Record<string, string>> = {}) {
    super(message)
    this.status = status
    this.reason = reason
    this.headers = headers
  }
}

export function invalid(message: string): Refusal {
  return new Refusal(400, "invalid", message)
}

/** The body of every error of the JSON API. */
export function errorBody(status: number, reason: string, message: string): string {
  return JSON.stringify({ error: { code: status, message, errors: [{ message, domain: "global", reason }] } })
}
