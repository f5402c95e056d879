import { join } from "node:path"
import { expect, test } from "vitest"
import { planRestore } from "../../src/operation/plan.ts"
import { restore } from "../../src/operation/restore.ts"
import { buildWorld, recordingsTemplate } from "../world/world.ts"
import { openLab } from "./lab.ts"
import { filesOf, treeOf } from "./trees.ts"

test("what was captured comes back with its bytes, modes, times and links", async () => {
  await using lab = await openLab()
  const world = await buildWorld(join(lab.directory, "world"), {
    seed: "seven",
    now: new Date(),
    accounts: 5,
    recordings: 60,
    bytes: 4_000_000,
  })
  await lab.run({}, { kind: "directory" as const, path: world.recordings, template: recordingsTemplate, settle: 0 })
  await lab.run({ mode: "state" }, { kind: "directory" as const, path: world.config, account: "platform" })

  const request = { dataset: "call-recordings", identities: [lab.escrow] }
  const plan = await planRestore(request, lab.world())
  const recordings = join(lab.directory, "recordings")
  const report = await restore(request, { path: recordings, owners: false }, lab.world())
  expect(filesOf(recordings)).toEqual(filesOf(world.recordings))
  expect(report.restored).toEqual({ files: plan.files, bytes: plan.bytes })
  expect(report.outcome).toBe("ok")

  const again = await restore(request, { path: recordings, owners: false }, lab.world())
  expect(again).toMatchObject({ outcome: "ok", present: { bytes: plan.bytes }, fetched: [] })

  const config = join(lab.directory, "config")
  // Set-user and set-group bits come back with the owners they were meant for, and only then.
  const owners = process.getuid?.() === 0
  await restore({ dataset: "switch-config", identities: [lab.operations] }, { path: config, owners }, lab.world())
  expect(treeOf(config)).toEqual(treeOf(world.config))
})
