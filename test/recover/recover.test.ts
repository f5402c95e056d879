import { execFile } from "node:child_process"
import { chmod, cp, mkdir, mkdtemp, readdir, readFile, rename, rm, stat, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { dirname, join } from "node:path"
import { promisify } from "node:util"
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest"
import { hash32 } from "../../src/digest.ts"
import { encodeSigned } from "../../src/format/signed.ts"
import { fingerprintOf } from "../../src/signature.ts"
import { signerOf } from "../format/signing.ts"
import { requireTool } from "../requires.ts"
import { accounts, buildFixture, content, type Fixture, hostile, longName, stateFiles, unusualName } from "./fixture.ts"
import { filesBelow } from "./tree.ts"

const script = join(import.meta.dirname, "../../bin/recover.sh")
const tools = ["age", "zstd", "tar", "sha256sum", "openssl", "jq", "awk", "base64"]

interface Outcome {
  readonly exit: number
  readonly output: string
  readonly errors: string
}

async function run(command: string, args: readonly string[], environment: NodeJS.ProcessEnv = {}): Promise<Outcome> {
  try {
    const { stdout, stderr } = await promisify(execFile)(command, args, { env: { ...process.env, ...environment } })
    return { exit: 0, output: stdout, errors: stderr }
  } catch (error) {
    if (!(error instanceof Error) || !("code" in error) || typeof error.code !== "number") throw error
    const { stdout, stderr } = Object.assign({ stdout: "", stderr: "" }, error)
    return { exit: error.code, output: stdout, errors: stderr }
  }
}

const recordings = `call-recordings/pbx-1/${accounts.alder}`
const configuration = "switch-config/pbx-1/platform"
const expected: ReadonlyMap<string, Buffer> = new Map([
  [`${recordings}/2026/one.wav`, content("newer", 4000)],
  [`${recordings}/2026/two.wav`, Buffer.alloc(0)],
  [`${recordings}/${unusualName.toString("latin1")}`, content("unusual", 100_000)],
  [`${recordings}/big.wav`, content("big", 100_001)],
  [`call-recordings/pbx-1/${accounts.birch}/${longName}`, content("other", 700)],
  ...[...stateFiles].map(([path, bytes]) => [`${configuration}/${path}`, bytes] as const),
])

let folder = ""
let made: Fixture
let site = ""
let out = ""
let tries = 0
const lacking = tools.map((tool) => requireTool(tool)).find((reason) => reason !== null) ?? null

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "recover-"))
  made = await buildFixture(folder, [hostile()])
})
beforeEach(async (context) => {
  if (lacking !== null) context.skip(lacking)
  tries += 1
  site = join(folder, `site-${String(tries)}`)
  out = join(folder, `out-${String(tries)}`)
  await cp(made.site, site, { recursive: true })
})
afterAll(async () => {
  await run("chmod", ["-R", "u+rwX", folder])
  await rm(folder, { recursive: true, force: true })
})

const recover = (dataset?: string, environment: NodeJS.ProcessEnv = {}, fingerprint = made.fingerprint): Promise<Outcome> =>
  run(script, [site, fingerprint, made.identity, out, ...(dataset === undefined ? [] : [dataset])], environment)
const keyOf = (pack: string): string => made.packs.get(pack) ?? "no such pack"
const flip = async (key: string, at: number): Promise<void> => {
  const bytes = await readFile(join(site, key))
  bytes.writeUInt8(bytes.readUInt8(at) ^ 1, at)
  await writeFile(join(site, key), bytes)
}
const within = (prefix: string): Map<string, Buffer> => new Map([...expected].filter(([path]) => path.startsWith(prefix)))

