import { spawnSync } from "node:child_process"
import { mkdir, readFile, symlink } from "node:fs/promises"
import { join } from "node:path"
import { expect, test } from "vitest"
import { launcherHere, type ServiceOptions, serviceOf } from "../../src/wiring/service.ts"
import { holdline } from "../cli/terminal.ts"
import { designConfig, type Project, project, refusal } from "../config/project.ts"
import { requireTool } from "../requires.ts"

const golden = join(import.meta.dirname, "holdline.service")
const options: ServiceOptions = {
  user: "holdline",
  readsAll: false,
  credentials: "/etc/credstore",
  launcher: { node: "/opt/node/bin/node", bin: "/opt/holdline/bin/holdline" },
}
const credentials = designConfig
  .replace("signingKey: {file: /etc/holdline/agent.key}", "signingKey: {credential: agent.key}")
  .concat(
    "databases:\n",
    "  pbx: {kind: postgres, host: /run/postgresql, name: pbx, user: holdline, password: {credential: db-password}}\n",
    "notify:\n",
    "  channels: {pager: {kind: pagerduty, routingKey: {credential: agent.key}}, chat: {kind: slack, url: {env: SLACK_URL}}}\n",
    "  critical: [pager]\n",
    "  warning: [chat]\n",
  )

/** A host with this configuration, as it is found below /etc. */
async function service(config: string, given: Partial<ServiceOptions> = {}, flags = {}) {
  await using made = await project({ "config/holdline.yaml": config })
  const loaded = await made.load({ flags })
  return serviceOf({ ...loaded, path: "/etc/holdline/holdline.yaml", jobsPath: "/etc/holdline/jobs" }, { ...options, ...given })
}

/** The values of one setting, in order. */
function values(unit: string, key: string): string[] {
  return unit.split("\n").flatMap((line) => (line.startsWith(`${key}=`) ? [line.slice(key.length + 1)] : []))
}

test("the unit is written as it was agreed on, letter by letter", async () => {
  expect((await service(credentials)).unit).toBe(await readFile(golden, "utf8"))
})

test("systemd takes every line of it that its release knows", async (context) => {
  const lacking = requireTool("systemd-analyze")
  if (lacking !== null) context.skip(lacking)
  await using made = await project({ "config/holdline.yaml": credentials })
  const { unit } = serviceOf(await made.load(), { ...options, launcher: launcherHere(), readsAll: true })
  const path = await made.write("holdline.service", unit)
  const { status, stdout, stderr } = spawnSync("systemd-analyze", ["verify", "--man=no", path], { encoding: "utf8" })
  // These came with systemd 254; an older one says that it does not know them, and goes on.
  const said = `${stdout}${stderr}`
    .split("\n")
    .filter((line) => line.includes("holdline.service") && !/RestartSteps|RestartMaxDelaySec/.test(line))
  expect(said).toEqual([])
  expect(status).toBe(0)
})

test("each credential of the configuration is handed over once, and each variable is named", async () => {
  const { unit, credentialFiles, variables } = await service(credentials, { credentials: "/srv/100% secret" })
  expect(values(unit, "LoadCredential")).toEqual(["agent.key:/srv/100%% secret/agent.key", "db-password:/srv/100%% secret/db-password"])
  expect(credentialFiles).toEqual(["/srv/100% secret/agent.key", "/srv/100% secret/db-password"])
  expect(variables).toEqual(["SLACK_URL"])
})

test("a configuration without credentials needs none", async () => {
  const { unit, credentialFiles } = await service(designConfig)
  expect(values(unit, "LoadCredential")).toEqual([])
  expect(credentialFiles).toEqual([])
})

test("only the state directory and directory sites may be written", async () => {
  const { unit } = await service(designConfig.replace("/var/lib/holdline", "/srv/my state").replace("/mnt/vault", '"/mnt/va%ult"'))
  expect(values(unit, "ProtectSystem")).toEqual(["strict"])
  expect(values(unit, "ReadWritePaths")).toEqual(['"/srv/my state"', "-/mnt/va%%ult"])
  expect(values(unit, "StateDirectory")).toEqual([])
})

test("systemd makes a state directory of its own place, and of no other", async () => {
  const stateOf = async (state: string) => values((await service(designConfig.replace("/var/lib/holdline", state))).unit, "StateDirectory")
  expect(await stateOf("/var/lib/holdline")).toEqual(["holdline"])
  expect(await stateOf("/var/lib/private/../../../etc")).toEqual([])
  expect(await stateOf("/var/lib/..")).toEqual([])
})

