import { readFileSync } from "node:fs"
import { readFile } from "node:fs/promises"
import { setTimeout as sleep } from "node:timers/promises"
import { describe, expect, test } from "vitest"
import { commandSource } from "../../src/source/command.ts"
import type { CommandSettings } from "../../src/source/settings.ts"
import type { CaptureOptions, Source } from "../../src/source/source.ts"
import { captured, environment, scratchDirectories, signal } from "./captured.ts"
import { memory } from "./memory.ts"

const directory = scratchDirectories()
const options: CaptureOptions = { now: new Date("2026-11-21T18:00:00Z"), scratch: "", signal, memory: memory() }

function shell(script: string, timeout?: number): Source {
  return source(["/bin/sh", "-c", script], timeout)
}

function source(command: CommandSettings["command"], timeout?: number): Source {
  const settings: CommandSettings = { kind: "command", command, account: "mixed", name: "dump.sql" }
  return commandSource(timeout === undefined ? settings : { ...settings, timeout }, { ...environment, LANG: "C", HOME: "/nonexistent" })
}

async function contentOf(one: Source, stop: AbortSignal = signal): Promise<AsyncIterable<Uint8Array>> {
  const { items } = await captured(one, options)
  const content = items[0]?.content
  if (content?.kind !== "stream") throw new Error("no stream")
  return content.open(stop)
}

async function output(one: Source): Promise<string> {
  return Buffer.concat(await Array.fromAsync(await contentOf(one))).toString()
}

test("what a program writes is one file of unknown size", async () => {
  const { items, misses, notes } = await captured(shell("echo hello"), options)
  expect(items).toMatchObject([
    {
      stableId: "mixed",
      day: "",
      path: Buffer.from("dump.sql"),
      type: "file",
      size: null,
      compressible: true,
      mode: 0o600,
      mtimeNs: 1795284000000000000n,
    },
  ])
  expect([...misses, ...notes]).toEqual([])
  expect(await output(shell("echo hello; echo noise >&2"))).toBe("hello\n")
})

test("arguments are arguments, no shell reads them", async () => {
  expect(await output(source(["printf", "%s|", "$HOME", "a b", "; ls", "`id`"]))).toBe("$HOME|a b|; ls|`id`|")
})

test("the environment is what was given and nothing else, standard input is closed, the directory is no one's", async () => {
  const lines = (await output(source(["env"]))).trim().split("\n")
  expect(lines.map((line) => line.split("=")[0]).toSorted()).toEqual(["HOME", "LANG", "PATH"])
  expect(await output(source(["cat"]))).toBe("")
  expect(await output(source(["pwd"]))).toBe("/\n")
})

test("more than any buffer holds comes whole, to a slow reader", async () => {
  let bytes = 0
  for await (const chunk of await contentOf(source(["head", "-c", "20000000", "/dev/zero"]))) {
    if (bytes === 0) await sleep(200)
    bytes += chunk.length
  }
  expect(bytes).toBe(20_000_000)
})

test("success without output is an empty content, which only its reader can judge", async () => {
  expect(await output(shell("true"))).toBe("")
})

describe("a failure is an error and never a short file", () => {
  test.each([
    ["a status", "echo 'relation \"cdr\" does not exist' >&2; exit 3", 'ended with status 3: relation "cdr" does not exist'],
    ["a status and no word", "exit 1", "/bin/sh: ended with status 1"],
    ["output, then a status", "head -c 300000 /dev/zero; echo 'connection lost' >&2; exit 2", "ended with status 2: connection lost"],
    ["a signal", "kill -9 $$", "was ended by SIGKILL"],
    [
      "the last line of much",
      "i=0; while [ $i -lt 2000 ]; do echo line $i >&2; i=$((i+1)); done; exit 1",
      "ended with status 1: line 1999",
    ],
    ["a line that would colour a terminal", "printf '\\033[31mred\\007\\n\\n' >&2; exit 1", "ended with status 1: [31mred"],
  ])("%s", async (_, script, message) => {
    await expect(output(shell(script))).rejects.toMatchObject({ code: "job/command", message: expect.stringContaining(message) })
  })

  test("a program that is not there", async () => {
    await expect(output(source(["no-such-program"]))).rejects.toMatchObject({
      code: "job/command",
      message: expect.stringContaining("no-such-program: cannot be started"),
    })
  })

  test("an argument no program can be given", async () => {
    await expect(output(source(["echo", "a\0b"]))).rejects.toMatchObject({
      code: "job/command",
      message: expect.stringContaining("cannot be started"),
    })
  })

  test("what came before a failure may have been handed out, but the end is an error", async () => {
    const chunks: Uint8Array[] = []
    const reading = (async () => {
      for await (const chunk of await contentOf(shell("echo partial; exit 3"))) chunks.push(chunk)
    })()
    await expect(reading).rejects.toMatchObject({ code: "job/command" })
    expect(Buffer.concat(chunks).toString()).toBe("partial\n")
  })
})

describe("a program that does not end", () => {
  test("is ended with all it started when its time is over", async () => {
    const pids = `${await directory()}/pids`
    const reading = output(shell(`sleep 300 & echo $! > ${pids}; echo $$ >> ${pids}; echo begun; wait`, 300))
    await expect(reading).rejects.toMatchObject({ code: "job/command", message: expect.stringContaining("did not end within 300 ms") })
    await allGone(pids)
  })

  test("is ended when the run is stopped, for the run's reason", async () => {
    const pids = `${await directory()}/pids`
    const stop = new AbortController()
    const reading = (async () => {
      for await (const _ of await contentOf(shell(`sleep 300 & echo $! > ${pids}; echo $$ >> ${pids}; echo begun; wait`), stop.signal)) {
        stop.abort(new Error("interrupted"))
      }
    })()
    await expect(reading).rejects.toThrow("interrupted")
    await allGone(pids)
  })

  test("is not even begun when the run was stopped before", async () => {
    const stop = AbortSignal.abort(new Error("interrupted"))
    await expect(Array.fromAsync(shell("true").capture({ ...options, signal: stop }))).rejects.toThrow("interrupted")
    await expect((async () => await Array.fromAsync(await contentOf(shell("sleep 300"), stop)))()).rejects.toThrow("interrupted")
  })

  test("is ended when nobody reads on", async () => {
    const pids = `${await directory()}/pids`
    for await (const _ of await contentOf(shell(`echo $$ > ${pids}; yes`))) break
    await allGone(pids)
  })

  test("is killed when it does not listen", async () => {
    const pids = `${await directory()}/pids`
    const reading = output(shell(`trap '' TERM; echo $$ > ${pids}; echo begun; while true; do sleep 1; done`, 300))
    await expect(reading).rejects.toMatchObject({ code: "job/command" })
    await allGone(pids)
  })
})

/** Waits until none of the processes whose ids a file holds runs any more; the test's timeout says that one does. */
async function allGone(path: string): Promise<void> {
  const pids = (await readFile(path, "utf8")).trim().split("\n")
  expect(pids.length).toBeGreaterThan(0)
  while (pids.some(isRunning)) await sleep(20)
}

function isRunning(pid: string): boolean {
  try {
    // Ended and not yet waited for by its parent counts as gone.
    return !readFileSync(`/proc/${pid}/stat`, "latin1").includes(") Z")
  } catch {
    return false
  }
}
