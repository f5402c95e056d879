import { mkdir, rm, writeFile } from "node:fs/promises"
import { expect, test } from "vitest"
import { type Place, place } from "../setup/holdline.ts"

const config = ["--config", "q/config/holdline.yaml"]
const clear = { env: { USER: "ada" } }

/** A quick start whose directory had files and is empty now. */
async function emptied(): Promise<Place> {
  const at = await place()
  await at.run(["--agent", "pbx", "init", "host", "--dir", "q", "--recipients", "x25519"])
  await mkdir(at.path("etc"))
  await writeFile(at.path("etc/a.xml"), "<a/>".repeat(100))
  const source = { kind: "directory", path: at.path("etc"), account: "platform" }
  const job = { version: 1, mode: "state", source, class: "state-35", sites: ["one", "two", "three"] }
  await writeFile(at.path("q/jobs/switch.yaml"), JSON.stringify(job))
  expect((await at.run([...config, "run", "switch"])).exit).toBe(0)
  await rm(at.path("etc/a.xml"))
  expect((await at.run([...config, "run", "switch"])).exit).toBe(3)
  return at
}

async function open(at: Place): Promise<{ readonly anomaly: string; readonly lines: readonly object[] }> {
  const { stdout } = await at.run([...config, "--json", "anomaly", "list", "--all"])
  const lines = stdout
    .trim()
    .split("\n")
    .map((line): object => JSON.parse(line))
  return { anomaly: /"id":"([0-9a-f]{32})"/.exec(stdout)?.[1] ?? "", lines }
}

test("what a run found is listed, shown by status and by the run, until somebody lifts it by its dataset's name", async () => {
  await using at = await emptied()
  const { anomaly, lines } = await open(at)
  expect(lines).toEqual([
    expect.objectContaining({ type: "anomaly", agent: "pbx", dataset: "switch", kind: "emptied", numbers: expect.any(Object) }),
    { type: "summary", command: "anomaly list", anomalies: 1, open: 1 },
  ])
  const listed = await at.run([...config, "anomaly", "list"])
  expect(listed.stdout).toMatch(/ANOMALY.*\n[0-9a-f]{12} +pbx +switch +.* the source holds nothing, and held 1 file with 400 B +! open/)
  expect((await at.run([...config, "status"])).stdout).toMatch(/! anomaly {2}[0-9a-f]{12} {2}switch, .*nothing of it expires/)
  const shown = await at.run([...config, "runs", "show", "switch@latest"])
  expect(shown.stdout).toContain(`→ holdline anomaly lift ${anomaly.slice(0, 12)} --reason`)

  const wrong = await at.run([...config, "anomaly", "lift", anomaly.slice(0, 12), "--reason", "meant"], { ...clear, typed: "switc\n" })
  expect(wrong).toMatchObject({ exit: 2, stderr: expect.stringContaining("nothing was lifted") })
  expect((await open(at)).lines.at(-1)).toMatchObject({ open: 1 })

  const lifted = await at.run([...config, "anomaly", "lift", anomaly.slice(0, 12), "--reason", "meant"], { ...clear, typed: "switch\n" })
  expect(lifted).toMatchObject({ exit: 0, stdout: expect.stringMatching(/✓ lifted {2}switch: recorded in commit \d+ at /) })
  expect((await open(at)).lines[0]).toMatchObject({ lifted: { by: "ada", reason: "meant" } })
  expect((await at.run([...config, "anomaly", "list"])).stderr).toContain("no anomaly is open")
  expect((await at.run([...config, "status"])).stdout).not.toContain("anomaly")
  expect((await at.run([...config, "anomaly", "list", "--all"])).stdout).toContain("lifted by ada: meant")
  expect((await at.run([...config, "run", "switch"])).exit).toBe(0)
})

test("lifting asks for what it cannot do without", async () => {
  await using at = await emptied()
  const { anomaly } = await open(at)
  const refused = async (args: readonly string[], given = clear) => await at.run([...config, "anomaly", "lift", anomaly, ...args], given)
  expect(await refused(["--reason", "meant"])).toMatchObject({ exit: 2, stderr: expect.stringContaining("no terminal") })
  expect((await refused(["--yes"])).exit).toBe(2)
  expect(await refused(["--reason", " ", "--yes"])).toMatchObject({ exit: 2, stderr: expect.stringContaining("1 to 1000 characters") })
  expect(await refused(["--reason", "meant", "--yes"], { env: { USER: "" } })).toMatchObject({
    exit: 2,
    stderr: expect.stringContaining("--by"),
  })
  expect((await at.run([...config, "anomaly", "lift", "0123456789ab", "--reason", "meant", "--yes"], clear)).exit).toBe(5)
  expect((await refused(["--reason", "meant", "--by", "Ada", "--yes"])).exit).toBe(0)
  expect(await refused(["--reason", "meant", "--yes"])).toMatchObject({ exit: 5, stderr: expect.stringContaining("by Ada") })
})
