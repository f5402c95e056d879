import { globSync, readFileSync } from "node:fs"
import { readdir, readFile } from "node:fs/promises"
import { dirname, join } from "node:path"
import { expect, test } from "vitest"
import { childrenOf, fieldsAt, jsonSchemas, type Schema } from "../../src/wiring/fields.ts"
import { generatedFiles } from "./generated.ts"
import { jobProblems, project } from "./project.ts"

const root = join(import.meta.dirname, "../..")
const config = await readFile(join(root, "config/holdline.example.yaml"), "utf8")
const jobs = (await readdir(join(root, "jobs"))).filter((name) => name.endsWith(".example.yaml"))

test.each(await generatedFiles())("$path is what the schemas say; else run: node test/config/generate.ts", async ({ path, text }) => {
  expect(await readFile(path, "utf8")).toBe(text)
})

test.each(["holdline.example.yaml", "quickstart.yaml"])("config/%s is accepted", async (name) => {
  await using made = await project({ "config/holdline.yaml": await readFile(join(root, "config", name), "utf8") })
  expect(Object.keys((await made.load()).config.sites)).toHaveLength(3)
})

test("there are examples of every kind of source", async () => {
  const texts = await Promise.all(jobs.map((name) => readFile(join(root, "jobs", name), "utf8")))
  for (const kind of ["directory", "sqlite", "command", "database", "cdrs", "csv"])
    expect(
      texts.some((text) => text.includes(`kind: ${kind}`)),
      kind,
    ).toBe(true)
})

test.each(jobs)("jobs/%s is accepted under the example configuration, once it is copied", async (name) => {
  const text = await readFile(join(root, "jobs", name), "utf8")
  const copied = name.replace(".example", "")
  await using made = await project({ "config/holdline.yaml": config, [`jobs/${copied}`]: text, [`jobs/${name}`]: text })
  const loaded = await made.load()
  expect([...loaded.invalidJobs.values()].map((error) => error.message)).toEqual([])
  expect([...loaded.jobs.keys()]).toEqual([copied.replace(".yaml", "")])
  expect(text).toContain(`Copy it to jobs/${copied}`)
})

test.each(["config/holdline.example.yaml", "config/quickstart.yaml", ...jobs.map((name) => `jobs/${name}`)])(
  "%s names its schema",
  async (name) => {
    const [, schema] = /^# yaml-language-server: \$schema=(\S+)\n/.exec(await readFile(join(root, name), "utf8")) ?? []
    await expect(readFile(join(root, dirname(name), schema ?? "none"), "utf8")).resolves.toContain(
      "http://json-schema.org/draft-07/schema#",
    )
  },
)

test.each(sourcesShown())("$page:$line shows a source that is taken as it stands", async ({ source }) => {
  const archive = /kind: (?:cdrs|csv)|template:/.test(source)
  const job = `version: 1\nmode: ${archive ? "archive" : "state"}\n${source}class: state-35\nsites: [fra, s3-dub]\n`
  expect(await jobProblems(job, config)).toEqual([])
})

test("the example configuration shows every key", () => {
  for (const key of keysOf(jsonSchemas().config)) expect(config, key).toMatch(new RegExp(`\\b${key}:`))
})

test("every key says what it is for", () => {
  const { config: configSchema, job } = jsonSchemas()
  for (const schema of [configSchema, job]) {
    const undescribed = walk(schema).filter(({ path, schema: each }) => !path.endsWith("*") && each.description === undefined)
    expect(undescribed.map(({ path }) => path)).toEqual([])
  }
})

/** Sources as the documentation shows them. */
function sourcesShown(): { readonly page: string; readonly line: number; readonly source: string }[] {
  return globSync("docs/*.md", { cwd: root }).flatMap((page) => {
    const text = readFileSync(join(root, page), "utf8")
    return [...text.matchAll(/^( *)```yaml\n( *source:\n[\s\S]*?)^ *```$/gm)].map(({ index, 1: indent = "", 2: source = "" }) => {
      const line = text.slice(0, index).split("\n").length
      return { page, line, source: source.replaceAll(new RegExp(`^${indent}`, "gm"), "") }
    })
  })
}

function keysOf(schema: Schema): string[] {
  return walk(schema)
    .flatMap(({ path }) => path.split(".").at(-1) ?? [])
    .filter((key) => key !== "*")
}

function walk(schema: Schema, path: readonly string[] = []): { readonly path: string; readonly schema: Schema }[] {
  return fieldsAt(schema, []).flatMap((field) =>
    childrenOf(field).flatMap(([name, child]) => {
      return [{ path: [...path, name].join("."), schema: child.schema }, ...walk(child.schema, [...path, name])]
    }),
  )
}
