import { spawn } from "node:child_process"
import { once } from "node:events"
import { Readable } from "node:stream"
import { pipeline } from "node:stream/promises"

/** Runs a program to its end with these texts as its standard input; rejects with its own words where it fails. */
export async function feed(
  command: readonly [string, ...string[]],
  texts: Iterable<string>,
  environment: Readonly<Record<string, string>>,
): Promise<void> {
  const [name, ...args] = command
  const child = spawn(name, args, { cwd: "/", env: { ...process.env, LC_ALL: "C", ...environment }, stdio: ["pipe", "ignore", "pipe"] })
  const ended = once(child, "close")
  const said = Array.fromAsync<Buffer>(child.stderr)
  // Why the program no longer reads is in what it said, not in the broken pipe.
  await pipeline(Readable.from(texts), child.stdin).catch(() => undefined)
  const [status]: unknown[] = await ended
  if (status !== 0)
    throw new Error(
      `${name} ended with ${String(status)}: ${Buffer.concat(await said)
        .toString("utf8")
        .trim()}`,
    )
}

/** The same text in pieces worth a write. */
export function* inPieces(lines: Iterable<string>): Generator<string> {
  let piece = ""
  for (const line of lines) {
    piece += line
    if (piece.length < pieceLength) continue
    yield piece
    piece = ""
  }
  if (piece !== "") yield piece
}

const pieceLength = 128 * 1024
