/** A telephone number or an extension that calls are looked for by: its digits, without what only says how it is dialled. */
export interface SoughtNumber {
  readonly digits: string
}

/** Fewer digits are an extension, or a short code, and are compared whole: "1001" is no end of "4930551001". */
const suffixDigitsMin = 7
/** E.164 has 15 digits; what is dialled before them may take some more. */
const digitsMax = 32

/** Reads a number as people write it, such as "+49 (30) 123-456", "0049 30 123456" or "1001"; null where the text is none. */
export function parseNumber(text: string): SoughtNumber | null {
  const digits = digitsOf(text)
  return digits === null ? null : { digits }
}

/**
 * Whether a field holds the number. Compared are digits, without leading zeros: "+4930123456", "004930123456" and "030123456" are the same
 * number, as one ends with the other, which needs seven digits; shorter ones must be equal. Also understood are `"Name" <number>` and SIP
 * and tel URIs; any other text holds none.
 */
export function holdsNumber(field: string, { digits: sought }: SoughtNumber): boolean {
  const digits = digitsOf(field)
  if (digits === null) return false
  if (digits === sought) return true
  if (Math.min(digits.length, sought.length) < suffixDigitsMin) return false
  return digits.endsWith(sought) || sought.endsWith(digits)
}

function digitsOf(text: string): string | null {
  if (text.length > fieldMax) return null
  const inner = /<([^<>]*)>\s*$/.exec(text)?.[1] ?? text
  const number = inner
    .trim()
    .replace(/^(?:sips?|tel):/i, "")
    .replace(/[@;].*$/s, "")
  if (!/^[+*#\d\s().\-/]+$/.test(number)) return null
  const digits = number.replace(/\D/g, "")
  if (digits === "" || digits.length > digitsMax) return null
  // Zeros that only say how it is dialled; a number of nothing else stays what it is.
  return digits.replace(/^0+(?=.)/, "")
}

/** Longer fields are no numbers: a URI with its parameters is shorter. */
const fieldMax = 400

/** Names that end so hold a number, a caller's name and number, or an address in which one stands. */
const endings =
  /(?:^|_)(?:number|num|cnum|ani|dnis|rdnis|dnid|did|src|dst|clid|cid|callerid|caller_id|caller|callee|calling|called|dialed|dialled|exten|extension|destination|msisdn|phone|alias|sub|uri|ouser)$/
/** An address in two columns: the part before the "@". */
const users = /(?:^|_)(?:from|to|req|src|dst|by|caller|callee)_user$/
/** Types that no platform keeps a number in. */
const otherTypes = /^(?:timestamp|datetime|date|time|interval|bool|bytea|blob|longblob|mediumblob|json|uuid|double|float|real)/i

/** Of the columns of a table, those whose name and type say that they may hold a number, in their order; none where no name does. */
export function numberColumns(columns: readonly { readonly name: string; readonly type: string }[]): string[] {
  return columns
    .filter(({ type }) => !otherTypes.test(type))
    .map(({ name }) => name)
    .filter((name) => endings.test(name.toLowerCase()) || users.test(name.toLowerCase()))
}

/** Beginnings of names of columns, in words: who called, and who was called. */
const callers = /^(?:outbound_)?(?:caller|src|source|clid|cid|cnum|ani|from|orig|calling)/
const called = /^(?:dest|dst|callee|called|to_|term|did|dnis|exten|dialed|dialled)/

/** The first of these columns that says who called, and the first that says who was called; undefined where none does. */
export function partyColumns(names: readonly string[]): { readonly from: string | undefined; readonly to: string | undefined } {
  const first = (pattern: RegExp): string | undefined =>
    names.find((name) => pattern.test(name.toLowerCase()) && /num|^src$|^dst$/.test(name.toLowerCase())) ??
    names.find((name) => pattern.test(name.toLowerCase()))
  return { from: first(callers), to: first(called) }
}
