import { basename } from "node:path"
import { stderrBytesMax } from "./limits.ts"

/**
 * What a program says on its standard error, as far as it tells why it failed: its first lines that say an error, of which pg_restore and
 * its like write hundreds, or else its last line. It goes into reports and logs, so no secret of the environment, no password of a URL
 * or an option, and none of the lines in which a server repeats a row or a statement is in it.
 */
export class Complaint {
  readonly #name: string
  readonly #secrets: readonly string[]
  readonly #errors: string[] = []
  #more = 0
  #last = ""
  /** The beginning of a line that has not ended. */
  #begun = Buffer.alloc(0)

  constructor(name: string, environment: Readonly<Record<string, string>>) {
    this.#name = basename(name)
    this.#secrets = Object.entries(environment).flatMap(([key, value]) => (secretName.test(key) && value.length >= 4 ? [value] : []))
  }

  add(chunk: Buffer): void {
    let start = 0
    for (let end = chunk.indexOf(0x0a); end !== -1; end = chunk.indexOf(0x0a, start)) {
      this.#begin(chunk.subarray(start, end))
      this.#line(this.#begun)
      this.#begun = Buffer.alloc(0)
      start = end + 1
    }
    this.#begin(chunk.subarray(start))
  }

  /** A sentence of a report, not a dump; empty where nothing was said. */
  get text(): string {
    this.#line(this.#begun)
    this.#begun = Buffer.alloc(0)
    if (this.#errors.length === 0) return this.#last
    const more = this.#more === 0 ? "" : `; and ${String(this.#more)} more`
    return `${this.#errors.join("; ")}${more}`
  }

  // Some programs print a whole statement in one line.
  #begin(bytes: Buffer): void {
    const room = stderrBytesMax - this.#begun.length
    if (room > 0) this.#begun = Buffer.concat([this.#begun, bytes.subarray(0, room)])
  }

  #line(bytes: Buffer): void {
    const line = bytes
      .toString("utf8")
      .replace(/\p{Cc}/gu, " ")
      .trim()
    if (line === "" || repeating.test(line)) return
    const text = this.#fit(line)
    this.#last = text
    if (!errorWord.test(line) || this.#errors.includes(text)) return
    if (this.#errors.length < errorsMax) this.#errors.push(text)
    else this.#more += 1
  }

  #fit(line: string): string {
    const own = line.startsWith(`${this.#name}: `) ? line.slice(this.#name.length + 2).replace(/^error:\s+/, "") : line
    const bare = this.#secrets.reduce((text, secret) => text.replaceAll(secret, hidden), own)
    return passwords.reduce((text, [pattern, replacement]) => text.replace(pattern, replacement), bare).slice(0, lineMax)
  }
}

const errorsMax = 3
const lineMax = 300
const hidden = "[secret]"
const secretName = /pass|secret|token|credential|pwd|key$/i

const errorWord =
  /\b(?:errors?|fatal|panic|abort(?:ed|ing)|exception|failed|failure|denied|refused|cannot|could not|unable|not found|no such|killed)\b/i
/** In these a server repeats values of a row, or the statement it was given. */
const repeating = /^(?:DETAIL|CONTEXT|STATEMENT|QUERY|LINE \d+|Command was|HINT)\b:?/

const passwords: readonly (readonly [RegExp, string])[] = [
  [/(\w:\/\/[^\s/:@]*):[^\s@]*@/g, `$1:${hidden}@`],
  [/((?:pass(?:word|wd|phrase)?|secret|token|api[_-]?key)["']?\s*[=:]\s*)(?:"[^"]*"|'[^']*'|[^\s,;&]+)/gi, `$1${hidden}`],
  [/((?:PASSWORD|IDENTIFIED BY)\s+)'(?:[^']|'')*'/gi, `$1${hidden}`],
  [/((?:invalid input|invalid value|out of range|Incorrect|Duplicate entry)\b[^"']*)(?:"[^"]*"|'[^']*')/gi, "$1…"],
]
