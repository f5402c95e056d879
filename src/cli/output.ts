import type { Writable } from "node:stream"
import { errnoOf } from "../errors.ts"

export type Stream = Writable & { readonly isTTY?: boolean | undefined; readonly columns?: number | undefined }

/**
 * One of the two streams that people and programs read. What cannot be written is dropped, and whatever the command does goes on: no
 * full log stops a backup. A reader that has gone, such as `head`, is no failure; anything else is kept as `failure`, for the end.
 */
export class Output {
  readonly #stream: Stream
  #open = true
  #failure: Error | null = null

  constructor(stream: Stream) {
    this.#stream = stream
    stream.on("error", (error) => {
      this.#open = false
      if (errnoOf(error) !== "EPIPE" && errnoOf(error) !== "ERR_STREAM_DESTROYED") this.#failure ??= error
    })
  }

  /** False once nobody reads any more: a long listing may then end. */
  get isOpen(): boolean {
    return this.#open
  }

  /** Why not everything could be written. */
  get failure(): Error | null {
    return this.#failure
  }

  get isTerminal(): boolean {
    return this.#stream.isTTY === true
  }

  get columns(): number {
    // A terminal that does not know its size says 0.
    return this.#stream.columns || 80
  }

  line(text: string): void {
    this.write(`${text}\n`)
  }

  write(text: string): void {
    if (this.#open) this.#stream.write(text)
  }

  /** Resolves when a slow reader has caught up, so that a long listing does not gather in memory. */
  async drained(signal: AbortSignal): Promise<void> {
    if (!this.#open || !this.#stream.writableNeedDrain) return
    await new Promise<void>((resolve, reject) => {
      const settle = (): void => {
        for (const event of ["drain", "error", "close"]) this.#stream.off(event, settle)
        signal.removeEventListener("abort", settle)
        if (signal.aborted) reject(signal.reason)
        else resolve()
      }
      for (const event of ["drain", "error", "close"]) this.#stream.on(event, settle)
      signal.addEventListener("abort", settle)
    })
  }
}
