import { describe, expect, test } from "vitest"
import { loadJob } from "../../src/wiring/jobs.ts"
import { designConfig, designStateJob, jobProblems, project } from "../config/project.ts"

const job = (schedule: string) => designStateJob.replace('"15 * * * *"', schedule)

async function scheduleOf(text: string) {
  await using made = await project({ "config/holdline.yaml": designConfig, "jobs/a.yaml": job(text), "jobs/b.yaml": job('"0 3 * * *"') })
  return loadJob(await made.load(), "a").schedule
}

test("five cron fields are a schedule with the usual details", async () => {
  expect(await scheduleOf('"15 * * * *"')).toEqual({
    cron: "15 * * * *",
    catchUp: "latest",
    jitter: 0,
    blackout: [],
    inBlackout: "postpone",
    timeLimit: 24 * 3_600_000,
    after: [],
    priority: 50,
  })
})

test("a map says more", async () => {
  const text =
    '{cron: "15 * * * *", catchUp: none, jitter: 5m, timeLimit: 4h, after: [b], priority: 80, inBlackout: skip, blackout: [{days: [sat], from: "22:00", to: "04:30"}, {from: "12:00", to: "24:00"}]}'
  expect(await scheduleOf(text)).toEqual({
    cron: "15 * * * *",
    catchUp: "none",
    jitter: 300_000,
    blackout: [
      { days: ["sat"], from: 1320, to: 270 },
      { days: ["sun", "mon", "tue", "wed", "thu", "fri", "sat"], from: 720, to: 1440 },
    ],
    inBlackout: "skip",
    timeLimit: 4 * 3_600_000,
    after: ["b"],
    priority: 80,
  })
})

describe("a schedule is refused, with the place and what was expected, for", () => {
  const fields = 'expected five cron fields (minute, hour, day of month, month, day of week) such as "*/30 * * * *"'
  test.each([
    ["a bad field", '"15 25 * * *"', [`6:11: ${fields}; the hour cannot be`]],
    ["a bad field in a map", '{cron: "75 * * * *"}', [`6:18: ${fields}; the minute cannot be`]],
    ["six fields", '{cron: "0 15 * * * *"}', [`6:18: ${fields}`]],
    [
      "no cron",
      "{priority: 3}",
      [
        '6:1: missing key "cron": expected cron schedule (when it runs, as five cron fields: minute, hour, day of month, month, day of week)',
      ],
    ],
    ["an unknown key", '{cron: "15 * * * *", jiter: 5m}', ['6:32: unknown key "jiter": did you mean "jitter"?']],
    [
      "an unknown way of catching up",
      '{cron: "15 * * * *", catchUp: lates}',
      ['6:41: expected "latest", "all" or "none": did you mean "latest"?'],
    ],
    [
      "a window without an end",
      '{cron: "15 * * * *", blackout: [{from: "08:00", to: "08:00"}]}',
      ["6:63: expected a window that begins before it ends"],
    ],
    [
      "a time that is none",
      '{cron: "15 * * * *", blackout: [{from: "8:00", to: "25:00"}]}',
      ['6:50: expected a time of day from "00:00" to "24:00"', '6:62: expected a time of day from "00:00" to "24:00"'],
    ],
    [
      "windows that leave no time",
      '{cron: "15 * * * *", blackout: [{from: "00:00", to: "24:00"}]}',
      ["6:42: expected windows that leave some time in the week"],
    ],
    ["a limit without a sense", '{cron: "15 * * * *", timeLimit: 30d}', ["6:43: expected 1m to 7d"]],
    ["a list", "[1]", ["6:11: expected cron schedule or map, found a list"]],
  ])("%s", async (_, schedule, problems) => {
    expect(await jobProblems(job(schedule))).toEqual(problems.map((each) => `jobs/job.yaml:${each}`))
  })
})

describe("an order of jobs is refused where", () => {
  async function problems(files: Readonly<Record<string, string>>): Promise<Record<string, string>> {
    const jobs = Object.fromEntries(Object.entries(files).map(([name, schedule]) => [`jobs/${name}.yaml`, job(schedule)]))
    await using made = await project({ "config/holdline.yaml": designConfig, ...jobs })
    return Object.fromEntries([...(await made.load()).invalidJobs].map(([name, { message }]) => [name, message]))
  }
  const behind = (...names: readonly string[]) => `{cron: "0 2 * * *", after: [${names.join(", ")}]}`

  test("a job does not exist", async () => {
    expect(await problems({ media: behind("databse"), database: '"0 2 * * *"' })).toEqual({
      media: 'jobs/media.yaml:6:39: no such job: did you mean "database"?',
    })
  })

  test("a job has no schedule", async () => {
    await using made = await project({
      "config/holdline.yaml": designConfig,
      "jobs/media.yaml": job(behind("database")),
      "jobs/database.yaml": designStateJob.replace(/schedule: .*\n/, ""),
    })
    const { invalidJobs } = await made.load()
    expect(invalidJobs.get("media")?.message).toBe("jobs/media.yaml:6:39: job database has no schedule: nothing of it would be waited for")
  })

  test("jobs would wait for one another, or for themselves", async () => {
    expect(await problems({ a: behind("b"), b: behind("c"), c: behind("a"), d: behind("a"), e: behind("e") })).toEqual({
      a: "jobs/a.yaml:6:39: a and b would wait for one another",
      b: "jobs/b.yaml:6:39: b and c would wait for one another",
      c: "jobs/c.yaml:6:39: c and a would wait for one another",
      e: "jobs/e.yaml:6:39: e would wait for itself",
    })
  })
})
