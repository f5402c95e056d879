import { execFileSync } from "node:child_process"
import { chmod } from "node:fs/promises"
import { inspect } from "node:util"
import fc from "fast-check"
import { expect, test } from "vitest"
import { openSecret } from "../../src/wiring/secret.ts"
import { show } from "../../src/wiring/show.ts"
import type { SecretReference } from "../../src/wiring/values.ts"
import { configProblems, designArchiveJob, designConfig, jobProblems, project, refusal } from "./project.ts"

const origin = { file: "config/holdline.yaml", line: 6, col: 13 }

function open(reference: SecretReference, env: Record<string, string> = {}): ReturnType<typeof openSecret> {
  return openSecret(reference, { key: "signingKey", origin, env })
}

test("a secret is read from a file of its owner, from a variable, or from a systemd credential", async () => {
  await using made = await project({})
  const file = await made.write("agent.key", "from file\n", 0o600)
  await made.write("credentials/agent.key", "from credential\n", 0o440)
  expect((await open({ file })).reveal()).toBe("from file")
  expect((await open({ env: "KEY" }, { KEY: "from env" })).reveal()).toBe("from env")
  expect((await open({ credential: "agent.key" }, { CREDENTIALS_DIRECTORY: made.path("credentials") })).reveal()).toBe("from credential")
})

test.each([0o640, 0o604, 0o660, 0o777])("a file that others may use is refused: mode %o", async (mode) => {
  await using made = await project({})
  const file = await made.write("agent.key", "hunter2")
  await chmod(file, mode)
  const error = await refusal(open({ file }))
  expect(error).toMatchObject({ code: "config/secret", hint: `chmod 600 ${file}` })
  expect(error.message).toBe(
    `config/holdline.yaml:6:13: signingKey: cannot read file ${file}: others than its owner may use it (mode 0${mode.toString(8)})`,
  )
})

test.each<[SecretReference, Record<string, string>, string]>([
  [{ file: "/nowhere/key" }, {}, "cannot read file /nowhere/key: there is no such file"],
  [{ file: "/tmp" }, {}, "cannot read file /tmp: "],
  [{ env: "KEY" }, {}, "cannot read environment variable KEY: it is not set"],
  [{ env: "KEY" }, { KEY: "" }, "cannot read environment variable KEY: it is not set"],
  [{ env: "KEY" }, { KEY: " \n" }, "cannot read environment variable KEY: it is empty"],
  [{ credential: "key" }, {}, "cannot read credential key: CREDENTIALS_DIRECTORY is not set"],
  [{ credential: "key" }, { CREDENTIALS_DIRECTORY: "/nowhere" }, "cannot read credential key: there is no such file"],
])("what is missing is named with the line of its reference: %j", async (reference, env, why) => {
  const error = await refusal(open(reference, env))
  expect(error.code).toBe("config/secret")
  expect(error.message).toContain(`config/holdline.yaml:6:13: signingKey: ${why}`)
})

test("a named pipe is refused, not waited for", async () => {
  await using made = await project({})
  execFileSync("sh", ["-c", 'mkfifo -m 600 "$0"', made.path("pipe")])
  expect((await refusal(open({ file: made.path("pipe") }))).message).toContain("it is no regular file")
})

test("a file far too large for a secret is refused", async () => {
  await using made = await project({})
  const file = await made.write("agent.key", "x".repeat(70_000), 0o600)
  expect((await refusal(open({ file }))).message).toContain("it is larger than 64 KiB")
})

test("a secret never appears where it is inspected, printed, serialised or shown", async () => {
  await using made = await project({ "config/holdline.yaml": designConfig.replace("{file: /etc/holdline/agent.key}", "{env: AGENT_KEY}") })
  const env = { AGENT_KEY: "hunter2" }
  const loaded = await made.load({ env })
  const secret = await openSecret(loaded.config.signingKey ?? {}, { key: "signingKey", origin, env })
  const everything = [
    inspect({ secret }),
    `${secret.toString()}`,
    JSON.stringify({ secret }),
    inspect(loaded, { depth: 9 }),
    show(loaded, { origin: true }),
  ]
  for (const text of everything) expect(text).not.toContain("hunter2")
  expect(show(loaded, { origin: false })).toContain("signingKey:\n  env: AGENT_KEY\n")
})

// Wherever a secret was pasted, the message that refuses it goes to logs and tickets.
const places = [
  [designConfig, configProblems],
  [designArchiveJob, jobProblems],
] as const

test("a secret pasted in place of any value, or as any key, never appears in an error", async () => {
  const pasted = "AGE-SECRET-KEY-1QQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQ"
  for (const [text, problems] of places) {
    const words = [...text.matchAll(/[\w/.-]+(?=[\s,:}\]]|$)/gm)].filter((match) => !/^(version|mode)$/.test(match[0]))
    for (const { index, 0: word } of words) {
      const messages = await problems(text.slice(0, index) + pasted + text.slice(index + word.length))
      expect(messages.join("\n"), `in place of ${word} at ${String(index)}`).not.toContain(pasted.slice(0, 30))
    }
  }
})

test("text of any kind in place of a value is refused without quoting it", async () => {
  await fc.assert(
    fc.asyncProperty(fc.string({ minLength: 12, unit: "grapheme-ascii" }), async (secret) => {
      const messages = await configProblems(designConfig.replace("{file: /etc/holdline/agent.key}", secret.replaceAll("$", "$$$$")))
      expect(messages.join("\n")).not.toContain(secret)
    }),
    { numRuns: 200 },
  )
})
