import { mkdirSync, writeFileSync } from "node:fs"
import { dirname, join } from "node:path"
import { describe, expect, test } from "vitest"
import { rememberAccountNames } from "../../src/catalog/memory.ts"
import { type BackupCommit, isBackup } from "../../src/format/commit.ts"
import { readHistory } from "../../src/operation/history.ts"
import { readLogs } from "../../src/operation/logs.ts"
import { restore } from "../../src/operation/restore.ts"
import { paintWith } from "../../src/report/paint.ts"
import { runText } from "../../src/report/run-text.ts"
import { readStoredRun } from "../../src/report/stored-run.ts"
import { type Lab, openLab } from "../operation/lab.ts"
import { sharedPool } from "../operation/lab-pool.ts"

const pool = sharedPool()
const dayMs = 86_400_000

function tree(lab: Lab, files: Readonly<Record<string, string>>): string {
  const root = join(lab.directory, "source")
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(dirname(join(root, path)), { recursive: true })
    writeFileSync(join(root, path), text)
  }
  return root
}

async function commitsOf(lab: Lab): Promise<BackupCommit[]> {
  const commits = (await readLogs(lab.world())).flatMap((log) => log.commits.map(({ commit }) => commit))
  return commits.filter(isBackup).map(({ body }) => body)
}

function classesOf({ packs }: BackupCommit): string[] {
  return [...new Set(packs.map(([, , name]) => name))].toSorted()
}

describe("a state job that promotes its runs", () => {
  const promote = {
    classes: { weekly: { name: "state-100", days: 100 }, monthly: { name: "state-400", days: 400 } },
    timezone: "Europe/Berlin",
  }
  const job = { mode: "state" as const, class: { name: "state-35", days: 35 }, mixedClass: "state-35", promote }

  test("writes two months in the right classes, one for each run, and says so", async () => {
    await using lab = await openLab({ pool, now: new Date("2031-01-31T01:00:00Z") })
    const source = { kind: "directory" as const, path: tree(lab, { "vars.xml": "<include/>" }), account: "platform" }
    const told: unknown[] = []
    const one = { sites: lab.world().vault.sites.slice(0, 1), durable: { copies: 1, providers: 1 } }
    // Every second night; the first of March is missed.
    for (let night = 0; night < 60; night += 2) {
      if (night !== 30) {
        const { outcome, promoted } = await lab.run(job, source, one)
        expect(outcome).toBe("ok")
        if (promoted !== undefined) told.push(promoted)
      }
      lab.clock.advance(2 * dayMs)
    }
    const commits = await commitsOf(lab)
    expect(commits).toHaveLength(29)
    expect(commits.every((commit) => classesOf(commit).length === 1)).toBe(true)
    const longer = commits.flatMap((commit) =>
      classesOf(commit)[0] === "state-35" ? [] : [`${commit.cut.slice(0, 10)} ${classesOf(commit).join()}`],
    )
    expect(longer).toEqual([
      "2031-01-31 state-400",
      "2031-02-02 state-400",
      "2031-02-04 state-100",
      "2031-02-10 state-100",
      "2031-02-18 state-100",
      "2031-02-24 state-100",
      "2031-03-04 state-400",
      "2031-03-10 state-100",
      "2031-03-18 state-100",
      "2031-03-24 state-100",
    ])
    expect(told).toHaveLength(longer.length)
    expect(told.slice(0, 3)).toEqual([
      { rung: "monthly", period: "2031-01", name: "state-400", days: 400 },
      { rung: "monthly", period: "2031-02", name: "state-400", days: 400 },
      { rung: "weekly", period: "2031w06", name: "state-100", days: 100 },
    ])
  })

  test("says so in the run's report, also in the one that is remembered", async () => {
    await using lab = await openLab({ pool })
    const report = await lab.run(job, { kind: "directory", path: tree(lab, { "vars.xml": "<include/>" }), account: "platform" })
    const remembered = readStoredRun(JSON.stringify(report))
    expect(remembered).toEqual(report)
    expect(runText(report, { paint: paintWith({ colour: false }), paths: false })[1]).toMatch(
      /^ {3}kept +400 days, in class state-400, as the first of 2031-03$/,
    )
  })

  test("counts the runs of its own dataset only", async () => {
    await using lab = await openLab({ pool })
    const source = { kind: "directory" as const, path: tree(lab, { "vars.xml": "<include/>" }), account: "platform" }
    await lab.run(job, source)
    await lab.run({ ...job, name: "other", dataset: "other" }, source)
    await lab.run(job, source)
    expect((await commitsOf(lab)).map(classesOf)).toEqual([["state-400"], ["state-400"], ["state-35"]])
  })

  test("promotes no run twice for a host that lost its memory", async () => {
    await using lab = await openLab({ pool, now: new Date("2031-02-04T01:00:00Z") })
    const source = { kind: "directory" as const, path: tree(lab, { "vars.xml": "<include/>" }), account: "platform" }
    await lab.run(job, source)
    lab.clock.advance(dayMs)
    lab.world().catalog.run("DELETE FROM item")
    lab.world().catalog.run("DELETE FROM run")
    lab.world().catalog.run("DELETE FROM commit_object")
    await lab.run(job, source)
    expect((await commitsOf(lab)).map(classesOf)).toEqual([["state-400"], ["state-35"]])
  })

  test("what cannot be attributed goes with the run where no class of its own is configured", async () => {
    await using lab = await openLab({ pool })
    const source = { kind: "directory" as const, path: tree(lab, { "vars.xml": "<include/>" }), account: "mixed" }
    await lab.run(job, source)
    expect((await commitsOf(lab)).map(classesOf)).toEqual([["state-400"]])
  })
})

