import type { PostgresConnection } from "./connect.ts"

/** Connections that read one snapshot: opened when they are needed, used again, at most `max` at a time. */
export class Readers {
  readonly #open: () => Promise<PostgresConnection>
  readonly #max: number
  readonly #idle: PostgresConnection[] = []
  readonly #all = new Set<PostgresConnection>()
  readonly #waiting: (() => void)[] = []
  #taken = 0

  constructor(open: () => Promise<PostgresConnection>, max: number) {
    this.#open = open
    this.#max = max
  }

  /** Waits for a place; rejects with the signal's reason, or with why there is no connection. What is taken must be given back or discarded. */
  async take(signal: AbortSignal): Promise<PostgresConnection> {
    await this.#place(signal)
    const idle = this.#idle.pop()
    if (idle !== undefined) return idle
    try {
      const opened = await this.#open()
      this.#all.add(opened)
      return opened
    } catch (error) {
      this.#leave()
      throw error
    }
  }

  /** Gives back one that can be used again. */
  give(connection: PostgresConnection): void {
    this.#idle.push(connection)
    this.#leave()
  }

  /** Cuts one of which nobody knows what it still has to say. */
  discard(connection: PostgresConnection): void {
    connection.destroy()
    this.#all.delete(connection)
    this.#leave()
  }

  destroy(): void {
    for (const connection of this.#all) connection.destroy()
  }

  async #place(signal: AbortSignal): Promise<void> {
    signal.throwIfAborted()
    if (this.#taken < this.#max) {
      this.#taken += 1
      return
    }
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    const give = (): void => resolve()
    const stop = (): void => {
      const at = this.#waiting.indexOf(give)
      // A place that was given in this very moment is passed on by who holds it.
      if (at !== -1) {
        this.#waiting.splice(at, 1)
        reject(signal.reason)
      }
    }
    this.#waiting.push(give)
    signal.addEventListener("abort", stop, { once: true })
    await promise.finally(() => signal.removeEventListener("abort", stop))
  }

  #leave(): void {
    const next = this.#waiting.shift()
    if (next === undefined) this.#taken -= 1
    else next()
  }
}
