import { execFile } from "node:child_process"
import { mkdir, readFile, writeFile } from "node:fs/promises"
import { join } from "node:path"
import { promisify } from "node:util"
import { expect, test } from "vitest"
import { sha256 } from "../../src/digest.ts"
import { systemRandom } from "../../src/random.ts"
import { directorySite } from "../../src/site/directory.ts"
import { openLab } from "../operation/lab.ts"
import { requireTool } from "../requires.ts"
import { advance, buildWorld, recordingsTemplate } from "../world/world.ts"
import { filesBelow } from "./tree.ts"

const script = join(import.meta.dirname, "../../bin/recover.sh")

test("what backup wrote, recover.sh restores from one site alone, with no Holdline", async (context) => {
  for (const tool of ["age", "zstd", "tar", "sha256sum", "openssl", "jq", "awk", "base64"]) {
    const lacking = requireTool(tool)
    if (lacking !== null) context.skip(lacking)
  }
  await using lab = await openLab({ sites: {} })
  const paths = ["one", "two"].map((name) => join(lab.directory, name))
  for (const path of paths) await mkdir(path)
  const [one, two] = await Promise.all(paths.map((path, index) => directorySite({ name: String(index), path }, systemRandom)))
  if (one === undefined || two === undefined) throw new Error("two sites were expected")
  const sites = [one, two].map((opened, index) => ({
    name: String(index),
    provider: String(index),
    region: "r",
    opened,
    countsAsProvider: true,
  }))
  const world = await buildWorld(join(lab.directory, "world"), {
    seed: "seven",
    now: new Date(),
    accounts: 4,
    recordings: 40,
    bytes: 3_000_000,
  })
  // Three pieces, the last of them short.
  await writeFile(join(world.recordings, "huge.wav"), Buffer.alloc(35_000_000, "incompressible it is not"))
  const recordings = { kind: "directory" as const, path: world.recordings, template: recordingsTemplate, settle: 0 }
  const config = { kind: "directory" as const, path: world.config, account: "platform" }
  const first = await filesBelow(world.recordings)
  await lab.run({}, recordings, { sites })
  await lab.run({ mode: "state" }, config, { sites })
  await advance(world, 1)
  await lab.run({}, recordings, { sites })
  await lab.run({ mode: "state" }, config, { sites })

  const identity = join(lab.directory, "escrow.txt")
  await writeFile(identity, `${lab.escrow.secret.reveal()}\n`)
  const out = join(lab.directory, "out")
  const { stderr } = await promisify(execFile)(script, [paths[1] ?? "", lab.root.fingerprint, identity, out])
  expect(stderr.split("\n").filter((line) => line !== "" && !line.endsWith("some of what it was asked for is not in it"))).toEqual([])

  const found = [...(await filesBelow(out))].map(([path, bytes]) => [path.split("/"), sha256(bytes)] as const)
  const restored = (dataset: string) =>
    new Map(found.filter(([[top]]) => top === dataset).map(([[, , , ...path], digest]) => [path.join("/"), digest] as const))
  // An archive keeps what the source no longer has, and the newest version of what it has.
  const expected = new Map([...first, ...(await filesBelow(world.recordings))].map(([path, bytes]) => [path, sha256(bytes)]))
  expect(restored("call-recordings")).toEqual(expected)
  expect(restored("switch-config")).toEqual(new Map([...(await filesBelow(world.config))].map(([path, bytes]) => [path, sha256(bytes)])))
  expect(expected.size).toBeGreaterThan(40)
  expect((await readFile(script, "utf8")).includes("node")).toBe(false)
})
