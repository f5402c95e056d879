import { describe, expect, test } from "vitest"
import { loadJob } from "../../src/wiring/jobs.ts"
import { guardOf, jobLinks } from "../../src/wiring/links.ts"
import { designConfig, designStateJob, project } from "./project.ts"

const config = `${designConfig}databases:
  fusionpbx: {kind: postgres, host: /run/postgresql, name: fusionpbx, user: holdline}
  asteriskcdrdb: {kind: mariadb, host: /run/mysqld/mysqld.sock, name: asteriskcdrdb, user: holdline}
`
const shared = "class: recordings-90\nsites: [fra, s3-dub, gcs-bru]\n"
const rows = `version: 1\nmode: archive\nsource: {kind: cdrs, database: fusionpbx, profile: fusionpbx}\n${shared}`
const media = `version: 1\nmode: archive\nsource: {kind: directory, profile: fusionpbx, files: recordings}\nlinks: {from: cdrs}\n${shared}`

async function jobsOf(jobs: Readonly<Record<string, string>>) {
  const files = Object.entries(jobs).map(([name, text]) => [`jobs/${name}.yaml`, text])
  await using made = await project({ "config/holdline.yaml": config, ...Object.fromEntries(files) })
  return await made.load()
}

async function linksOf(jobs: Readonly<Record<string, string>>) {
  const loaded = await jobsOf(jobs)
  return await jobLinks(loadJob(loaded, "recordings"), loaded)
}

describe("a job of recordings", () => {
  test("takes from the profile of its rows where files are and when the platform purges them", async () => {
    expect(await linksOf({ cdrs: rows, recordings: media })).toEqual({
      ...{ from: "cdrs", days: 35, tolerate: 0, root: "/var/lib/freeswitch/recordings", settleMs: 300_000 },
      files: ["recordings"],
      rules: [{ files: "recordings", path: "{record_path}/{record_name}", days: 0, purgedMs: 90 * 86_400_000 }],
    })
    const other = rows.replaceAll("fusionpbx}", "freepbx}").replace("database: fusionpbx", "database: asteriskcdrdb")
    const freepbx = media.replace("fusionpbx", "freepbx").replace("{from: cdrs}", "{from: cdrs, window: 7d, tolerate: 3}")
    expect(await linksOf({ cdrs: other, recordings: freepbx })).toMatchObject({
      ...{ days: 7, tolerate: 3, root: "/var/spool/asterisk/monitor" },
      rules: [{ files: "recordings", path: "{yyyy}/{MM}/{dd}/{recordingfile}", days: 1 }],
    })
  })

  test("that says its directory itself is held against the rows whose media the profile knows there, or against all", async () => {
    const at = (path: string) =>
      media.replace("profile: fusionpbx, files: recordings", `path: ${path}, template: "{account}/{yyyy}/{MM}/{dd}/{name}"`)
    const more = '{files: voicemail, path: "{record_name}"}, {files: recordings, path: "{record_path}/{record_name}"}'
    const voicemail = rows.replace(
      "profile: fusionpbx}",
      `profile: fusionpbx, overrides: {databases: {fusionpbx: {cdrs: {v_xml_cdr: {media: [${more}]}}}}}}`,
    )
    const known = await linksOf({ cdrs: voicemail, recordings: at("/var/lib/freeswitch/recordings/") })
    expect(known).toMatchObject({ files: ["recordings"], rules: [{ files: "recordings" }] })
    const unknown = await linksOf({ cdrs: voicemail, recordings: at("/srv/calls") })
    expect(unknown?.files).toBeUndefined()
    expect(unknown?.rules.map(({ files }) => files)).toEqual(["voicemail", "recordings"])
  })

  test("without links has none", async () => {
    expect(await linksOf({ cdrs: rows, recordings: media.replace("links: {from: cdrs}\n", "") })).toBeUndefined()
  })

  test("whose rows no job captures is refused, with those there are; a job that is wrong takes no other with it", async () => {
    const loaded = await jobsOf({ calls: rows, recordings: media })
    expect(() => loadJob(loaded, "recordings")).toThrow(
      /recordings\.yaml:\d+:\d+: no job captures rows as the dataset cdrs: expected .*calls/,
    )
    const wrong = await jobsOf({ cdrs: rows.replace("mode", "mdoe"), recordings: media })
    expect([...wrong.jobs.keys()]).toEqual(["recordings"])
    expect(await jobLinks(loadJob(wrong, "recordings"), wrong)).toMatchObject({ from: "cdrs", rules: [] })
  })

  test.each([
    ["links: {from: cdrs, window: 91d}", "expected 1d to 90d"],
    ["links: {from: cdrs, window: 12h}", "expected 1d to 90d"],
    ["links: {}", "from"],
    ["guard: {change: 0}", "expected a share above 0"],
    ["guard: {change: 30}", "expected a share of at most 1"],
    ["guard: {shrink: 0.5}", "an archive only gains things: remove `shrink`"],
  ])("with %s is refused", async (line, why) => {
    const loaded = await jobsOf({ cdrs: rows, recordings: media.replace("links: {from: cdrs}", line) })
    expect(() => loadJob(loaded, "recordings")).toThrow(why)
  })
})

test.each([
  ["links: {from: cdrs}", "rows point at files: expected an archive of a directory"],
  ["guard: {change: 0.3}", "expected an archive of a directory: remove `change`"],
])("a state with %s is refused", async (line, why) => {
  const loaded = await jobsOf({ cdrs: rows, switch: `${designStateJob}${line}\n` })
  expect(() => loadJob(loaded, "switch")).toThrow(why)
})

test("a database may lose less than a directory before it is an anomaly, and only files are watched for change", () => {
  const directory = { kind: "directory" as const, path: "/x" }
  const command = { kind: "command" as const, command: ["x"] as [string, ...string[]], account: "platform", name: "x" }
  expect(guardOf({ mode: "state", source: directory, guard: undefined })).toEqual({ shrink: 0.9 })
  expect(guardOf({ mode: "state", source: command, guard: undefined })).toEqual({ shrink: 0.5 })
  expect(guardOf({ mode: "state", source: command, guard: { shrink: 0.2 } })).toEqual({ shrink: 0.2 })
  expect(guardOf({ mode: "archive", source: directory, guard: undefined })).toMatchObject({ change: 0.3 })
  expect(guardOf({ mode: "archive", source: { kind: "cdrs", database: "x", profile: "x" }, guard: undefined })).not.toHaveProperty("change")
})
