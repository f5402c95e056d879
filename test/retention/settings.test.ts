import { expect, test } from "vitest"
import type { Job } from "../../src/wiring/jobs.ts"
import { loadJob } from "../../src/wiring/jobs.ts"
import { classesOfJob, retentionText } from "../../src/wiring/retention.ts"
import { designArchiveJob, designConfig, designStateJob, project } from "../config/project.ts"

const config = designConfig.replace(
  "  mixed-28: ",
  "  state-100:     {days: 100}\n  state-400:     {days: 400}\n  recordings-1825: {days: 1825}\n  mixed-28: ",
)

async function load(job: string, settings = config) {
  await using made = await project({ "config/holdline.yaml": settings, "jobs/a.yaml": job })
  const loaded = await made.load()
  return { loaded, job: () => loadJob(loaded, "a") }
}

async function refusal(job: string, settings = config): Promise<string> {
  const { loaded } = await load(job, settings)
  return loaded.invalidJobs.get("a")?.message ?? "taken"
}

test("a job may promote runs, give accounts classes of their own and say its bounds, and a run is told", async () => {
  const retention = `retention:
  promote: {weekly: state-100, monthly: state-400}
  min: 35
  max: 400
  because: our policy
`
  const { loaded, job } = await load(`${designStateJob}\n${retention}`)
  const asked: Job = job()
  expect(classesOfJob(asked, loaded.config)).toEqual({
    promote: { classes: { weekly: { name: "state-100", days: 100 }, monthly: { name: "state-400", days: 400 } }, timezone: "UTC" },
  })
  expect(retentionText(asked, loaded.config)).toEqual([
    "runs are kept in class state-35 (35 days)",
    "the first whole run of a period, by the days of UTC: weekly state-100 (100 days), monthly state-400 (400 days)",
    "at least 35 days, at most 400: our policy",
  ])
  const accounts = `${designArchiveJob}\nretention: {accounts: {"8d3e8f3c": {class: recordings-1825, because: 16 CFR 310.5}}}\n`
  const archive = await load(accounts)
  expect(classesOfJob(archive.job(), archive.loaded.config)).toEqual({
    accountClasses: new Map([["8d3e8f3c", { name: "recordings-1825", days: 1825 }]]),
  })
  expect(retentionText(archive.job(), archive.loaded.config)).toContain("1 account has a class of its own")
  const plain = await load(designStateJob)
  expect(classesOfJob(plain.job(), plain.loaded.config)).toEqual({})
})

test.each([
  [
    "a class below the minimum",
    designArchiveJob,
    "{min: 550, because: 47 CFR 42.6}",
    "keeps 90 days, but `retention` says at least 550 days (47 CFR 42.6): expected a class of 550 days or more",
  ],
  [
    "a class above the maximum",
    designArchiveJob,
    "{max: 60}",
    "keeps 90 days, but `retention` says at most 60 days: expected a class of 60 days or fewer",
  ],
  [
    "an account above the maximum",
    designArchiveJob,
    "{max: 730, accounts: {x: {class: recordings-1825}}}",
    "keeps 1825 days, but `retention` says at most 730 days",
  ],
  [
    "a promotion above the maximum",
    designStateJob,
    "{max: 100, promote: {monthly: state-400}}",
    "keeps 400 days, but `retention` says at most 100 days",
  ],
  ["bounds that cross", designStateJob, "{min: 100, max: 50}", "expected at least `min`, 100"],
  ["a minimum below what any class can be", designStateJob, "{min: 7}", "expected at least 28 days"],
  ["an unknown class", designStateJob, "{promote: {weekly: state-101}}", 'unknown class: did you mean "state-100"?'],
  [
    "a promotion to a class that is no longer",
    designStateJob,
    "{promote: {weekly: mixed-28}}",
    "keeps 28 days: expected a class of more than 35 days",
  ],
  [
    "a month kept shorter than a week",
    designStateJob,
    "{promote: {weekly: state-400, monthly: state-100}}",
    "keeps 100 days: expected a class of more than 400 days",
  ],
  ["promotion in an archive", designArchiveJob, "{promote: {weekly: state-100}}", "expected state mode, or no `promote`"],
  [
    "promotion of what is kept under mixed",
    designStateJob.replace("account: platform", "account: mixed"),
    "{promote: {weekly: state-100}}",
    "kept in its own weekly class",
  ],
  [
    "a class of the account mixed",
    designArchiveJob,
    "{accounts: {mixed: {class: recordings-1825}}}",
    "the account mixed has a class of its own",
  ],
  [
    "an account in a class that runs are promoted to",
    designStateJob,
    "{promote: {weekly: state-100}, accounts: {x: {class: state-100}}}",
    "runs are promoted to this class",
  ],
  ["a rung that is none", designStateJob, "{promote: {hourly: state-100}}", 'unknown key "hourly"'],
])("%s is refused", async (_, job, retention, sentence) => {
  expect(await refusal(`${job}\nretention: ${retention}\n`)).toContain(sentence)
})

test("a configuration may say bounds for every class", async () => {
  await using made = await project({ "config/holdline.yaml": `${config}\nretention: {max: 730, because: 2002/58/EC}\n` })
  await expect(made.load()).rejects.toThrow(
    "keeps 1825 days, but `retention` says at most 730 days (2002/58/EC): expected a class of 730 days or fewer",
  )
})
