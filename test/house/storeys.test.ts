import { globSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { describe, expect, test } from "vitest"
import { type Separation, type Sources, violations } from "./storeys.ts"

const project = join(import.meta.dirname, "../..")

function sourcesOfProject(): Sources {
  const paths = globSync("src/**/*.ts", { cwd: project }).sort()
  return new Map(paths.map((path) => [path, readFileSync(join(project, path), "utf8")]))
}

function house(files: Readonly<Record<string, string>>, separated?: readonly Separation[]): string[] {
  return violations(new Map(Object.entries(files)), separated)
}

test("the house stands: imports run down only, inputs are passed in, upkeep cannot decrypt", () => {
  const sources = sourcesOfProject()
  expect(sources.size).toBeGreaterThan(10)
  expect(violations(sources)).toEqual([])
})

test.for(["src/operation/scrub.ts", "src/operation/repair.ts", "src/operation/mend.ts", "src/vault/heal.ts"])(
  "%s, as it is, may not begin to open what it looks after",
  (room) => {
    const sources = new Map(sourcesOfProject())
    sources.set(room, `${sources.get(room) ?? ""}\nimport { openKeyObject } from "../key/account.ts"`)
    const breaches = violations(sources).filter((breach) => breach.includes("upkeep works on ciphertext"))
    expect(breaches.some((breach) => /^src\/operation\/(?:scrub|repair)\.ts.*→ src\/key\/header\.ts/.test(breach))).toBe(true)
  },
)

describe("the checker sees", () => {
  const leaf = { "src/format/pack.ts": "export const a = 1", "src/key/open.ts": "export const b = 1", "src/errors.ts": "" }

  test("a way down, and a file of the same folder, as no breach", () => {
    expect(
      house({
        ...leaf,
        "src/format/names.ts": 'import { a } from "./pack.ts"\nimport { readFile } from "node:fs/promises"\nimport { z } from "zod"',
        "src/vault/place.ts": 'import { a } from "../format/pack.ts"\nimport "../errors.ts"\nexport const date = new Date(0)',
      }),
    ).toEqual([])
  })

  test.each([
    ["an import", 'import { a } from "../format/pack.ts"'],
    ["an import over several lines", 'import {\n  a,\n  type B,\n} from "../format/pack.ts"'],
    ["an import of a type", 'import type { A } from "../format/pack.ts"'],
    ["an import for its effect", 'import "../format/pack.ts"'],
    ["a lazy import", 'export const a = async () => (await import("../format/pack.ts")).a'],
    ["a lazy import in a template without holes", "export const a = import(`../format/pack.ts`)"],
    ["a type taken from an import", 'export type A = import("../format/pack.ts").A'],
    ["a re-export", 'export { a } from "../format/pack.ts"'],
    ["a re-export of everything", 'export * from "../format/pack.ts"'],
    ["a worker's address", 'new Worker(new URL("../format/pack.ts", import.meta.url))'],
    [
      "an import after misleading text",
      `const t = \`\${"\`"} // \${{ a: "}" }.a} /*\`; const r = /["\`]/g; import { a } from "../format/pack.ts"`,
    ],
  ])("a neighbour through %s", (_, source) => {
    expect(house({ ...leaf, "src/key/seal.ts": source })).toEqual([
      "src/key/seal.ts: imports src/format/pack.ts: key may not import format, its neighbour",
    ])
  })

  test("an import upstairs", () => {
    expect(house({ "src/site/s3.ts": 'import "../vault/place.ts"', "src/vault/place.ts": "" })).toEqual([
      "src/site/s3.ts: imports src/vault/place.ts: site may not import vault, upstairs",
    ])
  })

  test("a ground floor that imports a folder", () => {
    expect(house({ ...leaf, "src/digest.ts": 'import "./format/pack.ts"' })).toEqual([
      "src/digest.ts: is on the ground floor and imports the folder format",
    ])
  })

  test("nothing in comments and texts", () => {
    const source = [
      '// import "../format/pack.ts"',
      '/* import "../format/pack.ts" Date.now() */',
      "const a = 'import \"../format/pack.ts\"; Date.now(); process.env'",
      "const b = `import '../format/pack.ts' Math.random() ${a} new Date()`",
      "const c = /Date.now()/",
    ].join("\n")
    expect(house({ ...leaf, "src/key/seal.ts": source })).toEqual([])
  })

  test("a computed import, a missing file, a way out of src/, an absolute path", () => {
    expect(house({ "src/key/a.ts": `const x = await import(\`./\${name}.ts\`)` })).toHaveLength(1)
    expect(house({ "src/key/a.ts": "const x = await import(name)" })).toHaveLength(1)
    expect(house({ "src/key/a.ts": 'import "./b.ts"' })).toEqual(["src/key/a.ts: imports src/key/b.ts, which is not there"])
    expect(house({ "src/key/a.ts": 'import "../../test/x.ts"' })).toEqual(["src/key/a.ts: imports test/x.ts, outside src/"])
    expect(house({ "src/key/a.ts": 'import "/etc/x.ts"' })).toHaveLength(1)
  })

  test("a barrel and a folder without a floor", () => {
    expect(house({ "src/key/index.ts": "" })).toHaveLength(1)
    expect(house({ "src/utils/a.ts": "" })).toEqual(["src/utils/a.ts: the folder utils has no floor"])
  })

  test("an SDK in a second file", () => {
    const sdk = 'const { S3Client } = await import("@aws-sdk/client-s3")'
    expect(house({ "src/site/s3.ts": sdk })).toEqual([])
    expect(house({ "src/site/s3.ts": sdk, "src/site/list.ts": sdk })).toEqual([
      "@aws-sdk/client-s3: imported by src/site/list.ts and src/site/s3.ts; it belongs in one file",
    ])
  })

  test.each([
    "Date.now()",
    "new Date()",
    "new Date",
    "Date()",
    "Math.random()",
    "Math\n  .random()",
    "process.env",
    'import { randomBytes } from "node:crypto"',
  ])("an input taken from the air: %s", (source) => {
    expect(house({ "src/format/a.ts": source })).toHaveLength(1)
    expect(house({ "src/operation/a.ts": `const a = \`\${${source}}\`` }), "inside a template").toHaveLength(1)
    expect(house({ "src/wiring/a.ts": source })).toEqual([])
  })

  test("inputs in their own rooms only", () => {
    expect(house({ "src/clock.ts": "new Date()", "src/random.ts": "randomBytes(1)" })).toEqual([])
    expect(house({ "src/clock.ts": "Math.random()", "src/random.ts": "Date.now()" })).toHaveLength(2)
  })

  test("a promise of node's left floating", () => {
    const head = 'import { rm, writeFile as write } from "node:fs/promises"\nimport { rmSync } from "node:fs"\n'
    expect(house({ "src/a.ts": `${head}await rm(a)\nreturn write(a)\nrmSync(a)\nthis.rm(a)` })).toEqual([])
    expect(house({ "src/a.ts": `${head}  rm(a)\n  if (a) { write(a) }` })).toHaveLength(2)
  })

  test("what is reached the long way round, and loaded, but not what is only a type", () => {
    const apart = [{ from: "src/operation/{scrub,expire}.ts", mustNotReach: ["src/key/open*.ts", "age-encryption"], because: "so" }]
    const files = {
      "src/operation/scrub.ts": 'import "../vault/fetch.ts"\nimport type { B } from "../key/open.ts"',
      "src/operation/restore.ts": 'import "../key/open.ts"',
      "src/vault/fetch.ts": 'import "../key/sign.ts"\nimport "../key/seal.ts"',
      "src/key/sign.ts": 'import type { B } from "./open.ts"',
      "src/key/seal.ts": "",
      "src/key/open.ts": 'import { Decrypter } from "age-encryption"',
    }
    expect(house(files, apart)).toEqual([])
    expect(house({ ...files, "src/key/seal.ts": 'import { b } from "./open.ts"' }, apart)).toEqual([
      "src/operation/scrub.ts → src/vault/fetch.ts → src/key/seal.ts → src/key/open.ts: forbidden, because so",
      "src/operation/scrub.ts → src/vault/fetch.ts → src/key/seal.ts → src/key/open.ts → age-encryption: forbidden, because so",
    ])
  })

  test("upkeep that would open what it looks after", () => {
    for (const operation of ["scrub", "repair", "expire"]) {
      for (const part of ["src/stream/encrypt.ts", "src/key/header.ts"]) {
        const files = { [`src/operation/${operation}.ts`]: `import "../${part.slice("src/".length)}"`, [part]: "" }
        expect(house(files), `${operation}, ${part}`).toHaveLength(1)
      }
      const own = { [`src/operation/${operation}.ts`]: 'import "../key/new.ts"', "src/key/new.ts": "createDecipheriv(a, b, c)" }
      expect(house(own), `${operation}, its own cipher`).toHaveLength(1)
    }
  })
})
