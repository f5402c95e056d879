import { setImmediate as nextTurn } from "node:timers/promises"
import { expect, test } from "vitest"
import { ByteBudget } from "../../src/operation/budget.ts"

/** Pieces of work that begin when they may, and end when they are told to. */
function works(budget: ByteBudget) {
  const begun: string[] = []
  const ends = new Map<string, () => void>()
  const all: Promise<void>[] = []
  return {
    begun,
    ask(name: string, bytes: number) {
      const ended = new Promise<void>((resolve) => ends.set(name, resolve))
      const work = budget.within(bytes, async () => {
        begun.push(name)
        await ended
      })
      all.push(work)
    },
    async end(name: string) {
      ends.get(name)?.()
      await nextTurn()
    },
    all: () => Promise.all(all),
  }
}

test("work begins while its bytes fit, in the order in which it was asked for", async () => {
  const { ask, end, begun, all } = works(new ByteBudget(10))
  ask("a", 6)
  ask("b", 6)
  ask("c", 1)
  await nextTurn()
  expect(begun).toEqual(["a"])
  await end("a")
  expect(begun).toEqual(["a", "b", "c"])
  await end("b")
  await end("c")
  await all()
})

test("what is larger than all of it is done alone", async () => {
  const { ask, end, begun, all } = works(new ByteBudget(10))
  ask("small", 1)
  ask("huge", 50)
  ask("next", 1)
  await nextTurn()
  expect(begun).toEqual(["small"])
  await end("small")
  expect(begun).toEqual(["small", "huge"])
  await end("huge")
  expect(begun).toEqual(["small", "huge", "next"])
  await end("next")
  await all()
})

test("work that fails gives its bytes back", async () => {
  const budget = new ByteBudget(10)
  await expect(budget.within(10, () => Promise.reject(new Error("no")))).rejects.toThrow("no")
  await expect(budget.within(10, () => Promise.resolve("yes"))).resolves.toBe("yes")
})