describe("recover.sh restores, with standard tools alone", () => {
  test("restores archives and states: pieces, cut frames, unusual names, times and permissions", async () => {
    const recordingsOnly = await recover("call-recordings")
    expect(recordingsOnly).toMatchObject({ exit: 0 })
    const files = await filesBelow(out)
    expect(files.get("MISSING.tsv")?.toString("latin1")).toBe(
      `path\treason\n${recordings}/2026/caf\xe9 new\\nline \\\\ and\\ttab.wav\tunreadable\n${recordings}/2026/never.wav\ttorn\n`,
    )
    files.delete("MISSING.tsv")
    expect(files).toEqual(within("call-recordings"))
    const { mode, mtimeMs } = await stat(join(out, recordings, "big.wav"))
    expect([mode & 0o7777, Math.floor(mtimeMs)]).toEqual([0o640, 1_763_640_000_123])
  })

  test("of a state, the newest complete snapshot is restored, its directories made, its links listed and not made", async () => {
    expect(await recover("switch-config")).toMatchObject({ exit: 0, errors: "" })
    const files = await filesBelow(out)
    expect(files.get("LINKS.tsv")?.toString()).toBe(`path\ttarget\n${configuration}/current\\tlink\t../../etc/passwd\n`)
    files.delete("LINKS.tsv")
    expect(files).toEqual(within("switch-config"))
    const { mode, mtimeMs } = await stat(join(out, configuration, "autoload"))
    expect([mode & 0o7777, Math.floor(mtimeMs)]).toEqual([0o550, 1_763_640_000_123])
    expect(await readdir(join(out, configuration, "empty"))).toEqual([])
    expect((await readdir(join(out, configuration))).sort()).toEqual(["autoload", "empty", "sip_profiles"])
  })

  test("an earlier state can be asked for, from before a disaster", async () => {
    expect(await recover("switch-config", { RECOVER_BEFORE: "2026-11-20T12:00:07.000Z" })).toMatchObject({ exit: 0 })
    expect([...(await filesBelow(out)).keys()].filter((path) => path !== "LINKS.tsv")).toEqual([`${configuration}/old.xml`])
  })
})

