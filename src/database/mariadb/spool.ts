import { createReadStream } from "node:fs"
import { open, rm } from "node:fs/promises"
import { JobError, reasonOf } from "../../errors.ts"

/**
 * A stream, taken at full speed into a file at `path`, which must not be there yet and goes away afterwards; `taken` runs when all of it
 * is in the file and before the first piece is given. For streams that keep others waiting while they are read.
 */
export async function* spooled(stream: AsyncIterable<Uint8Array>, path: string, taken: () => Promise<void>): AsyncGenerator<Uint8Array> {
  try {
    try {
      await write(stream, path)
    } finally {
      await taken()
    }
    yield* createReadStream(path, { highWaterMark: pieceBytes })
  } finally {
    await rm(path, { force: true })
  }
}

const pieceBytes = 256 * 1024

async function write(stream: AsyncIterable<Uint8Array>, path: string): Promise<void> {
  await using file = await open(path, "wx", 0o600)
  for await (const piece of stream) {
    await file.writeFile(piece).catch((cause: unknown) => {
      throw new JobError("job/source", `${path}: ${reasonOf(cause)}`, {
        cause,
        hint: "tables without transactions are read into the directory for temporary files first; give it room",
      })
    })
  }
}
