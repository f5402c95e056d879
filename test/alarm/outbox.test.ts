import { expect, test } from "vitest"
import type { Alarm, Message } from "../../src/alarm/alarm.ts"
import type { Channel } from "../../src/alarm/channel.ts"
import { channelConcerns, type Outbox, send } from "../../src/alarm/outbox.ts"
import { AlarmError } from "../../src/errors.ts"

const minute = 60_000
const start = Date.UTC(2031, 2, 4, 12)
const empty: Outbox = { letters: [], failing: [] }
const alarm: Alarm = {
  ...{ id: "job-late cdrs", severity: "critical", text: "cdrs is late", next: null },
  ...{ sinceMs: start, goneMs: null, told: true, escalated: 0, taken: null },
}

/** Channels that can be broken, and what they took. */
class Post {
  readonly broken = new Set<string>()
  readonly taken: string[] = []
  #ids = 0

  async send(outbox: Outbox, at: number, messages: readonly Message[], names = ["mail", "pager", "hook"]): Promise<Outbox> {
    return await send(outbox, messages, {
      channels: names.map((name) => this.#channel(name)),
      host: "pbx-1",
      now: new Date(start + at),
      signal: new AbortController().signal,
      newId: () => String(++this.#ids),
    })
  }

  #channel(name: string): Channel {
    return {
      name,
      send: ({ kind, id }) => {
        if (this.broken.has(name)) return Promise.reject(new AlarmError(name, "alarm/unreachable", "cannot be reached"))
        this.taken.push(`${name} ${kind} ${id}`)
        return Promise.resolve()
      },
    }
  }
}

const opened: Message = { kind: "opened", channels: ["mail", "pager"], alarms: [alarm] }

test("each of a message's channels gets it, once", async () => {
  const post = new Post()
  const outbox = await post.send(empty, 0, [opened])
  expect(outbox).toEqual(empty)
  expect(await post.send(outbox, minute, [])).toEqual(empty)
  expect(post.taken).toEqual(["mail opened 1", "pager opened 1"])
})

test("what a channel does not take is tried again, ever more seldom, and is an alarm by the others", async () => {
  const post = new Post()
  post.broken.add("mail")
  let outbox = await post.send(empty, 0, [opened])
  expect(post.taken).toEqual(["pager opened 1"])
  expect(channelConcerns(outbox, new Date(start + 5 * minute))).toMatchObject([
    { id: "channel mail", severity: "critical", text: expect.stringContaining("mail: cannot be reached, since 5m") },
  ])
  const tried: number[] = []
  for (let at = 1; at < 200; at++) {
    const before = outbox.letters[0]?.attempts
    outbox = await post.send(outbox, at * minute, [])
    if (outbox.letters[0]?.attempts !== before) tried.push(at)
  }
  expect(tried).toEqual([1, 3, 7, 15, 31, 63, 123, 183])
  post.broken.clear()
  outbox = await post.send(outbox, 300 * minute, [])
  expect(outbox).toEqual(empty)
  expect(post.taken).toEqual(["pager opened 1", "mail opened 1"])
})

test("where none of a message's channels takes it, every other one is asked at once", async () => {
  const post = new Post()
  for (const name of ["mail", "pager"]) post.broken.add(name)
  const outbox = await post.send(empty, 0, [opened])
  expect(post.taken).toEqual(["hook opened 1"])
  expect(outbox.letters.map(({ channel }) => channel)).toEqual(["mail", "pager"])
})

test("a digest that nobody takes goes to nobody else", async () => {
  const post = new Post()
  post.broken.add("mail")
  await post.send(empty, 0, [{ kind: "digest", channels: ["mail"], alarms: [] }])
  expect(post.taken).toEqual([])
})

test("a letter is given up after a day, and one to a channel that is configured no more at once", async () => {
  const post = new Post()
  post.broken.add("mail")
  const outbox = await post.send(empty, 0, [opened])
  expect((await post.send(outbox, 25 * 60 * minute, [])).letters).toEqual([])
  expect(await post.send(outbox, minute, [], ["pager"])).toEqual(empty)
})