describe("recover.sh refuses", () => {
  test("nothing leaves the folder that is restored into, and no link is made or followed", async () => {
    const { exit, errors } = await recover("hostile")
    expect(exit).toBe(3)
    expect(errors.match(/its path would leave/g)).toHaveLength(6)
    const files = await filesBelow(out)
    files.delete("LINKS.tsv")
    const base = `hostile/pbx-1/${accounts.alder}`
    expect([...files.keys()].sort()).toEqual([`${base}/harmless`, `${base}/link/through`])
    expect((await readdir(join(out, base))).sort()).toEqual(["harmless", "link"])
    expect(await readdir(join(out, dirname(base)))).toEqual([accounts.alder])
  })

  test("a folder that exists is left alone", async () => {
    await mkdir(out)
    await writeFile(join(out, "mine"), "mine")
    expect(await recover()).toMatchObject({ exit: 1, errors: expect.stringContaining("must not exist yet") })
    expect(await readdir(out)).toEqual(["mine"])
  })

  test("another root is refused before anything is read", async () => {
    const other = fingerprintOf(signerOf("another root").publicKey)
    expect(await recover(undefined, {}, other)).toMatchObject({
      exit: 1,
      errors: expect.stringContaining("compare it with the escrow sheet"),
    })
    await expect(stat(out)).rejects.toThrow("ENOENT")
  })

  test("a repository signed by another root that claims to be this one is refused", async () => {
    const [name = ""] = (await readdir(join(site, "v1"))).filter((entry) => entry.startsWith("repository-"))
    const [line = ""] = (await readFile(join(site, "v1", name), "utf8")).split("\n")
    const forged = encodeSigned("repository", JSON.parse(line), signerOf("another root"))
    await rm(join(site, "v1", name))
    await writeFile(join(site, "v1", `repository-${hash32(forged)}.json`), forged)
    expect(await recover()).toMatchObject({ exit: 1, errors: expect.stringContaining("not signed by root") })
  })

  test("a trust list that is missing stops everything", async () => {
    const [first = ""] = (await readdir(join(site, "v1/trust"))).filter((name) => name.startsWith("1-"))
    await rm(join(site, "v1/trust", first))
    expect(await recover()).toMatchObject({ exit: 1, errors: expect.stringContaining("a trust list is missing") })
  })

  test("a pack with one bit changed gives no byte, and its files are named", async () => {
    await flip(keyOf("first"), 5000)
    const { exit, errors } = await recover("call-recordings")
    expect(exit).toBe(3)
    expect(errors).toContain(`refused: ${recordings}/big.wav: pack ${keyOf("first")}: its bytes are not those it is named by`)
    const files = await filesBelow(out)
    files.delete("MISSING.tsv")
    expect(files).toEqual(new Map([...expected].filter(([path]) => path.endsWith("one.wav") || path.endsWith("two.wav"))))
  })

  test("a pack that is missing is named with the files it held, and the others are restored", async () => {
    await rm(join(site, keyOf("second")))
    const { exit, errors } = await recover("call-recordings")
    expect(exit).toBe(3)
    expect(errors).toBe(`refused: ${recordings}/big.wav: pack ${keyOf("second")}: not at this site\n`)
    const files = await filesBelow(out)
    files.delete("MISSING.tsv")
    const rest = within("call-recordings")
    rest.delete(`${recordings}/big.wav`)
    expect(files).toEqual(rest)
  })

  test("a forged commit is refused and named, whether its signature, its key or its name is wrong", async () => {
    const [key = ""] = made.commits.slice(-2)
    const bytes = await readFile(join(site, key))
    const [line = ""] = bytes.toString().split("\n")
    const log = dirname(join(site, key))
    const later = line.replace(/"seq":\d+/, '"seq":900').replace('"complete":false', '"complete":true')
    const resigned = encodeSigned("commit", JSON.parse(later), signerOf("somebody"))
    const edited = Buffer.from(bytes.toString().replace(line, later))
    const anotherDomain = encodeSigned("trust", JSON.parse(later), signerOf("agent"))
    for (const forged of [resigned, edited, anotherDomain]) await writeFile(join(log, `000000000900-${hash32(forged)}.json`), forged)
    await rename(join(site, key), join(log, `000000000901-${"0".repeat(32)}.json`))
    const { exit, errors } = await recover("switch-config")
    expect(exit).toBe(3)
    expect(errors.match(/not signed by a trusted key of pbx-1, or not the bytes/g)).toHaveLength(4)
    const files = await filesBelow(out)
    files.delete("LINKS.tsv")
    expect(files).toEqual(within("switch-config"))
  })

  test("a commit signed by its agent for another place in the log is refused", async () => {
    const [key = ""] = made.commits.slice(-2)
    const bytes = await readFile(join(site, key))
    await rename(join(site, key), join(dirname(join(site, key)), `000000000900-${hash32(bytes)}.json`))
    expect(await recover("switch-config")).toMatchObject({ exit: 3, errors: expect.stringContaining("000000000900") })
  })

  test("an identity that opens nothing says so", async () => {
    const stranger = join(folder, "stranger.txt")
    await writeFile(stranger, await readFile(join(import.meta.dirname, "../vectors/age/x25519.txt")))
    const { exit, errors } = await run(script, [site, made.fingerprint, stranger, out])
    expect(exit).toBe(3)
    expect(errors).toContain("cannot be opened with this identity")
    await expect(stat(out)).rejects.toThrow("ENOENT")
  })

  test("a post-quantum identity needs age 1.3, and an older age is told apart", async () => {
    const bin = join(folder, "bin")
    await mkdir(bin, { recursive: true })
    await writeFile(join(bin, "age"), "#!/bin/sh\necho v1.2.1\n")
    await chmod(join(bin, "age"), 0o755)
    const identity = join(import.meta.dirname, "../vectors/age/hybrid.txt")
    const outcome = await run(script, [site, made.fingerprint, identity, out], { PATH: `${bin}:${process.env.PATH ?? ""}` })
    expect(outcome).toMatchObject({ exit: 1, errors: expect.stringContaining("needs age 1.3 or later, this is age 1.2") })
  })

  test("used wrongly, it says how it is used", async () => {
    expect(await run(script, [site])).toMatchObject({ exit: 2, errors: expect.stringContaining("usage: recover.sh SITE_DIR") })
  })
})

test("shellcheck finds nothing in recover.sh", async (context) => {
  const lacking = requireTool("shellcheck")
  if (lacking !== null) context.skip(lacking)
  expect(await run("shellcheck", [script])).toEqual({ exit: 0, output: "", errors: "" })
})
