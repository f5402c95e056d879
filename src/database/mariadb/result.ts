import { JobError } from "../../errors.ts"

/** How large a piece of lines is when it is handed on. */
const pieceBytes = 256 * 1024
/** Descriptions of columns, errors and the like: far smaller, and read whole. */
const controlBytesMax = 1024 * 1024
/** The length of a packet whose payload goes on in the next one. */
const fullPacket = 0xffffff

const [tab, newline, backslash] = [0x09, 0x0a, 0x5c]

/** For each byte the one that stands for it after a backslash; 0 where it stands for itself. */
const escapes = new Uint8Array(256)
for (const [byte, escaped] of [
  [backslash, "\\"],
  [newline, "n"],
  [tab, "t"],
  [0x0d, "r"],
  [0x00, "0"],
] as const) {
  escapes[byte] = escaped.charCodeAt(0)
}

/** The server refused a statement, or broke it off. The cause of a JobError. */
export class Refusal extends Error {
  /** The server's number for it, such as 1205 for a lock that took too long. */
  readonly number: number

  constructor(number: number, message: string) {
    super(message)
    this.number = number
  }
}

/**
 * Turns what the server answers to one statement into the lines of its rows, while it comes in: fields as the server sent them, escaped,
 * with a tab between them and a newline behind the row, NULL as "\N". However large a row is, no more than a piece of it is in memory.
 */
export class TextResult {
  /** Whether the server said that this was all. */
  done = false
  /** Why the server did not do it, or not to the end; done is true then, too. */
  refusal: Refusal | null = null

  readonly #header = Buffer.alloc(4)
  #headerFilled = 0
  /** Bytes of the packet's payload that are still to come. */
  #left = 0
  /** Whether the payload is part of a row; null before its first byte. */
  #isRow: boolean | null = null
  #control: Buffer[] = []
  #controlBytes = 0
  #stage: "answer" | "columns" | "end of columns" | "rows" = "answer"
  #columns = 0
  #columnsLeft = 0

  #field = 0
  /** Bytes of the field that are still to come; -1 before its length is known. */
  #fieldLeft = -1
  #lengthLeft = 0
  #lengthScale = 1
  #length = 0

  #out = Buffer.allocUnsafeSlow(pieceBytes)
  #filled = 0
  #pieces: Buffer[] = []

