import fc from "fast-check"
import { expect, test } from "vitest"
import { type AlarmMemory, type AlarmRules, type Concern, look, type Message, type Severity, take } from "../../src/alarm/alarm.ts"

const minute = 60_000
const hour = 60 * minute
const start = Date.UTC(2031, 2, 4, 12)
const rules: AlarmRules = {
  channels: { warning: ["mail"], critical: ["mail", "pager"] },
  settleMs: 10 * minute,
  isQuiet: () => false,
  escalation: [
    { afterMs: 30 * minute, channels: ["second"] },
    { afterMs: 2 * hour, channels: ["boss"] },
  ],
  digest: null,
}
const nothing: AlarmMemory = { alarms: [], digestMs: 0 }

function concern(id: string, severity: Severity = "critical"): Concern {
  return { id, severity, text: `${id} is wrong`, next: null }
}

interface Look {
  readonly at: number
  readonly found: readonly Concern[]
  readonly doubtful?: readonly string[]
  readonly rules?: AlarmRules
}

/** What was sent at each of several looks, as "kind id,id > channel,channel". */
function played(looks: readonly Look[], before = nothing): { readonly sent: string[][]; readonly memory: AlarmMemory } {
  const sent: string[][] = []
  let memory = before
  for (const { at, found, doubtful = [], rules: given = rules } of looks) {
    const round = look(memory, found, given, { now: new Date(start + at), doubtful })
    memory = round.memory
    sent.push(round.messages.map(shown))
  }
  return { sent, memory }
}

function shown({ kind, channels, alarms }: Message): string {
  return `${kind} ${alarms.map(({ id }) => id).join(",")} > ${channels.join(",")}`
}

test("an alarm is told once when it begins and once when it is over", () => {
  const found = [concern("job-late cdrs")]
  const { sent, memory } = played([
    { at: 0, found },
    { at: minute, found },
    { at: 2 * minute, found: [] },
    { at: 11 * minute, found: [] },
    { at: 12 * minute, found: [] },
    { at: 13 * minute, found: [] },
  ])
  expect(sent).toEqual([["opened job-late cdrs > mail,pager"], [], [], [], ["over job-late cdrs > mail,pager"], []])
  expect(memory.alarms).toEqual([])
})

test("what comes and goes within the time to settle is one alarm", () => {
  const looks = Array.from({ length: 40 }, (_, index) => ({
    at: index * minute,
    found: index % 5 === 0 ? [concern("site-away one", "warning")] : [],
  }))
  expect(played(looks).sent.flat()).toEqual(["opened site-away one > mail"])
})

test("a warning that becomes critical is told again, and to more people; the other way nothing is said", () => {
  const { sent } = played([
    { at: 0, found: [concern("lock s3", "warning")] },
    { at: minute, found: [concern("lock s3", "critical")] },
    { at: 2 * minute, found: [concern("lock s3", "warning")] },
    { at: 3 * minute, found: [concern("lock s3", "critical")] },
    { at: 4 * minute, found: [concern("lock s3", "warning")] },
    { at: 5 * minute, found: [] },
    { at: 20 * minute, found: [] },
  ])
  expect(sent.flat()).toEqual(["opened lock s3 > mail", "worsened lock s3 > mail,pager", "over lock s3 > mail,pager"])
})

test("a critical alarm that nobody takes goes up step by step; one that is taken does not", () => {
  const found = [concern("job-late cdrs"), concern("small", "warning")]
  const at = [0, 29, 30, 31, 119, 120, 500].map((minutes) => ({ at: minutes * minute, found }))
  expect(played(at).sent.map((messages) => messages.filter((message) => message.startsWith("escalated")))).toEqual([
    [],
    [],
    ["escalated job-late cdrs > second"],
    [],
    [],
    ["escalated job-late cdrs > boss"],
    [],
  ])
  const first = played(at.slice(0, 3))
  const rest = played(at.slice(3), take(first.memory, "job-late cdrs", "ada"))
  expect(rest.sent.flat()).toEqual([])
  const over = played(
    [
      { at: 600 * minute, found: [] },
      { at: 700 * minute, found: [] },
    ],
    first.memory,
  )
  expect(over.sent.flat()).toContain("over job-late cdrs > mail,pager,second")
})

