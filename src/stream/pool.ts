import { Worker } from "node:worker_threads"
import {
  type BackupError,
  FormatError,
  type FormatErrorCode,
  JobError,
  type JobErrorCode,
  KeyError,
  type KeyErrorCode,
  reasonOf,
} from "../errors.ts"
import { movable, release } from "../memory.ts"
import type { Listing } from "./listing.ts"
import type { CompareDone, CompareTask, ExtractDone, ExtractTask, PackDone, PackTask, Reply, SealTask, Task, TaskFailed } from "./task.ts"
import { decodePackDone, encodePackTask } from "./wire.ts"

interface Waiting {
  resolve(reply: Reply): void
  reject(error: unknown): void
}

interface Member {
  /** Null until there is work: a run that finds nothing changed needs no thread. */
  worker: Worker | null
  /** Tasks sent and not answered, oldest first: a worker answers in order. */
  readonly waiting: Waiting[]
  /** Why the worker ended, with the files it had half done; null while it lives. It takes no task until those were abandoned. */
  ended: Error | null
}

/** The worker threads of one process. Tasks go to the least busy one, unless they must follow an earlier task of the same file. */
export class WorkerPool {
  readonly #members: readonly Member[]

  constructor(size: number) {
    this.#members = Array.from({ length: size }, () => ({ worker: null, waiting: [], ended: null }))
  }

