import { setFlagsFromString } from "node:v8"
import { runInNewContext } from "node:vm"
import { expect, test } from "vitest"
import { anyOf } from "../src/abort.ts"

/** Collects garbage, and what became garbage by that. */
async function collect(): Promise<void> {
  setFlagsFromString("--expose-gc")
  const gc: unknown = runInNewContext("gc")
  if (typeof gc !== "function") throw new Error("no gc")
  for (let round = 0; round < 5; round++) {
    gc()
    await new Promise((resolve) => setImmediate(resolve))
  }
}

/** A signal that was aborted by a controller that nobody holds any more, as a timer's is once it has fired. */
async function aborted(combine: (signal: AbortSignal) => AbortSignal): Promise<AbortSignal> {
  return await new Promise((resolve) => {
    const controller = new AbortController()
    const combined = combine(controller.signal)
    setTimeout(() => {
      controller.abort()
      resolve(combined)
    }, 1)
  })
}

test("an abort is not forgotten when whoever gave it is gone, through several signals", async () => {
  const other = new AbortController()
  const one = await aborted((signal) => anyOf(signal, other.signal))
  const two = await aborted((signal) => anyOf(anyOf(other.signal, signal), new AbortController().signal))
  await collect()
  expect(one.aborted).toBe(true)
  expect(two.aborted).toBe(true)
})
