import { JobError } from "../../errors.ts"
import type { Channel } from "./channel.ts"
import { Refusal } from "./result.ts"

/** What the server said of a statement that gives no rows. */
export interface Done {
  /** Rows that were changed or taken. */
  readonly rows: number
  readonly warnings: number
}

const comQuery = 0x03
/** A payload of so many bytes or more goes on in the next packet. */
const packetBytes = 0xffffff
const controlBytesMax = 1024 * 1024

/** Sends a statement of any length and waits for what became of it. Rejects with a JobError, whose cause is a Refusal where the server said no. */
export async function run(channel: Channel, statement: Buffer, description: string): Promise<Done> {
  await sendQuery(channel, statement)
  const answer = await new Packets(channel, description).next()
  return doneOf(answer, description)
}

/**
 * Runs a LOAD DATA LOCAL statement and gives the server the lines, as fast as it takes them. It can name no file of this machine: whatever
 * it asks for, these are what it gets. Lines that fail to come end the connection, so that no part of them is taken for the whole.
 */
export async function runLoad(channel: Channel, statement: string, lines: AsyncIterable<Uint8Array>, description: string): Promise<Done> {
  await sendQuery(channel, Buffer.from(statement))
  const packets = new Packets(channel, description)
  const asked = await packets.next()
  if (asked[0] !== 0xfb) {
    doneOf(asked, description)
    throw new JobError("job/target", `${description}: the server did not ask for the rows`)
  }
  try {
    for await (const chunk of lines) {
      for (let at = 0; at < chunk.length; at += pieceBytes) await channel.writeSlowly(packets.answer(chunk.subarray(at, at + pieceBytes)))
    }
  } catch (error) {
    channel.destroy()
    throw error
  }
  await channel.writeSlowly(packets.answer(new Uint8Array(0)))
  return doneOf(await packets.next(), description)
}

const pieceBytes = 256 * 1024

async function sendQuery(channel: Channel, statement: Buffer): Promise<void> {
  const payload = Buffer.concat([Buffer.of(comQuery), statement])
  let sequence = 0
  for (let at = 0; ; at += packetBytes) {
    const part = payload.subarray(at, at + packetBytes)
    await channel.writeSlowly(packet(part, sequence++))
    if (part.length < packetBytes) return
  }
}

function packet(payload: Uint8Array, sequence: number): Buffer {
  const header = Buffer.alloc(4)
  header.writeUIntLE(payload.length, 0, 3)
  header.writeUInt8(sequence % 256, 3)
  return Buffer.concat([header, payload])
}

/** The server's packets of one answer, all of them short. */
class Packets {
  readonly #channel: Channel
  readonly #description: string
  #bytes = Buffer.alloc(0)
  #sequence = 0

  constructor(channel: Channel, description: string) {
    this.#channel = channel
    this.#description = description
  }

  /** A packet that answers the last one. */
  answer(payload: Uint8Array): Buffer {
    this.#sequence += 1
    return packet(payload, this.#sequence)
  }

  async next(): Promise<Buffer> {
    for (;;) {
      const length = this.#bytes.length < 4 ? controlBytesMax : this.#bytes.readUIntLE(0, 3)
      if (this.#bytes.length >= 4 && length > controlBytesMax) {
        this.#channel.destroy()
        throw new JobError("job/target", `${this.#description}: the server sent what is no answer to a load`)
      }
      if (this.#bytes.length >= 4 + length) {
        const payload = this.#bytes.subarray(4, 4 + length)
        this.#sequence = this.#bytes.readUInt8(3)
        this.#bytes = this.#bytes.subarray(4 + length)
        return payload
      }
      this.#bytes = Buffer.concat([this.#bytes, await this.#channel.next()])
    }
  }
}

function doneOf(payload: Buffer, description: string): Done {
  if (payload[0] === 0xff) {
    const message = payload.toString("utf8", payload[3] === 0x23 ? 9 : 3)
    const refusal = new Refusal(payload.readUInt16LE(1), message)
    throw new JobError("job/target", `${description}: ${withoutValues(message)}`, { cause: refusal, ...hintOf(refusal.number) })
  }
  if (payload[0] !== 0x00) throw new JobError("job/target", `${description}: the server sent rows where none were asked for`)
  const [rows, next] = lengthEncoded(payload, 1)
  const [, status] = lengthEncoded(payload, next)
  return { rows, warnings: payload.readUInt16LE(status + 2) }
}

/** The server quotes values of rows in what it says of them. */
function withoutValues(message: string): string {
  return message
    .replace(/(Duplicate entry|Incorrect \w+ value:|Truncated incorrect \w+ value:) '.*?'(?= for )/s, "$1 …")
    .slice(0, messageMax)
}

const messageMax = 300

function hintOf(number: number): { readonly hint?: string } {
  const hint = hints.get(number)
  return hint === undefined ? {} : { hint }
}

const hints: ReadonlyMap<number, string> = new Map([
  [1148, "set local_infile=ON on the server while it is restored"],
  [4166, "set local_infile=ON on the server while it is restored"],
  [1153, "raise max_allowed_packet on the server: a row of the dump is larger"],
  [1419, "set log_bin_trust_function_creators=ON on the server while it is restored"],
])

function lengthEncoded(bytes: Buffer, at: number): readonly [value: number, next: number] {
  const first = bytes.readUInt8(at)
  if (first < 0xfb) return [first, at + 1]
  if (first === 0xfc) return [bytes.readUInt16LE(at + 1), at + 3]
  if (first === 0xfd) return [bytes.readUIntLE(at + 1, 3), at + 4]
  return [Number(bytes.readBigUInt64LE(at + 1)), at + 9]
}