  /** Starts so many of the threads now, for a caller who will have work in a moment: they take a while to begin. */
  wake(count = this.size): void {
    for (const member of this.#members.slice(0, count)) if (member.ended === null) workerOf(member)
  }

  get size(): number {
    return this.#members.length
  }

  /** Buffer and contents are moved to the worker: the caller gets the buffer back with the result. */
  async pack(task: PackTask, affinity?: number): Promise<PackDone> {
    const wire = encodePackTask(task)
    const moved = wire.segments.flatMap(({ rows, contents }) => [rows, ...contents].flatMap(movable))
    const reply = await this.#send(wire, [task.buffer, ...moved], affinity)
    if (reply.type === "packed") return decodePackDone(reply)
    throw unexpected(reply)
  }

  /** The age files of listings, in their order. The listings' tars are moved to the worker: the caller has them no longer. */
  async seal(listings: readonly Listing[]): Promise<readonly Uint8Array[]> {
    const task: SealTask = { type: "seal", listings: listings.map(({ tar, recipients }) => ({ tar, recipients })) }
    const tars = listings.flatMap(({ tar }) => movable(tar))
    const reply = await this.#send(task, tars)
    if (reply.type === "sealed") return reply.files
    throw unexpected(reply)
  }

  /** The fetched bytes are moved to the worker, or released when it is done with them: the caller has them no longer. */
  async extract(task: ExtractTask, affinity?: number): Promise<ExtractDone> {
    const fetched = task.fetched.flatMap(({ bytes }) => movable(bytes))
    try {
      const reply = await this.#send(task, fetched, affinity)
      if (reply.type === "extracted") return reply
      throw unexpected(reply)
    } finally {
      for (const { bytes } of task.fetched) release(bytes)
    }
  }

  async compare(task: CompareTask): Promise<CompareDone> {
    const reply = await this.#send(task, [])
    if (reply.type === "compared") return reply
    throw unexpected(reply)
  }

  /** Makes every worker forget files half done. One that ended has forgotten them: where it was, another is begun when there is work. */
  async abandon(): Promise<void> {
    await Promise.all(this.#members.map(forget))
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#members.map(({ worker }) => worker?.terminate()))
  }

  #send(task: Task, transfer: ArrayBuffer[], affinity?: number): Promise<Reply> {
    const members = this.#members
    const leastBusy = members.reduce((best, member) => (load(member) < load(best) ? member : best))
    const member = affinity === undefined ? leastBusy : (members[affinity % members.length] ?? leastBusy)
    return ask(member, task, transfer)
  }
}

function load({ waiting, ended }: Member): number {
  return ended === null ? waiting.length : Number.POSITIVE_INFINITY
}

async function ask(member: Member, task: Task, transfer: ArrayBuffer[]): Promise<Reply> {
  if (member.ended !== null) throw member.ended
  const worker = workerOf(member)
  // First, since it throws where a task cannot be sent: no answer will come then.
  worker.postMessage(task, transfer)
  worker.ref()
  return await new Promise((resolve, reject) => {
    member.waiting.push({ resolve, reject })
  })
}

async function forget(member: Member): Promise<void> {
  if (member.worker === null) return
  try {
    await ask(member, { type: "abandon" }, [])
  } catch (error) {
    if (member.ended === null) throw error
    member.worker = null
    member.ended = null
  }
}

// Threads allocate little that lives long: in a nursery that stays in the processor's cache they are faster, and 100 MB smaller.
const youngGenerationMb = 6

function workerOf(member: Member): Worker {
  member.worker ??= startWorker(member)
  return member.worker
}

function startWorker(member: Member): Worker {
  const { waiting } = member
  const script = new URL(import.meta.url.endsWith(".ts") ? "./worker.ts" : "./worker.js", import.meta.url)
  const worker = new Worker(script, { resourceLimits: { maxYoungGenerationSizeMb: youngGenerationMb } })
  const end = (error: Error) => {
    // An uncaught error is followed by an exit, perhaps when another has taken this one's place.
    if (member.worker !== worker || member.ended !== null) return
    member.ended = error
    for (const { reject } of waiting.splice(0)) reject(error)
  }
  worker.on("message", (reply: Reply) => {
    const next = waiting.shift()
    if (reply.type === "failed") next?.reject(revive(reply))
    else next?.resolve(reply)
    // Only work in flight keeps the process alive, not idle threads.
    if (waiting.length === 0) worker.unref()
  })
  worker.on("error", (cause) => {
    end(new Error(`a worker thread ended: ${reasonOf(cause)}`, { cause }))
  })
  worker.on("exit", (code) => {
    end(new Error(`a worker thread ended with code ${String(code)}`))
  })
  worker.unref()
  return worker
}

// A worker posts only codes of its error's own class, so the class follows from the name.
function revive(failed: TaskFailed): BackupError | Error {
  const details = failed.hint === undefined ? {} : { hint: failed.hint }
  if (failed.name === "FormatError") return new FormatError(failed.code as FormatErrorCode, failed.message, details)
  if (failed.name === "KeyError") return new KeyError(failed.code as KeyErrorCode, failed.message, details)
  if (failed.name === "JobError") return new JobError(failed.code as JobErrorCode, failed.message, details)
  return Object.assign(new Error(failed.message), { name: failed.name, stack: failed.stack ?? "" })
}

function unexpected(reply: Reply): Error {
  return new Error(`a worker thread answered ${reply.type} to another question`)
}

/** Pack buffers in flight, being built or sent: the one budget of memory. Whoever takes one waits until one is free. */
export class PackBuffers {
  readonly #free: ArrayBuffer[] = []
  readonly #waiting: ((buffer: ArrayBuffer) => void)[] = []
  readonly #bytes: number
  #unmade: number

  constructor(count: number, bytes: number) {
    this.#unmade = count
    this.#bytes = bytes
  }

  async take(): Promise<ArrayBuffer> {
    return this.takeFree() ?? (await new Promise((resolve) => this.#waiting.push(resolve)))
  }

  /** One that is free now, or null: for who has one already, and must give that back before it waits. */
  takeFree(): ArrayBuffer | null {
    const free = this.#free.pop()
    if (free !== undefined) return free
    if (this.#unmade === 0) return null
    this.#unmade -= 1
    return new ArrayBuffer(this.#bytes)
  }

  /** For a buffer that a call which failed may still be reading: it is left to the collector, and a new one takes its place. */
  replace(): void {
    this.giveBack(new ArrayBuffer(this.#bytes))
  }

  giveBack(buffer: ArrayBuffer): void {
    const next = this.#waiting.shift()
    if (next === undefined) this.#free.push(buffer)
    else next(buffer)
  }
}