test("in quiet hours warnings wait for their end and critical alarms do not; what was over before is never told", () => {
  const quiet: AlarmRules = { ...rules, isQuiet: (now) => now.getTime() < start + 8 * hour }
  const warning = concern("site-away one", "warning")
  const { sent } = played([
    { at: 0, found: [warning, concern("passing", "warning"), concern("job-late cdrs")], rules: quiet },
    { at: hour, found: [warning], rules: quiet },
    { at: 2 * hour, found: [warning], rules: quiet },
    { at: 8 * hour, found: [warning], rules: quiet },
  ])
  expect(sent[0]).toEqual(["opened job-late cdrs > mail,pager"])
  expect(sent.slice(1, 3).flat()).toEqual(["over job-late cdrs > mail,pager"])
  expect(sent[3]).toEqual(["opened site-away one > mail"])
})

test("what could not be looked for is neither over nor new", () => {
  const found = [concern("site-away one"), concern("job-late cdrs")]
  const { sent, memory } = played([
    { at: 0, found },
    { at: hour, found: [], doubtful: ["site-"] },
    { at: 2 * hour, found: [], doubtful: ["site-"] },
    { at: 3 * hour, found: [concern("site-away one")] },
  ])
  expect(
    sent
      .slice(1)
      .flat()
      .filter((message) => !message.startsWith("escalated")),
  ).toEqual(["over job-late cdrs > mail,pager"])
  expect(memory.alarms.map(({ id }) => id)).toEqual(["site-away one"])
})

test("all that one round tells the same people is one message", () => {
  const found = ["a", "b", "c"].map((name) => concern(`job-late ${name}`))
  expect(played([{ at: 0, found }]).sent).toEqual([["opened job-late a,job-late b,job-late c > mail,pager"]])
})

test("each day's digest is sent once, also where nothing is open, and after the daemon was down", () => {
  const day = 24 * hour
  const digest: AlarmRules = { ...rules, digest: { channels: ["boss"], lastDue: (now) => new Date(Math.floor(now.getTime() / day) * day) } }
  const { sent } = played([
    { at: 0, found: [concern("small", "warning")], rules: digest },
    { at: hour, found: [concern("small", "warning")], rules: digest },
    { at: 12 * hour, found: [], rules: digest },
    { at: 5 * day, found: [], rules: digest },
  ])
  expect(sent.map((messages) => messages.filter((message) => message.startsWith("digest")))).toEqual([
    ["digest small > boss"],
    [],
    ["digest  > boss"],
    ["digest  > boss"],
  ])
})

test("whatever happens, what is open was told of, and each telling has its end", () => {
  const step = fc.record({
    after: fc.integer({ min: 1, max: 40 }),
    found: fc.uniqueArray(fc.tuple(fc.constantFrom("a", "b", "c"), fc.constantFrom<Severity>("warning", "critical")), {
      selector: ([id]) => id,
    }),
  })
  fc.assert(
    fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
      let at = 0
      const looks = steps.map(({ after, found }) => {
        at += after * minute
        return { at, found: found.map(([id, severity]) => concern(id, severity)) }
      })
      const { sent, memory } = played([...looks, { at: at + hour, found: [] }, { at: at + 2 * hour, found: [] }])
      expect(memory.alarms).toEqual([])
      for (const id of ["a", "b", "c"]) {
        const told = sent.flat().flatMap((message) => {
          const [kind = "", ids = ""] = message.split(" ")
          return ids.split(",").includes(id) && (kind === "opened" || kind === "over") ? [kind] : []
        })
        expect(told).toEqual(told.map((_, index) => (index % 2 === 0 ? "opened" : "over")))
        expect(told.length % 2).toBe(0)
        expect(told.length > 0).toBe(looks.some(({ found }) => found.some((one) => one.id === id)))
      }
    }),
  )
})
