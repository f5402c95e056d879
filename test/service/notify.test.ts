import { spawn } from "node:child_process"
import { once } from "node:events"
import { chmod, mkdtemp, readFile, rm, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { createInterface } from "node:readline"
import { expect, onTestFinished, test } from "vitest"
import type { BackupError } from "../../src/errors.ts"
import { serviceManager, watchdogEveryMs } from "../../src/notify-socket.ts"
import { requireTool } from "../requires.ts"

const silent = { pids: [1], tell: () => undefined }

async function folder(): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), "notify-"))
  onTestFinished(() => rm(path, { recursive: true }))
  return path
}

/** A systemd-notify that writes down what it is told to say, to whom; or ends with a status. */
async function fake(status = 0): Promise<{ readonly PATH: string; said(): Promise<string[]> }> {
  const at = await folder()
  const script = `#!/bin/sh\necho "$NOTIFY_SOCKET $*" >> '${at}/said'\nexit ${String(status)}\n`
  await writeFile(join(at, "systemd-notify"), script)
  await chmod(join(at, "systemd-notify"), 0o755)
  const said = async () => (await readFile(join(at, "said"), "utf8").catch(() => "")).split("\n").filter((line) => line !== "")
  return { PATH: at, said }
}

test("what happens is said to the socket that the manager named", async () => {
  const { PATH, said } = await fake()
  const manager = serviceManager({ ...silent, env: { PATH, NOTIFY_SOCKET: "/run/x" } })
  await manager.ready()
  await manager.reloading()
  await manager.stopping()
  expect(await said()).toEqual(["/run/x READY=1", "/run/x RELOADING=1", "/run/x STOPPING=1"])
})

test("without a manager nothing is said", async () => {
  const { PATH, said } = await fake()
  const manager = serviceManager({ ...silent, env: { PATH, WATCHDOG_USEC: "3000" } })
  await manager.ready()
  using _ = manager.watch()
  await new Promise((resolve) => setTimeout(resolve, 20))
  expect(await said()).toEqual([])
})

test("a manager that cannot be told is a failure of the start", async () => {
  const { PATH } = await fake(1)
  const manager = serviceManager({ ...silent, env: { PATH, NOTIFY_SOCKET: "/run/x" } })
  await expect(manager.ready()).rejects.toMatchObject({
    code: "job/command",
    message: "the service manager was not told READY=1: systemd-notify: ended with status 1",
  })
  const none = serviceManager({ ...silent, env: { PATH: "/nonexistent", NOTIFY_SOCKET: "/run/x" } })
  await expect(none.ready()).rejects.toMatchObject({ code: "job/command" })
})

test("a manager that watches hears again and again that the process lives, until that ends", async () => {
  const { PATH, said } = await fake()
  const manager = serviceManager({ ...silent, env: { PATH, NOTIFY_SOCKET: "/run/x", WATCHDOG_USEC: "30000" } })
  const watching = manager.watch()
  await expect.poll(async () => (await said()).length, { timeout: 30_000 }).toBeGreaterThan(1)
  watching[Symbol.dispose]()
  expect(new Set(await said())).toEqual(new Set(["/run/x WATCHDOG=1"]))
})

test("a watching manager that cannot be told is told of, and tried again", async () => {
  const { PATH } = await fake(1)
  const told: BackupError[] = []
  const env = { PATH, NOTIFY_SOCKET: "/run/x", WATCHDOG_USEC: "30000" }
  using _ = serviceManager({ env, pids: [1], tell: (error) => told.push(error) }).watch()
  await expect.poll(() => told.length, { timeout: 30_000 }).toBeGreaterThan(1)
  expect(told[0]?.code).toBe("job/command")
})

test("the manager hears of it three times in what it waits for", () => {
  expect(watchdogEveryMs({ WATCHDOG_USEC: "180000000" }, [7])).toBe(60_000)
  expect(watchdogEveryMs({ WATCHDOG_USEC: "180000000", WATCHDOG_PID: "7" }, [8, 7])).toBe(60_000)
  expect(watchdogEveryMs({ WATCHDOG_USEC: "180000000", WATCHDOG_PID: "9" }, [8, 7])).toBeNull()
  expect(watchdogEveryMs({ WATCHDOG_USEC: "1" }, [7])).toBe(1)
  expect(watchdogEveryMs({ WATCHDOG_USEC: "9999999999999999" }, [7])).toBe(2 ** 31 - 1)
  for (const nothing of [undefined, "", "0", "-5", "many"]) expect(watchdogEveryMs({ WATCHDOG_USEC: nothing }, [7])).toBeNull()
})

test("systemd's own program brings it to a socket", async (context) => {
  for (const tool of ["systemd-notify", "python3"]) {
    const lacking = requireTool(tool)
    if (lacking !== null) context.skip(lacking)
  }
  const socket = join(await folder(), "socket")
  const lines = [
    "import socket, sys",
    "s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)",
    "s.bind(sys.argv[1])",
    "print('listening', flush=True)",
    "while True: print(s.recv(1000).decode().strip(), flush=True)",
  ]
  const receiver = spawn("python3", ["-c", lines.join("\n"), socket], { stdio: ["ignore", "pipe", "inherit"] })
  const ended = once(receiver, "exit")
  onTestFinished(async () => {
    receiver.kill()
    await ended
  })
  const heard = createInterface(receiver.stdout)[Symbol.asyncIterator]()
  expect(await heard.next()).toMatchObject({ value: "listening" })
  await serviceManager({ ...silent, env: { PATH: process.env.PATH, NOTIFY_SOCKET: socket } }).ready()
  expect(await heard.next()).toMatchObject({ value: "READY=1" })
})
