import { mkdir, writeFile } from "node:fs/promises"
import { expect, test } from "vitest"
import { type Place, place } from "../setup/holdline.ts"

const config = ["--config", "q/config/holdline.yaml"]
const given = { env: { USER: "ada" } }

/** A quick start with one run of a state. */
async function begun(): Promise<Place> {
  const at = await place()
  await at.run(["--agent", "pbx", "init", "host", "--dir", "q", "--recipients", "x25519"])
  await mkdir(at.path("etc"))
  await writeFile(at.path("etc/a.xml"), "<a/>")
  const source = { kind: "directory", path: at.path("etc"), account: "platform" }
  const retention = { min: 30, because: "our policy" }
  const job = { version: 1, mode: "state", source, class: "state-35", sites: ["one", "two", "three"], retention }
  await writeFile(at.path("q/jobs/switch.yaml"), JSON.stringify(job))
  expect((await at.run([...config, "run", "switch"])).exit).toBe(0)
  return at
}

function linesOf(stdout: string): readonly object[] {
  return stdout
    .trim()
    .split("\n")
    .map((line): object => JSON.parse(line))
}

test("the plan shows what is kept and goes; a hold stops that, is listed, and is lifted by its own id", async () => {
  await using at = await begun()
  const plan = async (...args: string[]) => await at.run([...config, ...args, "retention", "plan", "switch"])
  const { exit, stdout } = await plan()
  expect(exit).toBe(0)
  expect(stdout).toMatch(
    /^switch of pbx: 1 snapshot, .*\n {3}runs are kept in class state-35 \(35 days\)\n {3}at least 30 days: our policy\n\n {3}CLASS .*FIRST GOES\n {3}state-35 +35 days +1 /,
  )
  expect(stdout).toMatch(/\n {3}GOES .*\n {3}20\d\d-\d\d(-\d\d)? +state-35 +1 .*35 days and 2 of grace pass\n/)
  expect(linesOf((await plan("--json")).stdout)).toEqual([
    expect.objectContaining({
      type: "dataset",
      agent: "pbx",
      dataset: "switch",
      classes: [expect.objectContaining({ class: "state-35", days: 35 })],
    }),
    expect.objectContaining({ type: "drop", class: "state-35", snapshots: 1 }),
    { type: "summary", command: "retention plan", datasets: 1, doubts: 0, holds: 0 },
  ])
  expect(await at.run([...config, "retention", "plan", "other"])).toMatchObject({
    exit: 5,
    stderr: expect.stringContaining("the datasets are switch"),
  })

  const placed = await at.run([...config, "hold", "place", "--dataset", "switch", "--reason", "case 4711"], given)
  expect(placed).toMatchObject({
    exit: 0,
    stdout: expect.stringMatching(/^✓ held {2}[0-9a-f]{12} {2}switch: recorded in commit \d+ at one, two, three\n/),
  })
  const id = /held {2}([0-9a-f]{12})/.exec(placed.stdout)?.[1] ?? ""
  const held = (await plan()).stdout
  expect(held).toContain(`! 1 snapshot stays, whatever its class says: held by ada (${id}): case 4711`)
  expect(held).not.toContain("GOES  ")
  expect((await at.run([...config, "hold", "list"])).stdout).toMatch(new RegExp(`${id} +pbx +.* +switch +ada +! held: case 4711`))

  const wrong = await at.run([...config, "hold", "lift", id, "--reason", "closed"], { ...given, typed: "switch\n" })
  expect(wrong).toMatchObject({ exit: 2, stderr: expect.stringContaining("nothing was lifted") })
  const lifted = await at.run([...config, "hold", "lift", id, "--reason", "closed"], { ...given, typed: `${id}\n` })
  expect(lifted).toMatchObject({ exit: 0, stdout: expect.stringMatching(/^✓ lifted {2}switch: recorded in commit \d+/) })
  expect((await at.run([...config, "hold", "list"])).stderr).toContain("no hold is in force")
  expect((await at.run([...config, "hold", "list", "--all"])).stdout).toContain("lifted by ada: closed")
  expect((await plan()).stdout).toContain("GOES  ")
})

test("a hold asks for what it cannot do without", async () => {
  await using at = await begun()
  const refused = async (args: readonly string[], env = given) => await at.run([...config, "hold", "place", "--reason", "r", ...args], env)
  expect(await refused([])).toMatchObject({ exit: 2, stderr: expect.stringContaining("what is held?") })
  expect((await refused(["--since", "yesterday"])).exit).toBe(2)
  expect((await refused(["--dataset", "switch"], { env: { USER: "" } })).exit).toBe(2)
  expect((await refused(["--account", "maple.example"])).exit).toBe(5)
  expect((await refused(["--dataset", "No Name"])).exit).toBe(2)
  expect((await at.run([...config, "hold", "place", "--dataset", "switch", "--reason", " "], given)).exit).toBe(2)
  expect((await at.run([...config, "hold", "lift", "0123456789ab", "--reason", "r", "--yes"], given)).exit).toBe(5)
  expect((await refused(["--account", "platform", "--since", "2026-01-01"])).stdout).toContain(
    "every dataset, all that may be of platform, stored from 2026-01-01 on",
  )
})
