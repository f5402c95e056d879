import { spawnSync } from "node:child_process"
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, beforeAll, describe, expect, test } from "vitest"

const root = join(import.meta.dirname, "../..")
let folder = ""

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "startup-"))
  const lines = [
    'import { registerHooks } from "node:module"',
    'import { writeFileSync } from "node:fs"',
    "const loaded = []",
    "registerHooks({ load: (url, context, next) => { loaded.push(url); return next(url, context) } })",
    'process.on("exit", () => writeFileSync(process.env.LOADED, loaded.join("\\n")))',
  ]
  writeFileSync(join(folder, "loaded.mjs"), lines.join("\n"))
})

afterAll(() => rmSync(folder, { recursive: true }))

/** What a command loads that is no part of Node: packages by name, and files of src/ by path. */
function loadedBy(args: readonly string[]): { readonly packages: ReadonlySet<string>; readonly sources: readonly string[] } {
  const list = join(folder, "list")
  const command = ["--import", join(folder, "loaded.mjs"), join(root, "bin/holdline"), ...args]
  const { status, stderr } = spawnSync(process.execPath, command, {
    cwd: root,
    env: { PATH: process.env.PATH, LOADED: list },
    encoding: "utf8",
  })
  expect(status, stderr).toBe(0)
  const files = readFileSync(list, "utf8")
    .split("\n")
    .filter((url) => url.startsWith("file:"))
  const packages = files.flatMap((url) => /.*\/node_modules\/((?:@[^/]+\/)?[^/]+)\//.exec(url)?.[1] ?? [])
  const sources = files.flatMap((url) => /\/src\/(.*)$/.exec(url)?.[1] ?? []).filter((path) => !path.includes("node_modules"))
  return { packages: new Set(packages), sources }
}

describe("a command loads no more than it needs:", () => {
  test("the help neither a schema nor anything of what commands do", () => {
    const { packages, sources } = loadedBy(["--help"])
    expect(packages).toEqual(new Set(["commander"]))
    expect(sources.filter((path) => /^(?:operation|vault|catalog|stream|site|source|database|format|key)\//.test(path))).toEqual([])
    expect(sources.length).toBeLessThan(40)
  })

  test("`jobs` no kind of site, source or database, and no key", () => {
    const { packages, sources } = loadedBy(["--config", "config/quickstart.yaml", "--jobs", "jobs", "jobs"])
    expect(packages).toEqual(new Set(["commander", "croner", "yaml", "zod"]))
    expect(sources.filter((path) => /^(?:operation|vault|stream|format|key)\//.test(path))).toEqual([])
    expect(sources.length).toBeLessThan(70)
  })
})