test("it may read what belongs to others only where that was asked for", async () => {
  const own = (await service(designConfig)).unit
  expect([values(own, "CapabilityBoundingSet"), values(own, "AmbientCapabilities")]).toEqual([[""], []])
  const all = (await service(designConfig, { readsAll: true })).unit
  expect(values(all, "CapabilityBoundingSet")).toEqual(["CAP_DAC_READ_SEARCH"])
  expect(values(all, "AmbientCapabilities")).toEqual(["CAP_DAC_READ_SEARCH"])
})

test("it runs as root only where that was asked for", async () => {
  expect(values((await service(designConfig)).unit, "User")).toEqual(["holdline"])
  expect(values((await service(designConfig, { user: "root" })).unit, "User")).toEqual(["root"])
  const { unit } = await service(designConfig, { group: "recordings" })
  expect([values(unit, "User"), values(unit, "Group")]).toEqual([["holdline"], ["recordings"]])
})

test.each(["root\nExecStartPre=/bin/sh", "", "a b", "%u"])("a user cannot be called %j", async (user) => {
  expect((await refusal(service(designConfig, { user }))).code).toBe("config/usage")
})

test("a path means itself, whatever systemd reads into its letters", async () => {
  const launcher = { node: "/opt/a b/node", bin: '/opt/$HOME/100%"\\holdline' }
  const [line] = values((await service(designConfig, { launcher })).unit, "ExecStart")
  expect(line).toBe(
    '"/opt/a b/node" "/opt/$$HOME/100%%\\"\\\\holdline" --config /etc/holdline/holdline.yaml --jobs /etc/holdline/jobs serve',
  )
  const broken = service(designConfig, { launcher: { ...launcher, bin: "/opt/a\nExecStartPre=/bin/sh" } })
  expect((await refusal(broken)).message).toContain("control character")
})

test("what a flag said here is said to the service, too", async () => {
  const { unit } = await service(designConfig, {}, { agent: "pbx-ber-1", state: "/srv/state" })
  expect(values(unit, "ExecStart")[0]).toMatch(/ --state \/srv\/state --agent pbx-ber-1 serve$/)
})

async function host(): Promise<Project & { run(...argv: readonly string[]): ReturnType<typeof holdline> }> {
  const made = await project({ "config/holdline.yaml": credentials })
  return { ...made, run: (...argv) => holdline(["service", ...argv], { cwd: made.root }) }
}

test("show prints what install writes, and writes nothing", async () => {
  await using at = await host()
  const shown = await at.run("show")
  expect(shown.exit).toBe(0)
  const installed = await at.run("install", "--directory", "units")
  expect(installed.exit).toBe(0)
  expect(await readFile(at.path("units/holdline.service"), "utf8")).toBe(shown.out)
  expect(installed.err).toContain("systemctl daemon-reload && systemctl enable --now holdline")
  expect(installed.err).toContain("/etc/credstore/agent.key, /etc/credstore/db-password")
  expect(installed.err).toContain("SLACK_URL")
})

test("install replaces another unit only when it is told to", async () => {
  await using at = await host()
  const path = await at.write("units/holdline.service", "[Service]\n")
  const refused = await at.run("install", "--directory", "units")
  expect([refused.exit, await readFile(path, "utf8")]).toEqual([1, "[Service]\n"])
  expect(refused.err).toContain("--force")
  expect((await at.run("install", "--directory", "units", "--force")).exit).toBe(0)
  expect(await readFile(path, "utf8")).toContain("ExecStart=")
  expect((await at.run("install", "--directory", "units")).out).toContain("unchanged")
})

test("uninstall takes away its own unit once it is disabled, and no other", async () => {
  await using at = await host()
  expect((await at.run("uninstall", "--directory", "units")).out).toContain("not there")
  await at.run("install", "--directory", "units")
  await mkdir(at.path("units/multi-user.target.wants"))
  await symlink(at.path("units/holdline.service"), at.path("units/multi-user.target.wants/holdline.service"))
  const enabled = await at.run("uninstall", "--directory", "units")
  expect(enabled.exit).toBe(1)
  expect(enabled.err).toContain("systemctl disable --now holdline")
  await using second = await host()
  await second.run("install", "--directory", "units")
  expect((await second.run("uninstall", "--directory", "units")).out).toContain("removed")
  await expect(readFile(second.path("units/holdline.service"))).rejects.toThrow("ENOENT")
  const foreign = await second.write("units/holdline.service", "[Service]\n")
  expect((await second.run("uninstall", "--directory", "units")).exit).toBe(1)
  expect(await readFile(foreign, "utf8")).toBe("[Service]\n")
})
