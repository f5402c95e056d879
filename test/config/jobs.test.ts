import { expect, test } from "vitest"
import { loadJob } from "../../src/wiring/jobs.ts"
import { designArchiveJob, designConfig, designStateJob, jobProblems, project } from "./project.ts"

test("a job that is wrong fails alone, and says why when it is asked for", async () => {
  await using made = await project({
    "config/holdline.yaml": designConfig,
    "jobs/good.yaml": designStateJob,
    "jobs/bad.yaml": designStateJob.replace("mode:", "mdoe:"),
  })
  const loaded = await made.load()
  expect(loadJob(loaded, "good").name).toBe("good")
  expect(() => loadJob(loaded, "bad")).toThrow('jobs/bad.yaml:2:1: unknown key "mdoe": did you mean "mode"?')
  expect([...loaded.jobs.keys()]).toEqual(["good"])
  expect([...loaded.invalidJobs.keys()]).toEqual(["bad"])
})

test("a job that does not exist suggests the nearest", async () => {
  await using made = await project({ "config/holdline.yaml": designConfig, "jobs/call-recordings.yaml": designArchiveJob })
  const loaded = await made.load()
  expect(() => loadJob(loaded, "call-recording")).toThrow(
    expect.objectContaining({
      code: "config/not-found",
      message: `no such job: ${made.path("jobs/call-recording.yaml")}`,
      hint: "did you mean call-recordings?",
    }),
  )
  expect(() => loadJob(loaded, "../../etc/passwd")).toThrow("no such job: a job's name has lower-case letters, digits and dashes")
})

test("examples, other files and directories are no jobs; a file that looks like one is not passed over in silence", async () => {
  await using made = await project({
    "config/holdline.yaml": designConfig,
    "jobs/a.example.yaml": "nonsense",
    "jobs/job.schema.json": "{}",
    "jobs/runbooks/fire.yaml": "nonsense",
    "jobs/.hidden.yaml": "nonsense",
    "jobs/Upper.yaml": designStateJob,
    "jobs/short.yml": designStateJob,
  })
  const { jobs, invalidJobs } = await made.load()
  expect([...jobs.keys()]).toEqual([])
  expect([...invalidJobs].map(([name, error]) => [name, error.message])).toEqual([
    ["Upper", "jobs/Upper.yaml:1:1: a job's file is its name and .yaml: expected 1 to 63 lower-case letters, digits and dashes"],
    ["short", "jobs/short.yml:1:1: a job's file is its name and .yaml: expected 1 to 63 lower-case letters, digits and dashes"],
  ])
})

test("one name in two files is one job too many", async () => {
  await using made = await project({ "config/holdline.yaml": designConfig, "jobs/a.yaml": designStateJob, "jobs/a.yml": designStateJob })
  const loaded = await made.load()
  expect(() => loadJob(loaded, "a")).toThrow("jobs/a.yml:1:1: ")
})

test("one dataset in two jobs is refused for both, where it is said or not", async () => {
  await using made = await project({
    "config/holdline.yaml": designConfig,
    "jobs/switch-config.yaml": designStateJob,
    "jobs/other.yaml": `${designStateJob}dataset: switch-config\n`,
    "jobs/third.yaml": designStateJob,
  })
  const loaded = await made.load()
  expect([...loaded.jobs.keys()]).toEqual(["third"])
  expect(() => loadJob(loaded, "other")).toThrow(
    "jobs/other.yaml:8:10: dataset switch-config is already job switch-config's: expected a dataset of its own",
  )
  expect(() => loadJob(loaded, "switch-config")).toThrow("dataset switch-config is already job other's")
})

test("a job may ask for more copies, and gets them", async () => {
  await using made = await project({ "config/holdline.yaml": designConfig, "jobs/a.yaml": `${designStateJob}\ndurable: {copies: 3}\n` })
  expect(loadJob(await made.load(), "a").durable).toEqual({ copies: 3, providers: 2 })
})

