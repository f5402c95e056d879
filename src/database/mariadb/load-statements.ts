import { JobError } from "../../errors.ts"
import { count } from "../../units.ts"

/** A statement of a dump, without the delimiter that ended it. */
export interface Statement {
  readonly text: Buffer
  /** Where in the dump it begins. */
  readonly line: number
}

/** A row of 100 MB is 200 MB in hexadecimal. */
const statementBytesMax = 512 * 1024 * 1024

const [newline, quote, doubleQuote, backtick, backslash] = [0x0a, 0x27, 0x22, 0x60, 0x5c] as const
const [dash, hash, slash, star, bang] = [0x2d, 0x23, 0x2f, 0x2a, 0x21] as const
const space = 0x20

/** 1 for each character that begins something else than the next word. */
const special = new Uint8Array(256)
for (const byte of Buffer.from("'\"`\\-#/")) special[byte] = 1

/**
 * Cuts a dump into its statements, as the server's shell client would, and does none of what that client does besides: a command such as
 * `\!`, `system` or `source` is never looked for, and a backslash outside a text is refused. Rejects with a JobError, too, where the dump
 * ends within a statement.
 */
export async function* statements(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<Statement> {
  const reader = new Reader()
  for await (const chunk of chunks) yield* reader.push(chunk)
  yield* reader.end()
}

type State = "plain" | "'" | '"' | "`" | "line comment" | "comment"

/**
 * Of what was read `#kept` is the statement so far, without comments; `#bytes` from `#at` on is not looked at yet. A few bytes are held back
 * until more comes, so that what takes two or three characters is never cut.
 */
class Reader {
  #bytes = Buffer.alloc(0)
  #at = 0
  #line = 1
  #kept: Buffer[] = []
  #keptBytes = 0
  /** Whether the statement has begun: something but white space was kept. */
  #begun = false
  #beganAt = 1
  #state: State = "plain"
  #delimiter = Buffer.from(";")

  #startOfLine(): boolean {
    return this.#at === 0 || this.#bytes[this.#at - 1] === newline
  }

  *push(chunk: Uint8Array): Generator<Statement> {
    this.#bytes = Buffer.concat([this.#bytes.subarray(this.#at), chunk])
    this.#at = 0
    yield* this.#read(this.#bytes.length - heldBytes)
  }

  *end(): Generator<Statement> {
    yield* this.push(Buffer.from("\n".padEnd(heldBytes + 1)))
    if (this.#begun || this.#state === "comment") throw this.#refusal(this.#beganAt, "the dump ends within a statement")
  }

  *#read(until: number): Generator<Statement> {
    while (this.#at < until) {
      if (!this.#begun && this.#state === "plain" && this.#startOfLine()) {
        const taken = this.#command()
        if (taken === "more") return
        if (taken === "taken") continue
      }
      const ended = this.#step(until)
      if (ended !== null) yield ended
    }
  }

  /** Lines that only a client understands: those a dump may have are taken, all others become part of a statement, and are refused there. */
  #command(): "taken" | "more" | "none" {
    const rest = this.#bytes.subarray(this.#at, this.#at + commandBytesMax)
    const head = rest.toString("latin1", 0, 12).toUpperCase()
    if (
      !head.startsWith("DELIMITER ") &&
      !head.startsWith("\\RESTRICT ") &&
      !head.startsWith("\\UNRESTRIC") &&
      !/^\/\*M?!999999/.test(head)
    )
      return "none"
    const end = rest.indexOf(newline)
    if (end === -1) {
      if (rest.length === commandBytesMax) throw this.#refusal(this.#line, "a line of a client that does not end")
      return "more"
    }
    const line = rest.toString("latin1", 0, end).trim()
    const delimiter = /^DELIMITER (\S{1,8})$/i.exec(line)?.[1]
    if (delimiter !== undefined) this.#delimiter = Buffer.from(delimiter, "latin1")
    else if (!/^\\(?:un)?restrict [A-Za-z0-9]+$/.test(line) && !/^\/\*M?!999999\\- [^*]*\*\/;?$/.test(line)) return "none"
    this.#at += end + 1
    this.#line += 1
    return "taken"
  }

  #step(until: number): Statement | null {
    switch (this.#state) {
      case "plain":
        return this.#plain(until)
      case "line comment":
        this.#skipTo(newline, until)
        return null
      case "comment":
        this.#comment(until)
        return null
      case "'":
        this.#quoted(quote, until)
        return null
      case '"':
        this.#quoted(doubleQuote, until)
        return null
      case "`":
        this.#quoted(backtick, until)
        return null
    }
  }

  #plain(until: number): Statement | null {
    const [one, two = 0, three = 0] = this.#bytes.subarray(this.#at, this.#at + 3)
    if (this.#bytes.subarray(this.#at, this.#at + this.#delimiter.length).equals(this.#delimiter)) return this.#take()
    if (one === hash || (one === dash && two === dash && three <= space)) this.#state = "line comment"
    else if (one === slash && two === star && three !== bang && !this.#isMariadbOnly()) this.#state = "comment"
    else if (one === backslash) throw this.#refusal(this.#line, "a command for a client, which no dump has")
    else {
      if (one === quote) this.#state = "'"
      if (one === doubleQuote) this.#state = '"'
      if (one === backtick) this.#state = "`"
      this.#keep(this.#at, this.#state === "plain" && this.#begun ? this.#endOfPlain(until) : this.#at + 1)
    }
    return null
  }

  /** Where the next character is that may mean something. */
  #endOfPlain(until: number): number {
    const [delimiter] = this.#delimiter
    let at = this.#at + 1
    while (at < until && special[this.#bytes[at] ?? 0] === 0 && this.#bytes[at] !== delimiter) at += 1
    return at
  }

  /** `/*M!`, which MariaDB runs and MySQL takes for a comment. */
  #isMariadbOnly(): boolean {
    return this.#bytes.toString("latin1", this.#at + 2, this.#at + 4) === "M!"
  }

  #quoted(end: number, until: number): void {
    let at = this.#at
    while (at < until && this.#bytes[at] !== end) at += this.#bytes[at] === backslash && end !== backtick ? 2 : 1
    const closed = at < until
    this.#keep(this.#at, closed ? at + 1 : at)
    if (closed) this.#state = "plain"
  }

  #comment(until: number): void {
    while (this.#at < until) {
      const [one, two] = this.#bytes.subarray(this.#at, this.#at + 2)
      if (one === newline) this.#line += 1
      this.#at += 1
      if (one !== star || two !== slash) continue
      this.#at += 1
      this.#state = "plain"
      return
    }
  }

  #skipTo(end: number, until: number): void {
    while (this.#at < until && this.#bytes[this.#at] !== end) this.#at += 1
    if (this.#at < until) this.#state = "plain"
  }

  #keep(from: number, to: number): void {
    this.#at = to
    if (!this.#begun) {
      const white = to === from + 1 && (this.#bytes[from] ?? 0) <= space
      if (white) {
        if (this.#bytes[from] === newline) this.#line += 1
        return
      }
      this.#begun = true
      this.#beganAt = this.#line
    }
    for (let at = this.#bytes.indexOf(newline, from); at !== -1 && at < to; at = this.#bytes.indexOf(newline, at + 1)) this.#line += 1
    this.#keptBytes += to - from
    if (this.#keptBytes > statementBytesMax)
      throw this.#refusal(this.#beganAt, `a statement of more than ${count(statementBytesMax, "byte")}`)
    this.#kept.push(this.#bytes.subarray(from, to))
  }

  #take(): Statement | null {
    this.#at += this.#delimiter.length
    const statement = this.#begun ? { text: Buffer.concat(this.#kept), line: this.#beganAt } : null
    this.#kept = []
    this.#keptBytes = 0
    this.#begun = false
    return statement
  }

  #refusal(line: number, what: string): JobError {
    return new JobError("job/target", `line ${line} of the dump: ${what}`, {
      hint: "the dump is not what the server's own tool writes; nothing more of it was run",
    })
  }
}

/** Longer than any delimiter, and than the word by which a line for a client is known. */
const heldBytes = 16
const commandBytesMax = 256
