import type { Socket } from "node:net"
import { JobError, reasonOf } from "../../errors.ts"

/** Bytes that may wait here unread; beyond them the server has to wait. */
const waitingBytesMax = 256 * 1024

/** The bytes of a connection, read as fast as they are wanted and no faster. */
export class Channel {
  readonly #socket: Socket
  readonly #description: string
  #waiting: Buffer[] = []
  #waitingBytes = 0
  #lost: JobError | null = null
  #wake: (() => void) | null = null

  /** Takes over a socket that nobody else reads. `description` says whose it is in errors. */
  constructor(socket: Socket, description: string) {
    this.#socket = socket
    this.#description = description
    socket.on("data", (chunk: Buffer) => this.#arrived(chunk))
    socket.on("error", (error) => this.#lose(reasonOf(error), error))
    socket.once("close", () => this.#lose("the server closed the connection"))
    socket.setTimeout(0)
    socket.resume()
  }

  /** Whether nothing more will come. */
  get lost(): boolean {
    return this.#lost !== null
  }

  /** Sends one packet: a command to a server, or an answer to a client. */
  send(payload: Buffer, sequence = 0): void {
    const header = Buffer.alloc(4)
    header.writeUIntLE(payload.length, 0, 3)
    header.writeUInt8(sequence, 3)
    this.write(Buffer.concat([header, payload]))
  }

  /** Sends bytes as they are. */
  write(bytes: Buffer): void {
    if (this.#lost === null) this.#socket.write(bytes)
  }

  /** Sends bytes and resolves when there is room for more. */
  async writeSlowly(bytes: Buffer): Promise<void> {
    if (this.#lost !== null) throw this.#lost
    if (this.#socket.write(bytes)) return
    await new Promise<void>((resolve) => {
      const go = (): void => {
        this.#socket.off("drain", go)
        this.#socket.off("close", go)
        resolve()
      }
      this.#socket.on("drain", go)
      this.#socket.on("close", go)
    })
  }

  /** The next bytes. Rejects with a JobError where the connection is lost, or with the signal's reason. */
  async next(signal?: AbortSignal): Promise<Buffer> {
    while (true) {
      signal?.throwIfAborted()
      const chunk = this.#waiting.shift()
      if (chunk !== undefined) {
        this.#waitingBytes -= chunk.length
        if (this.#waitingBytes < waitingBytesMax) this.#socket.resume()
        return chunk
      }
      if (this.#lost !== null) throw this.#lost
      await this.#arrival(signal)
    }
  }

  /** Ends the connection at once. */
  destroy(): void {
    this.#lose("the connection was closed")
    this.#socket.destroy()
  }

  async #arrival(signal: AbortSignal | undefined): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>()
    this.#wake = resolve
    const abort = (): void => resolve()
    signal?.addEventListener("abort", abort, { once: true })
    try {
      await promise
    } finally {
      this.#wake = null
      signal?.removeEventListener("abort", abort)
    }
  }

  #arrived(chunk: Buffer): void {
    this.#waiting.push(chunk)
    this.#waitingBytes += chunk.length
    if (this.#waitingBytes >= waitingBytesMax) this.#socket.pause()
    this.#wake?.()
  }

  #lose(why: string, cause?: unknown): void {
    this.#lost ??= new JobError("job/source", `${this.#description}: ${why}`, cause === undefined ? {} : { cause })
    this.#wake?.()
  }
}
