import { readdir, readFile } from "node:fs/promises"
import { dirname, join } from "node:path"
import { expect, test } from "vitest"
import { childrenOf, fieldsAt, jsonSchemas, type Schema } from "../../src/wiring/fields.ts"
import { generatedFiles } from "./generated.ts"
import { project } from "./project.ts"

const root = join(import.meta.dirname, "../..")
const config = await readFile(join(root, "config/holdline.example.yaml"), "utf8")
const jobs = (await readdir(join(root, "jobs"))).filter((name) => name.endsWith(".example.yaml"))

test.each(generatedFiles())("$path is what the schemas say; else run: node test/config/generate.ts", async ({ path, text }) => {
  expect(await readFile(path, "utf8")).toBe(text)
})

test.each(["holdline.example.yaml", "quickstart.yaml"])("config/%s is accepted", async (name) => {
  await using made = await project({ "config/holdline.yaml": await readFile(join(root, "config", name), "utf8") })
  expect(Object.keys((await made.load()).config.sites)).toHaveLength(3)
})

test("there are examples of every kind of source", async () => {
  const texts = await Promise.all(jobs.map((name) => readFile(join(root, "jobs", name), "utf8")))
  for (const kind of ["directory", "sqlite", "command"])
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

function keysOf(schema: Schema): string[] {
  return walk(schema)
    .flatMap(({ path }) => path.split(".").at(-1) ?? [])
    .filter((key) => key !== "*")
}

function walk(schema: Schema, path: readonly string[] = []): { readonly path: string; readonly schema: Schema }[] {
  const children = fieldsAt(schema, path).flatMap((field) => childrenOf(field))
  return children.flatMap(([name, child]) => [{ path: [...path, name].join("."), schema: child.schema }, ...walk(schema, [...path, name])])
}
