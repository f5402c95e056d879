import { expect, test } from "vitest"
import { packBytesTarget } from "../src/limits.ts"
import { release, takeRoom } from "../src/memory.ts"

test("memory that was released is used for the next large read, and only for one", () => {
  const first = takeRoom(packBytesTarget)
  release(first)
  release(first)
  const [second, third] = [takeRoom(packBytesTarget - 1), takeRoom(packBytesTarget)]
  expect(second.buffer).toBe(first.buffer)
  expect(second).toHaveLength(packBytesTarget - 1)
  expect(third.buffer).not.toBe(first.buffer)
  release(second)
  release(third)
})

test("what is in use is never given to another", () => {
  const held = Array.from({ length: 4 }, () => takeRoom(packBytesTarget))
  expect(new Set(held.map(({ buffer }) => buffer)).size).toBe(4)
  for (const room of held) release(room)
})

test("memory that nobody took from here stays whose it is", () => {
  const foreign = new Uint8Array(new SharedArrayBuffer(packBytesTarget))
  release(foreign)
  expect(takeRoom(packBytesTarget).buffer).not.toBe(foreign.buffer)
})

test("a short read gets a buffer of its own, whose memory goes with it", () => {
  const short = takeRoom(1000)
  expect(short.buffer.byteLength).toBe(1000)
  release(short)
  expect(short).toHaveLength(0)
})