describe("accounts with a class of their own", () => {
  const archive = (path: string) => ({
    kind: "directory" as const,
    path,
    template: "{account}/archive/{yyyy}/{Mon}/{dd}/{name}",
    settle: 0,
  })
  const files = {
    "maple.example/archive/2031/Mar/03/a.wav": "maple",
    "oak.example/archive/2031/Mar/03/b.wav": "oak",
  }
  const accountClasses = new Map([["oak.example", { name: "mixed-28", days: 28 }]])

  test("are kept in it and the others are not, and the inventory as long as any of them", async () => {
    await using lab = await openLab({ pool })
    const path = tree(lab, files)
    expect(await lab.run({ accountClasses }, archive(path))).toMatchObject({ outcome: "ok", captured: { files: 2 } })
    const [commit] = await commitsOf(lab)
    expect(commit === undefined ? [] : packsByClass(commit)).toEqual([
      "meta mixed-28",
      "meta standard-90",
      "pack mixed-28",
      "pack standard-90",
    ])
    expect(inventoryClass(commit)).toBe("standard-90")

    // The other way round: the job's class is the short one.
    const other = {
      name: "other",
      class: { name: "mixed-28", days: 28 },
      accountClasses: new Map([["oak.example", { name: "standard-90", days: 90 }]]),
    }
    await lab.run(other, archive(path))
    expect(inventoryClass((await commitsOf(lab)).at(-1))).toBe("standard-90")
  })

  test("are known by their id where the source still says their name", async () => {
    await using lab = await openLab({ pool })
    rememberAccountNames(lab.world().catalog, "8d3e8f3c", ["oak.example"])
    const byId = new Map([["8d3e8f3c", { name: "mixed-28", days: 28 }]])
    await lab.run({ accountClasses: byId }, archive(tree(lab, files)))
    expect(packsByClass((await commitsOf(lab))[0])).toContain("pack mixed-28")
  })

  test("are captured again when their class changes, as long as the source holds them, and restored from the new one", async () => {
    await using lab = await openLab({ pool })
    const path = tree(lab, files)
    await lab.run({}, archive(path))
    lab.clock.advance(dayMs)
    expect(await lab.run({ accountClasses }, archive(path))).toMatchObject({ captured: { files: 1 }, unchanged: { files: 1 } })
    expect(packsByClass((await commitsOf(lab)).at(-1))).toEqual(["meta mixed-28", "meta standard-90", "pack mixed-28"])
    const world = lab.world()
    expect((await readHistory(world)).snapshots).toHaveLength(2)
    const target = join(lab.directory, "out")
    const report = await restore({ dataset: "call-recordings", identities: [lab.operations] }, { path: target, owners: false }, world)
    expect(report).toMatchObject({ outcome: "ok" })
  })
})

function packsByClass(commit: BackupCommit | undefined): string[] {
  return [...new Set(commit?.packs.map(([, , name, kind]) => `${kind} ${name}`))].toSorted()
}

function inventoryClass(commit: BackupCommit | undefined): string | undefined {
  const [place] = commit?.inventory ?? []
  return commit?.packs.find(([sha256]) => sha256 === place?.[0])?.[2]
}
