import { Readable, Writable } from "node:stream"
import type { Process } from "../../src/cli/bench.ts"
import { main } from "../../src/cli/main.ts"
import { systemClock } from "../../src/clock.ts"
import { systemRandom } from "../../src/random.ts"

export interface Ended {
  readonly exit: number
  readonly out: string
  readonly err: string
}

export interface Terminal {
  readonly cwd: string
  readonly env?: Process["env"]
  readonly tty?: boolean
  readonly signal?: AbortSignal
}

/** Runs a command line in this process, on a terminal or not. */
export async function holdline(argv: readonly string[], { cwd, env = {}, tty = false, signal }: Terminal): Promise<Ended> {
  const out = recorder(tty)
  const err = recorder(tty)
  const exit = await main({
    argv,
    stdin: Readable.from([]),
    stdout: out.stream,
    stderr: err.stream,
    env: { PATH: process.env.PATH, ...env },
    signal: signal ?? new AbortController().signal,
    clock: systemClock,
    random: systemRandom,
    cwd,
  })
  return { exit, out: out.text(), err: err.text() }
}

/** A stream that keeps what is written to it. */
export function recorder(isTTY: boolean) {
  let text = ""
  const stream = new Writable({
    write(chunk: Buffer, _, done) {
      text += chunk.toString()
      done()
    },
  })
  return { stream: Object.assign(stream, { isTTY, columns: 100 }), text: () => text }
}
