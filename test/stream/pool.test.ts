import type { Worker } from "node:worker_threads"
import { afterEach, beforeEach, expect, test } from "vitest"
import { WorkerPool } from "../../src/stream/pool.ts"

let threads: Worker[] = []
const remember = (worker: Worker) => {
  threads.push(worker)
}

beforeEach(() => {
  threads = []
  process.on("worker", remember)
})

afterEach(() => {
  process.off("worker", remember)
})

/** A pool whose threads run; the first of them can be ended as a crash would. */
async function awake(size: number): Promise<WorkerPool> {
  const pool = new WorkerPool(size)
  pool.wake()
  // Node tells of a new thread in the next turn.
  await new Promise((resolve) => setImmediate(resolve))
  expect(threads).toHaveLength(size)
  return pool
}

async function crash(index: number): Promise<void> {
  await threads[index]?.terminate()
}

function nothing() {
  return { type: "extract" as const, fetched: [], segments: [], target: null, owners: false, audit: false }
}

test("a task at work when its thread ends is refused", async () => {
  await using pool = await awake(1)
  const running = pool.extract(nothing())
  const [outcome] = await Promise.all([running.catch((error: unknown) => error), crash(0)])
  expect(String(outcome)).toMatch(/worker thread ended/)
})

test("a task that must go to a thread that has ended is refused at once", async () => {
  await using pool = await awake(2)
  await crash(0)
  await expect(pool.extract(nothing(), 0)).rejects.toThrow(/worker thread ended/)
  await expect(pool.extract(nothing(), 0)).rejects.toThrow(/worker thread ended/)
})

test("tasks that may go anywhere go to the threads that live; where none does, they are refused", async () => {
  await using pool = await awake(2)
  await crash(0)
  for (let i = 0; i < 4; i++) await expect(pool.extract(nothing())).resolves.toMatchObject({ type: "extracted" })
  await crash(1)
  await expect(pool.extract(nothing())).rejects.toThrow(/worker thread ended/)
  await expect(pool.compare({ type: "compare", target: "/nowhere", files: [] })).rejects.toThrow(/worker thread ended/)
})

test("what was begun can be abandoned though a thread has ended, and then all of them take work again", async () => {
  await using pool = await awake(2)
  await crash(0)
  await pool.abandon()
  for (const affinity of [0, 1, 2, 3]) await expect(pool.extract(nothing(), affinity)).resolves.toMatchObject({ type: "extracted" })
  expect(threads).toHaveLength(3)
})

test("what was begun can be abandoned while a thread ends", async () => {
  await using pool = await awake(2)
  await Promise.all([crash(0), pool.abandon()])
  await expect(pool.extract(nothing(), 1)).resolves.toMatchObject({ type: "extracted" })
})

test("a task that cannot be sent disturbs no other", async () => {
  await using pool = await awake(1)
  const buffer = new ArrayBuffer(8)
  structuredClone(buffer, { transfer: [buffer] })
  const task = { type: "pack" as const, segments: [], buffer, reopen: "all" as const }
  await expect(pool.pack(task)).rejects.toThrow()
  await expect(pool.extract(nothing())).resolves.toMatchObject({ type: "extracted" })
})
