import { type ChildProcess, spawn } from "node:child_process"
import { once } from "node:events"
import { connect, type Socket } from "node:net"
import { createInterface } from "node:readline/promises"
import { setTimeout as pause } from "node:timers/promises"
import { fileURLToPath } from "node:url"
import type { ServiceOptions } from "./clients.ts"
import type { Client } from "./matrix.ts"

/** A server in a process of its own. */
export interface Child extends AsyncDisposable {
  readonly endpoint: string
  /** Stops the process (SIGSTOP): what is connected stays so, what connects is taken by the kernel, and nobody answers. */
  freeze(): void
  /** It goes on, with all that was sent to it meanwhile. */
  thaw(): void
}

export async function startChild(client: Client, options: Omit<ServiceOptions, "clock">): Promise<Child> {
  const script = fileURLToPath(new URL("./serve.ts", import.meta.url))
  return await begun(spawn(process.execPath, [script, client, JSON.stringify(options)], { stdio: ["pipe", "pipe", "inherit"] }))
}

const listens =
  'const s = require("net").createServer(); s.listen({ port: 0, host: "127.0.0.1", backlog: 1 }, () => console.log("http://127.0.0.1:" + s.address().port)); process.stdin.resume().on("end", () => process.exit())'

/** A server that is frozen for good, and whose queue is full: the kernel drops whatever would open a connection. */
export async function startDropping(): Promise<Child> {
  const child = await begun(spawn(process.execPath, ["-e", listens], { stdio: ["pipe", "pipe", "inherit"] }))
  child.freeze()
  const port = Number(new URL(child.endpoint).port)
  const fillers: Socket[] = []
  for (let taken = true; taken; ) {
    const filler = connect(port, "127.0.0.1")
    filler.on("error", () => undefined)
    fillers.push(filler)
    taken = await Promise.race([once(filler, "connect").then(() => true), pause(300).then(() => false)])
  }
  const dispose = async () => {
    for (const filler of fillers) filler.destroy()
    await child[Symbol.asyncDispose]()
  }
  return { ...child, [Symbol.asyncDispose]: dispose }
}

async function begun(child: ChildProcess): Promise<Child> {
  const { stdin, stdout } = child
  if (stdin === null || stdout === null) throw new Error("no pipes")
  const closed = once(child, "close")
  const [endpoint] = await Promise.race([once(createInterface(stdout), "line"), closed.then(() => [])])
  if (typeof endpoint !== "string") throw new Error("the server did not start")
  return {
    endpoint,
    freeze: () => void child.kill("SIGSTOP"),
    thaw: () => void child.kill("SIGCONT"),
    [Symbol.asyncDispose]: async () => {
      child.kill("SIGCONT")
      stdin.end()
      await closed
    },
  }
}
