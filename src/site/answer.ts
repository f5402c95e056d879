type Headers = Readonly<Record<string, string | undefined>>

/** How long an answer asks to be left alone, in milliseconds: Retry-After in seconds, or as a date by the answer's own clock. */
export function retryAfterMsOf(headers: Headers): number | undefined {
  const said = headers["retry-after"]?.trim()
  if (said === undefined || said === "") return undefined
  if (/^\d{1,9}$/.test(said)) return Number(said) * 1000
  const ms = Date.parse(said) - Date.parse(headers.date ?? "")
  return Number.isNaN(ms) || ms < 0 ? undefined : ms
}

/**
 * Whether a refusal says that bytes arrived other than they were sent, whatever the server calls it. What is sent has just been
 * checked, so that sending it again helps; a checksum that the server does not know, or cannot read, is another matter.
 */
export function saysDamaged(status: number | undefined, text: string): boolean {
  return status === 400 && /checksum|crc-?32|crc64|sha-?\d|md5|digest/i.test(text) && /\b(?:mis|un)?match|differ|not what/i.test(text)
}
