import { describe, expect, test } from "vitest"
import { originText } from "../../src/wiring/origin.ts"
import { show } from "../../src/wiring/show.ts"
import { designArchiveJob, designConfig, designStateJob, project, refusal } from "./project.ts"

const minimal = `version: 1
agent: a
state: state
trust: {file: trust.json, root: "SHA256:…"}
sites: {one: {kind: directory, path: /one, provider: own, region: here}}
`

test("the plan's configuration and jobs are accepted as they stand there", async () => {
  await using made = await project({
    "config/holdline.yaml": designConfig,
    "jobs/call-recordings.yaml": designArchiveJob,
    "jobs/switch-config.yaml": designStateJob,
  })
  const loaded = await made.load()
  expect([...loaded.invalidJobs]).toEqual([])
  expect(loaded.config).toMatchObject({
    agent: "pbx-fra-1",
    spool: { max: 20 * 1024 ** 3 },
    signingKey: { file: "/etc/holdline/agent.key" },
    classes: { "recordings-90": { days: 90, reuseDays: 0, tier: { s3: "STANDARD_IA" } }, "mixed-28": { keyEpoch: "week" } },
  })
  expect(loaded.jobs.get("call-recordings")).toMatchObject({
    name: "call-recordings",
    dataset: "call-recordings",
    file: made.path("jobs/call-recordings.yaml"),
    source: { settle: 300_000 },
    objective: { rpo: 6 * 3_600_000, rto: 72 * 3_600_000 },
    durable: { copies: 2, providers: 2 },
    timezone: "UTC",
    afterExpiry: "let-go",
  })
  expect(loaded.jobs.get("switch-config")).not.toHaveProperty("afterExpiry")
})

test("what is left out has its default, and its origin says so", async () => {
  await using made = await project({ "config/holdline.yaml": minimal })
  const { config, origins } = await made.load()
  expect(config).toMatchObject({ spool: { max: 20 * 1024 ** 3 }, durable: { copies: 2, providers: 2 }, classes: {} })
  expect(config.signingKey).toBeUndefined()
  expect(origins.get("durable.copies")).toEqual({ default: true })
  expect(origins.get("spool.max")).toEqual({ default: true })
  expect(origins.get("agent")).toEqual({ file: "config/holdline.yaml", line: 2, col: 8 })
  expect(origins.get("sites.one.path")).toEqual({ file: "config/holdline.yaml", line: 5, col: 38 })
})

describe("the configuration is found", () => {
  const at = (agent: string): string => minimal.replace("agent: a", `agent: ${agent}`)

  test("at --config, then HOLDLINE_CONFIG, then ./config, then the system's place", async () => {
    await using made = await project({
      "flag.yaml": at("flag"),
      "env.yaml": at("env"),
      "config/holdline.yaml": at("cwd"),
      "etc/holdline.yaml": at("system"),
    })
    const env = { HOLDLINE_CONFIG: "env.yaml" }
    const agentOf = async (options: Parameters<typeof made.load>[0]): Promise<string> => (await made.load(options)).config.agent
    expect(await agentOf({ env, flags: { config: "flag.yaml" } })).toBe("flag")
    expect(await agentOf({ env })).toBe("env")
    expect(await agentOf({ env: { HOLDLINE_CONFIG: "" } })).toBe("cwd")
    expect(await agentOf({ cwd: made.path("etc") })).toBe("system")
  })

  test("nowhere: every place that was tried is named", async () => {
    await using made = await project({})
    const error = await refusal(made.load())
    expect(error.code).toBe("config/not-found")
    expect(error.message).toBe(`no configuration: looked for ${made.path("config/holdline.yaml")} and ${made.path("etc/holdline.yaml")}`)
  })

  test("not where it is said to be: no other is taken instead", async () => {
    await using made = await project({ "config/holdline.yaml": minimal })
    const error = await refusal(made.load({ env: { HOLDLINE_CONFIG: "/nowhere.yaml" } }))
    expect(error).toMatchObject({
      code: "config/not-found",
      message: "/nowhere.yaml: no such configuration file, though HOLDLINE_CONFIG names it",
    })
  })

  test("and files outside the working directory are named by their whole path", async () => {
    await using made = await project({ "etc/holdline.yaml": "version: 2\n", "elsewhere/x": "" })
    const error = await refusal(made.load({ cwd: made.path("elsewhere") }))
    expect(error.message.split("\n")[0]).toMatch(new RegExp(`^${made.path("etc/holdline.yaml")}:1:\\d+: `))
  })
})

describe("paths", () => {
  test("in config/ start at its parent, and jobs are beside it", async () => {
    await using made = await project({ "config/holdline.yaml": `${minimal}signingKey: {file: keys/agent.key}\n` })
    const { config, project: directory, jobsPath } = await made.load()
    expect(directory).toBe(made.root)
    expect(config).toMatchObject({
      state: made.path("state"),
      trust: { file: made.path("trust.json") },
      signingKey: { file: made.path("keys/agent.key") },
    })
    expect(jobsPath).toBe(made.path("jobs"))
  })

  test("of a database's password and certificates start there too", async () => {
    const databases = `databases:
  pbx: {kind: mariadb, host: db.example.net, name: asterisk, user: holdline, password: {file: keys/db}, tls: {ca: keys/ca.pem}}
  bare: {kind: postgres, host: /run/postgresql, name: fusionpbx, user: holdline}
`
    await using made = await project({ "config/holdline.yaml": minimal + databases })
    const { config, origins } = await made.load()
    expect(config.databases.pbx).toMatchObject({ password: { file: made.path("keys/db") }, tls: { ca: made.path("keys/ca.pem") } })
    expect(config.databases.bare).toEqual({ kind: "postgres", host: "/run/postgresql", name: "fusionpbx", user: "holdline", tls: {} })
    expect(origins.get("databases.pbx.password.file")).toMatchObject({ line: 7 })
  })

  test("in any other directory start there", async () => {
    await using made = await project({ "etc/holdline.yaml": minimal })
    const { config, jobsPath } = await made.load({ cwd: made.path("etc") })
    expect(config.state).toBe(made.path("etc/state"))
    expect(jobsPath).toBe(made.path("etc/jobs"))
  })

  test("of jobs are taken from --jobs, then HOLDLINE_JOBS", async () => {
    await using made = await project({ "config/holdline.yaml": minimal })
    const env = { HOLDLINE_JOBS: "from-env" }
    expect((await made.load({ env })).jobsPath).toBe(made.path("from-env"))
    expect((await made.load({ env, flags: { jobs: "from-flag" } })).jobsPath).toBe(made.path("from-flag"))
  })
})