test("in archive mode, what the source still holds is captured again unless the job says otherwise", async () => {
  await using made = await project({
    "config/holdline.yaml": designConfig,
    "jobs/a.yaml": designArchiveJob.replace("afterExpiry: let-go", "dataset: calls"),
  })
  expect(loadJob(await made.load(), "a")).toMatchObject({ afterExpiry: "recapture", dataset: "calls" })
})

test("two sites of one provider are two copies at one provider", async () => {
  const config = designConfig.replace("provider: aws", "provider: own")
  const job = designStateJob.replace("[fra, s3-dub, gcs-bru]", "[fra, s3-dub]")
  expect(await jobProblems(job, config)).toEqual([
    "jobs/job.yaml:5:8: can never be durable: 2 providers are asked for, but the job's sites are of 1 provider: own",
  ])
  expect(await jobProblems(job, config.replace("providers: 2}", "providers: 1}"))).toEqual([])
})

function recordings(source: string): string {
  return designArchiveJob.replace(/source:[\s\S]*settle: 5m\n/, `source: {kind: directory, ${source}}\n`)
}

test("a directory of a profile has its path, template, settling and exclusions", async () => {
  await using made = await project({
    "config/holdline.yaml": designConfig,
    "jobs/a.yaml": recordings("profile: fusionpbx, files: recordings, timezone: Europe/Berlin"),
  })
  expect(loadJob(await made.load(), "a").source).toEqual({
    kind: "directory",
    profile: "fusionpbx",
    files: "recordings",
    path: "/var/lib/freeswitch/recordings",
    template: "{account}/archive/{yyyy}/{Mon}/{dd}/{name}",
    timezone: "Europe/Berlin",
    settle: 300_000,
    exclude: ["*/!(archive)"],
  })
})

test("what the job says of a profile's directory wins, and so do its overrides", async () => {
  await using made = await project({
    "config/holdline.yaml": designConfig,
    "jobs/a.yaml": recordings("profile: freepbx, files: recordings, account: maple, settle: 10m, exclude: [x]"),
    "jobs/b.yaml": recordings(
      "profile: fusionpbx, files: recordings, overrides: {files: {recordings: {path: /usr/local/freeswitch/recordings}}}",
    ),
    "jobs/c.yaml": recordings('profile: asterisk, files: recordings, template: "{account}/{yyyy}{MM}{dd}/{name}"'),
  })
  const loaded = await made.load()
  expect(loadJob(loaded, "a").source).toMatchObject({
    path: "/var/spool/asterisk/monitor",
    template: "{yyyy}/{MM}/{dd}/{name}",
    account: "maple",
    settle: 600_000,
    exclude: ["x"],
  })
  expect(loadJob(loaded, "b").source).toMatchObject({ path: "/usr/local/freeswitch/recordings", settle: 300_000 })
  expect(loadJob(loaded, "c").source).not.toHaveProperty("account")
})

test("a profile of one's own is found beside the job, and what is wrong in it is said of its own lines", async () => {
  const own = `version: 1
platform: own
description: Our own switch
files:
  calls: {mode: archive, path: /srv/calls, template: "{account}/{yyyy}{MM}{dd}/{name}"}
`
  await using made = await project({
    "config/holdline.yaml": designConfig,
    "jobs/profiles/own.profile": own,
    "jobs/profiles/bad.profile": own.replace("mode: archive", "mdoe: archive"),
    "jobs/a.yaml": recordings("profile: profiles/own.profile, files: calls"),
    "jobs/b.yaml": recordings("profile: profiles/bad.profile, files: calls"),
  })
  const loaded = await made.load()
  expect(loadJob(loaded, "a").source).toMatchObject({ path: "/srv/calls" })
  expect(() => loadJob(loaded, "b")).toThrow('jobs/profiles/bad.profile:5:11: unknown key "mdoe": did you mean "mode"?')
})
