import { Worker } from "node:worker_threads"
import { type LeadPlace, type RowRun, rowRunBytes } from "../database/rows.ts"
import { JobError, reasonOf } from "../errors.ts"
import { release } from "../memory.ts"
import { runsIn } from "./run-frames.ts"

/** The lines of a table on their way, and what to know of them to cut them into runs. */
export interface TableLines {
  readonly chunks: AsyncIterable<Uint8Array>
  readonly leads: LeadPlace
  /** Names the table in errors. */
  readonly what: string
}

/** Lines of a table, cut anywhere, for the spool's thread. */
export interface SpoolTask {
  /** Tells the tables that are read side by side. */
  readonly table: number
  readonly buffer: ArrayBuffer
  readonly length: number
  /** With the first lines of a table. */
  readonly begin: SpoolTable | null
  readonly last: boolean
}

export interface SpoolTable {
  /** Where its runs are written; null: they come back. */
  readonly path: string | null
  readonly leads: LeadPlace
  readonly what: string
  readonly runBytes: number
}

/** The buffer that lines came in, to be filled again; and the runs that they ended, as frames, where they go into no file. */
export type SpoolReply = Taken | { readonly type: "failed"; readonly message: string; readonly job: boolean; readonly hint?: string }

export interface Taken {
  readonly type: "taken"
  readonly buffer: ArrayBuffer
  readonly frames: Uint8Array<ArrayBuffer>
}

interface Waiting {
  resolve(taken: Taken): void
  reject(error: unknown): void
}

/** Held of each table that is read from a file; a hundred of them are read side by side. */
const spooledRunBytes = 64 * 1024
/** Lines go to the thread in such pieces: a message costs more than its bytes. */
const linesBytes = 128 * 1024
/** One that is filled, one that is cut, and one on its way. */
const linesInFlight = 3

/** A thread that cuts tables into runs while their next lines are read: to look at each row, and to hash it, is most of what rows cost. */
export class RowSpool implements AsyncDisposable {
  #worker: Worker | null = null
  /** Lines sent and not answered, oldest first: they are answered in order. */
  readonly #waiting: Waiting[] = []
  #ended: Error | null = null
  readonly #free: ArrayBuffer[] = []
  #tables = 0

  /** Writes the runs of a table into a new private file, so that `runsOf` can read them later beside others. */
  async write(path: string, table: TableLines): Promise<void> {
    for await (const _ of this.#cut(table, path, spooledRunBytes));
  }

  /** The runs of a table as it is read; each, with its sum, is valid until the next is asked for. */
  async *runs(table: TableLines): AsyncGenerator<RowRun> {
    for await (const frames of this.#cut(table, null, rowRunBytes)) {
      yield* runsIn(frames)
      release(frames)
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#worker?.terminate()
  }

  async *#cut({ chunks, leads, what }: TableLines, path: string | null, runBytes: number): AsyncGenerator<Uint8Array> {
    const number = this.#tables++
    const flight: Promise<Taken>[] = []
    let begin: SpoolTable | null = { path, leads, what, runBytes }
    let buffer = this.#buffer()
    let filled = 0
    for await (const chunk of chunks) {
      for (let at = 0; at < chunk.length; ) {
        if (filled === linesBytes) {
          flight.push(this.#ask({ table: number, buffer, length: filled, begin, last: false }))
          begin = null
          if (flight.length >= linesInFlight) yield await this.#next(flight)
          buffer = this.#buffer()
          filled = 0
        }
        const part = chunk.subarray(at, at + linesBytes - filled)
        new Uint8Array(buffer).set(part, filled)
        filled += part.length
        at += part.length
      }
    }
    flight.push(this.#ask({ table: number, buffer, length: filled, begin, last: true }))
    while (flight.length > 0) yield await this.#next(flight)
  }

  async #next(flight: Promise<Taken>[]): Promise<Uint8Array> {
    const taken = await flight.shift()
    if (taken === undefined) throw new Error("no lines are under way: this is a bug")
    this.#free.push(taken.buffer)
    return taken.frames
  }

  #buffer(): ArrayBuffer {
    return this.#free.pop() ?? new ArrayBuffer(linesBytes)
  }

  #ask(task: SpoolTask): Promise<Taken> {
    if (this.#ended !== null) throw this.#ended
    this.#worker ??= this.#start()
    this.#worker.postMessage(task, [task.buffer])
    const { promise, resolve, reject } = Promise.withResolvers<Taken>()
    this.#waiting.push({ resolve, reject })
    // Whoever waits for it hears of a failure, unless one that came before ended the table.
    promise.catch(() => undefined)
    return promise
  }

  #start(): Worker {
    const script = new URL(import.meta.url.endsWith(".ts") ? "./spool-thread.ts" : "./spool-thread.js", import.meta.url)
    const worker = new Worker(script, { resourceLimits: { maxYoungGenerationSizeMb: youngGenerationMb } })
    worker.on("message", (reply: SpoolReply) => {
      const next = this.#waiting.shift()
      if (reply.type === "taken") next?.resolve(reply)
      else next?.reject(revive(reply))
    })
    worker.on("error", (cause) => this.#end(new Error(`a thread that reads rows ended: ${reasonOf(cause)}`, { cause })))
    worker.on("exit", (code) => this.#end(new Error(`a thread that reads rows ended with code ${String(code)}`)))
    return worker
  }

  #end(error: Error): void {
    this.#ended ??= error
    for (const { reject } of this.#waiting.splice(0)) reject(this.#ended)
  }
}

// What it allocates does not live long: in a nursery that stays in the processor's cache it is faster.
const youngGenerationMb = 4

// Error classes do not survive the border between threads; their fields do.
function revive({ message, job, hint }: Extract<SpoolReply, { type: "failed" }>): Error {
  return job ? new JobError("job/source", message, hint === undefined ? {} : { hint }) : new Error(message)
}