describe("flags win over the environment, which wins over the file", () => {
  test("for the agent and the state, and the origin says which", async () => {
    await using made = await project({ "config/holdline.yaml": minimal })
    const env = { HOLDLINE_AGENT: "from-env", HOLDLINE_STATE: "env-state" }
    const byEnv = await made.load({ env })
    expect(byEnv.config).toMatchObject({ agent: "from-env", state: made.path("env-state") })
    expect(byEnv.origins.get("agent")).toEqual({ env: "HOLDLINE_AGENT" })
    const byFlag = await made.load({ env, flags: { agent: "from-flag" } })
    expect(byFlag.config).toMatchObject({ agent: "from-flag", state: made.path("env-state") })
    expect(byFlag.origins.get("agent")).toEqual({ flag: "--agent" })
  })

  test("and what is wrong in them is said of them", async () => {
    await using made = await project({ "config/holdline.yaml": minimal })
    const error = await refusal(made.load({ env: { HOLDLINE_AGENT: "Not A Name" } }))
    expect(error.message).toBe(
      "environment HOLDLINE_AGENT: expected a name of 1 to 63 lower-case letters, digits and dashes, such as fra-1",
    )
  })
})

describe("fragments in conf.d", () => {
  const fragment = `version: 1
sites:
  two: {kind: directory, path: /two, provider: other, region: there}
classes:
  state-35: {days: 35}
`

  test("add to maps, and the origin says which file", async () => {
    await using made = await project({
      "config/holdline.yaml": minimal,
      "config/conf.d/10-two.yaml": fragment,
      "config/conf.d/x.example.yaml": "nonsense",
    })
    const { config, origins } = await made.load()
    expect(Object.keys(config.sites)).toEqual(["one", "two"])
    expect(config.classes).toEqual({ "state-35": { days: 35, reuseDays: 0 } })
    expect(origins.get("sites.two.path")).toEqual({ file: "config/conf.d/10-two.yaml", line: 3, col: 32 })
  })

  test("never change what another file says: both places are named", async () => {
    await using made = await project({
      "config/holdline.yaml": minimal,
      "config/conf.d/a.yaml": "agent: b\nsites:\n  one: {kind: directory, path: /other, provider: own, region: here}\n",
    })
    expect((await refusal(made.load())).message.split("\n")).toEqual([
      "config/conf.d/a.yaml:1:1: agent is set twice: first at config/holdline.yaml:2:1",
      "config/conf.d/a.yaml:3:3: sites.one is set twice: first at config/holdline.yaml:5:9",
    ])
  })

  test("and what is wrong in each is reported together", async () => {
    await using made = await project({
      "config/holdline.yaml": minimal.replace("agent: a", "agent: A"),
      "config/conf.d/a.yaml": fragment.replace("35}", "3}"),
    })
    expect((await refusal(made.load())).message.split("\n")).toEqual([
      "config/conf.d/a.yaml:5:20: expected at least 28 days, the quarantine of the data bucket",
      "config/holdline.yaml:2:8: expected a name of 1 to 63 lower-case letters, digits and dashes, such as fra-1",
    ])
  })
})

describe("show", () => {
  test("prints a configuration that means the same", async () => {
    await using made = await project({ "config/holdline.yaml": designConfig })
    const loaded = await made.load()
    await using again = await project({ "config/holdline.yaml": show(loaded, { origin: false }) })
    expect((await again.load()).config).toEqual(loaded.config)
  })

  test("says of every line what set it", async () => {
    await using made = await project({ "config/holdline.yaml": minimal })
    const text = show(await made.load({ env: { HOLDLINE_STATE: "/s" }, flags: { agent: "b" } }), { origin: true })
    expect(text.split("\n")).toEqual([
      "version: 1 # config/holdline.yaml:1:10",
      "agent: b # flag --agent",
      "state: /s # environment HOLDLINE_STATE",
      "trust:",
      `  file: ${made.path("trust.json")} # config/holdline.yaml:4:15`,
      "  root: SHA256:… # config/holdline.yaml:4:33",
      "sites:",
      "  one:",
      "    kind: directory # config/holdline.yaml:5:21",
      "    path: /one # config/holdline.yaml:5:38",
      "    provider: own # config/holdline.yaml:5:54",
      "    region: here # config/holdline.yaml:5:67",
      "spool:",
      "  max: 20 GiB # default",
      "ledger:",
      "  days: 2192 # default",
      "durable:",
      "  copies: 2 # default",
      "  providers: 2 # default",
      "classes: {} # default",
      "databases: {} # default",
      "",
    ])
    expect(originText({ default: true })).toBe("default")
  })
})
