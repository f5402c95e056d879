import type { Duplex } from "node:stream"
import { type CopyStreamQuery, from } from "pg-copy-streams"
import { release } from "../../memory.ts"

/** A COPY … FROM STDIN to be handed to a client of `pg`; it takes bytes as fast as the server does. */
export function copyFrom(text: string): CopyStreamQuery {
  return from(text, { highWaterMark: copyBufferBytes })
}

/** What waits between the socket and who reads it: enough to never starve, too little to be felt. */
const copyBufferBytes = 256 * 1024

/**
 * Stands between a connected socket and the driver, and takes what the server sends while a COPY … TO STDOUT runs: the driver would make
 * objects of every row.
 */
export class CopyTap {
  readonly #socket: Duplex
  #copy: CopyOut | null = null

  constructor(socket: Duplex) {
    this.#socket = socket
    const drivers = socket.listeners("data")
    socket.removeAllListeners("data")
    socket.on("data", (bytes: Buffer) => {
      const rest = this.#copy === null ? bytes : this.#copy.receive(bytes)
      if (rest.length > 0) for (const driver of drivers) driver.call(socket, rest)
    })
  }

  /** A COPY … TO STDOUT to be handed to the client of this socket; its bytes come as they are asked for. */
  copyTo(text: string): CopyOut {
    const copy: CopyOut = new CopyOut(text, this.#socket, {
      begun: () => {
        this.#copy = copy
      },
      ended: () => {
        this.#copy = null
      },
    })
    return copy
  }
}

interface Turns {
  begun(): void
  ended(): void
}

/** The rows of one COPY; each piece is valid until the next is asked for. */
class CopyOut implements AsyncIterable<Uint8Array> {
  readonly #text: string
  readonly #socket: Duplex
  readonly #turns: Turns
  /** Of the message that goes on: its first bytes, where not all that say its length are here, and how much is to come. */
  #header: Buffer = nothing
  #left = 0
  #isRow = false
  readonly #rows: Rows[] = []
  #waiting = 0
  #end: { readonly error: Error | null } | null = null
  #abandoned = false
  #wake = Promise.withResolvers<void>()

  constructor(text: string, socket: Duplex, turns: Turns) {
    this.#text = text
    this.#socket = socket
    this.#turns = turns
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Uint8Array> {
    try {
      for (;;) {
        const next = this.#rows.shift()
        if (next !== undefined) {
          this.#waiting -= next.bytes.length
          yield next.bytes
          // Left to the collector, what the socket gave is all that it has to do.
          if (next.sent !== null) release(next.sent)
        } else if (this.#end === null) {
          this.#wake = Promise.withResolvers()
          this.#socket.resume()
          await this.#wake.promise
        } else if (this.#end.error !== null) throw this.#end.error
        else return
      }
    } finally {
      this.#abandoned = true
      this.#rows.length = 0
      this.#socket.resume()
    }
  }

  // The driver calls these.
  submit(connection: { query(text: string): void }): void {
    this.#turns.begun()
    connection.query(this.#text)
  }

  handleError(error: Error): void {
    this.#finish(error)
  }

  handleCommandComplete(): void {
    // The rows have ended already.
  }

  handleReadyForQuery(): void {
    // Nor does this say anything new.
  }

  /**
   * Takes what the server sent; gives what comes behind the last row, which is the driver's. Rows are moved together where they are: each
   * comes in a message of its own.
   */
  receive(sent: Buffer): Buffer {
    const bytes = this.#header.length === 0 ? sent : Buffer.concat([this.#header, sent])
    this.#header = nothing
    let [at, filled] = [0, 0]
    while (at < bytes.length) {
      if (this.#left === 0) {
        const code = bytes[at]
        if (code === undefined || !duringCopy.includes(code)) {
          this.#keep({ bytes: bytes.subarray(0, filled), sent: null })
          // Where the server says why it stops, the rows have not ended: the driver tells the error.
          if (code !== errorResponse) this.#finish(null)
          this.#turns.ended()
          return bytes.subarray(at)
        }
        if (bytes.length - at < headerBytes) break
        this.#left = bytes.readUInt32BE(at + 1) - (headerBytes - 1)
        this.#isRow = code === copyData
        at += headerBytes
      }
      const end = Math.min(bytes.length, at + this.#left)
      if (this.#isRow) {
        bytes.copyWithin(filled, at, end)
        filled += end - at
      }
      this.#left -= end - at
      at = end
    }
    this.#header = Buffer.from(bytes.subarray(at))
    this.#keep({ bytes: bytes.subarray(0, filled), sent })
    return nothing
  }

  #keep(rows: Rows): void {
    if (this.#abandoned || rows.bytes.length === 0) return
    this.#rows.push(rows)
    this.#waiting += rows.bytes.length
    if (this.#waiting >= copyBufferBytes) this.#socket.pause()
    this.#wake.resolve()
  }

  #finish(error: Error | null): void {
    this.#turns.ended()
    this.#end ??= { error }
    // Who reads slowly may have stopped the socket, which has others to serve now.
    this.#socket.resume()
    this.#wake.resolve()
  }
}

interface Rows {
  readonly bytes: Buffer
  /** What they stand in, where nobody else needs it. */
  readonly sent: Buffer | null
}

const nothing = Buffer.alloc(0)
/** A message of the server: one byte says what it is, four its length with these four. */
const headerBytes = 5
const [copyData, errorResponse] = [0x64, 0x45]
/** CopyData, CopyOutResponse, and what a server may say at any time: notices, parameters, notifications. */
const duringCopy: readonly number[] = [copyData, 0x48, 0x4e, 0x53, 0x41]