  /** Takes the next bytes from the server and gives the pieces they completed. Throws a JobError where they are no answer. */
  push(chunk: Buffer): readonly Buffer[] {
    let at = 0
    while (at < chunk.length) {
      if (this.done) throw garbled("bytes after the end of an answer")
      if (this.#headerFilled < 4) {
        const copied = chunk.copy(this.#header, this.#headerFilled, at, at + 4 - this.#headerFilled)
        this.#headerFilled += copied
        at += copied
        if (this.#headerFilled === 4) this.#beginPacket()
        continue
      }
      const end = Math.min(chunk.length, at + this.#left)
      this.#payload(chunk, at, end)
      this.#left -= end - at
      at = end
      if (this.#left === 0) this.#endPacket()
    }
    if (this.done) this.#flush()
    const pieces = this.#pieces
    this.#pieces = []
    return pieces
  }

  #beginPacket(): void {
    this.#left = this.#header.readUIntLE(0, 3)
    if (this.#left === 0) this.#endPacket()
  }

  #payload(chunk: Buffer, at: number, end: number): void {
    this.#isRow ??= this.#stage === "rows" && !this.#isControl(chunk[at] ?? 0)
    if (this.#isRow) {
      this.#row(chunk, at, end)
      return
    }
    this.#controlBytes += end - at
    if (this.#controlBytes > controlBytesMax) throw garbled("a description of more than 1 MiB")
    this.#control.push(Buffer.from(chunk.subarray(at, end)))
  }

  /** Of packets among the rows: 0xff is an error, a short 0xfe the end; a long one begins with a field of 16 MiB or more. */
  #isControl(first: number): boolean {
    return first === 0xff || (first === 0xfe && this.#left < 9)
  }

  #endPacket(): void {
    const length = this.#header.readUIntLE(0, 3)
    this.#headerFilled = 0
    if (length === fullPacket) return
    const wasRow = this.#isRow
    this.#isRow = null
    if (wasRow === true) {
      if (this.#field !== 0 || this.#fieldLeft !== -1 || this.#lengthLeft !== 0) throw garbled("a row that ends within a field")
      return
    }
    const payload = Buffer.concat(this.#control)
    this.#control = []
    this.#controlBytes = 0
    this.#take(payload)
  }

  #take(payload: Buffer): void {
    if (payload[0] === 0xff) {
      this.refusal = refusalOf(payload)
      this.done = true
      return
    }
    switch (this.#stage) {
      case "answer":
        this.#takeAnswer(payload)
        break
      case "columns":
        this.#columnsLeft -= 1
        if (this.#columnsLeft === 0) this.#stage = "end of columns"
        break
      case "end of columns":
        if (payload[0] !== 0xfe || payload.length >= 9) throw garbled("more columns than it announced")
        this.#stage = "rows"
        break
      case "rows":
        this.done = true
        break
    }
  }

  #takeAnswer(payload: Buffer): void {
    const [first = 0xff] = payload
    if (first === 0) {
      this.done = true
      return
    }
    if (first === 0xfb) throw garbled("the wish to read a file of this machine")
    if (first > 0xfc) throw garbled("an impossible number of columns")
    this.#columns = first === 0xfc ? payload.readUInt16LE(1) : first
    this.#columnsLeft = this.#columns
    this.#stage = "columns"
  }

  #row(chunk: Buffer, start: number, end: number): void {
    let at = start
    while (at < end) {
      if (this.#fieldLeft === -1) {
        this.#lengthByte(chunk[at] ?? 0)
        at += 1
        continue
      }
      const until = Math.min(end, at + this.#fieldLeft)
      this.#copy(chunk, at, until)
      this.#fieldLeft -= until - at
      at = until
      if (this.#fieldLeft === 0) this.#endField()
    }
  }

  #lengthByte(byte: number): void {
    if (this.#lengthLeft > 0) {
      this.#length += byte * this.#lengthScale
      this.#lengthScale *= 256
      this.#lengthLeft -= 1
      if (this.#lengthLeft === 0) this.#beginField(this.#length)
      return
    }
    if (byte < 0xfb) {
      this.#beginField(byte)
    } else if (byte === 0xfb) {
      this.#write(backslash)
      this.#write(0x4e)
      this.#endField()
    } else {
      this.#length = 0
      this.#lengthScale = 1
      this.#lengthLeft = byte === 0xfc ? 2 : byte === 0xfd ? 3 : 8
    }
  }

  #beginField(length: number): void {
    this.#fieldLeft = length
    if (length === 0) this.#endField()
  }

  #endField(): void {
    this.#fieldLeft = -1
    this.#field += 1
    if (this.#field === this.#columns) this.#field = 0
    this.#write(this.#field === 0 ? newline : tab)
  }

  #write(byte: number): void {
    if (this.#filled === this.#out.length) this.#flush()
    this.#out[this.#filled++] = byte
  }

  #copy(chunk: Buffer, start: number, end: number): void {
    let out = this.#out
    let filled = this.#filled
    for (let at = start; at < end; at++) {
      if (filled + 2 > out.length) {
        this.#filled = filled
        this.#flush()
        out = this.#out
        filled = 0
      }
      const byte = chunk[at] ?? 0
      const escaped = escapes[byte] ?? 0
      if (escaped === 0) {
        out[filled++] = byte
      } else {
        out[filled++] = backslash
        out[filled++] = escaped
      }
    }
    this.#filled = filled
  }

  #flush(): void {
    if (this.#filled === 0) return
    this.#pieces.push(this.#out.subarray(0, this.#filled))
    this.#out = this.done ? Buffer.alloc(0) : Buffer.allocUnsafeSlow(pieceBytes)
    this.#filled = 0
  }
}

function refusalOf(payload: Buffer): Refusal {
  const number = payload.length >= 3 ? payload.readUInt16LE(1) : 0
  const text = payload.toString("utf8", payload[3] === 0x23 ? 9 : 3)
  return new Refusal(number, text)
}

function garbled(what: string): JobError {
  return new JobError("job/source", `the database server sent ${what}`, {
    hint: "it is no MariaDB or MySQL, or something between changes what it says",
  })
}
