import { Duplex } from "node:stream"
import fc from "fast-check"
import { expect, test } from "vitest"
import { CopyTap } from "../../src/database/postgres/copy.ts"

function message(code: string, content: Uint8Array): Buffer {
  const header = Buffer.from(`${code}\0\0\0\0`, "latin1")
  header.writeUInt32BE(4 + content.length, 1)
  return Buffer.concat([header, content])
}

/** A connected socket with the driver's listener, and a COPY that was just handed to the driver. */
function scene() {
  const socket = new Duplex({ read: () => undefined, write: (_chunk, _encoding, done) => done() })
  const driver: Buffer[] = []
  socket.on("data", (bytes: Buffer) => driver.push(Buffer.from(bytes)))
  const tap = new CopyTap(socket)
  const copy = tap.copyTo("COPY t TO STDOUT")
  const asked: string[] = []
  copy.submit({ query: (text) => asked.push(text) })
  return { socket, driver, copy, asked }
}

const begun = message("H", Buffer.from([0, 0, 1, 0, 0]))
const ended = [message("c", Buffer.alloc(0)), message("C", Buffer.from("COPY 3\0")), message("Z", Buffer.from("I"))]

test("rows come out as the server sent them, wherever the socket cuts them, and what follows them is the driver's", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.uint8Array({ maxLength: 60 }), { maxLength: 40 }),
      fc.infiniteStream(fc.integer({ min: 1, max: 50 })),
      async (rows, sizes) => {
        const { socket, driver, copy, asked } = scene()
        const notice = message("N", Buffer.from("a notice"))
        const sent = Buffer.concat([
          begun,
          ...rows.flatMap((row, at) => (at % 7 === 3 ? [notice, message("d", row)] : [message("d", row)])),
          ...ended,
        ])
        for (let at = 0; at < sent.length; ) {
          const size = sizes.next().value
          socket.push(Buffer.from(sent.subarray(at, at + size)))
          at += size
        }
        const given = await Array.fromAsync(copy, (bytes) => Buffer.from(bytes))
        expect(asked).toEqual(["COPY t TO STDOUT"])
        expect(Buffer.concat(given).equals(Buffer.concat(rows))).toBe(true)
        await expect.poll(() => Buffer.concat(driver).equals(Buffer.concat(ended))).toBe(true)
      },
    ),
    { numRuns: 50 },
  )
})

test("an error in the middle of the rows is no end of them: the driver hears it, and then so does who reads", async () => {
  const { socket, driver, copy } = scene()
  const failure = message("E", Buffer.from("SERROR\0\0"))
  socket.push(Buffer.concat([begun, message("d", Buffer.from("1\n")), failure]))
  const reading = copy[Symbol.asyncIterator]()
  expect(Buffer.from((await reading.next()).value ?? []).toString()).toBe("1\n")
  const after = reading.next()
  const first = await Promise.race([after, new Promise((resolve) => setImmediate(resolve, "still waits"))])
  expect(first).toBe("still waits")
  expect(Buffer.concat(driver).equals(failure)).toBe(true)
  copy.handleError(new Error("the server stopped"))
  await expect(after).rejects.toThrow("the server stopped")
})

test("a socket whose rows nobody takes is stopped, and goes on once they are taken, or given up", async () => {
  for (const leaves of [false, true]) {
    const { socket, driver, copy } = scene()
    const large = message("d", Buffer.alloc(300 * 1024))
    socket.push(Buffer.concat([begun, large]))
    await expect.poll(() => socket.isPaused()).toBe(true)
    const reading = copy[Symbol.asyncIterator]()
    await reading.next()
    if (leaves) await reading.return?.(undefined)
    else void reading.next()
    await expect.poll(() => socket.isPaused()).toBe(false)
    socket.push(Buffer.concat([large, ...ended]))
    await expect.poll(() => Buffer.concat(driver).equals(Buffer.concat(ended))).toBe(true)
  }
})
