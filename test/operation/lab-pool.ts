import { afterAll } from "vitest"
import { WorkerPool } from "../../src/stream/pool.ts"

/** Workers for all labs of a test file, ended after its last test: to begin threads takes longer than most tests. Ask once, at the top. */
export function sharedPool(): WorkerPool {
  const pool = new WorkerPool(2)
  afterAll(async () => await pool[Symbol.asyncDispose]())
  return pool
}
