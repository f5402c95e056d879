import { once } from "node:events"
import { rm } from "node:fs/promises"
import { createServer, type Socket } from "node:net"
import { JobError } from "../../errors.ts"
import { Channel } from "./channel.ts"
import type { Session } from "./session.ts"

/** What a client of the relay may do: exactly what the session behind it was logged in with, so that results need no translation. */
const capabilities = {
  mysql: 1 << 0,
  foundRows: 1 << 1,
  longFlag: 1 << 2,
  withDatabase: 1 << 3,
  protocol41: 1 << 9,
  transactions: 1 << 13,
  secureConnection: 1 << 15,
  multiResults: 1 << 17,
  pluginAuth: 1 << 19,
} as const
/** Bit 35 of MariaDB's capabilities, in their upper half. */
const extendedMetadata = 1 << 3

const okPacket = Buffer.of(0, 0, 0, 2, 0, 0, 0)
const [comQuit, comInitDb, comQuery, comPing] = [0x01, 0x02, 0x03, 0x0e]

/** The longest path of a socket that Linux takes. */
const socketPathMax = 107

export interface Relay extends AsyncDisposable {
  /** The socket a client program finds the server at. Only the first that comes is let in. */
  readonly path: string
  /** Why the client was refused something; null where it was not. */
  refused(): string | null
}

export interface RelayOptions {
  readonly path: string
  /** The server's, for the program to go by. */
  readonly version: string
  /** What is sent to the server in place of a statement of the program. */
  rewrite(sql: string): string
}

/**
 * Lends a session to a client program: a socket in a private directory, at which the program finds what looks like the server. So it
 * needs neither password nor TLS of its own, its connection is as patient as ours, and it sees the very snapshot the session is in: what
 * would begin another one is answered here and goes no further, and what would end ours is refused. When it is disposed of, the session
 * is as before, or closed where the program left in the middle of a statement.
 */
export async function relayTo(session: Session, options: RelayOptions): Promise<Relay> {
  const { path, version, rewrite } = options
  if (Buffer.byteLength(path) > socketPathMax) {
    throw new JobError("job/source", `${path}: too long for the path of a socket, which has at most ${socketPathMax} bytes`, {
      hint: "choose a shorter directory for temporary files",
    })
  }
  let refused: string | null = null
  let serving: Promise<void> | null = null
  const refuse = (reason: string): void => {
    refused ??= reason
  }
  const server = createServer((socket) => {
    server.close()
    // Who was cut off in the middle says why: the program by how it ends.
    serving ??= serve(session, socket, { version, rewrite, refuse }).catch(() => {
      session.destroy()
      socket.destroy()
    })
  })
  server.maxConnections = 1
  server.listen(path)
  await once(server, "listening")
  return {
    path,
    refused: () => refused,
    async [Symbol.asyncDispose]() {
      server.close()
      await serving
      await rm(path, { force: true })
      if (!session.lost) await session.prepare()
    },
  }
}

interface Serving extends Pick<RelayOptions, "version" | "rewrite"> {
  refuse(reason: string): void
}

async function serve(session: Session, socket: Socket, { version, rewrite, refuse }: Serving): Promise<void> {
  const client = new Channel(socket, "the program that dumps")
  const commands = new Packets(client)
  client.send(greeting(session, version))
  const unfit = unfitness(await commands.next(), session)
  if (unfit !== null) {
    refuse(unfit)
    client.destroy()
    return
  }
  client.send(okPacket, 2)
  const over = new AbortController()
  const answers = pump(session, client, over.signal)
  try {
    while (true) {
      const command = await Promise.race([commands.next(), answers])
      if (command === undefined || command[0] === comQuit) return
      const answer = ownAnswer(command)
      if (answer === null) session.channel.send(rewritten(command, rewrite))
      else client.send(answer.packet, 1)
      if (answer?.refusal !== undefined) refuse(answer.refusal)
    }
  } finally {
    over.abort()
    await answers.catch(() => undefined)
    client.destroy()
  }
}

function rewritten(command: Buffer, rewrite: (sql: string) => string): Buffer {
  if (command[0] !== comQuery) return command
  const sql = command.toString("utf8", 1)
  const instead = rewrite(sql)
  return instead === sql ? command : Buffer.concat([Buffer.of(comQuery), Buffer.from(instead)])
}

/** Passes on what the server says, until told to stop, which the client does between two answers. */
async function pump(session: Session, client: Channel, over: AbortSignal): Promise<undefined> {
  while (!over.aborted) {
    const chunk = await session.channel.next(over)
    await client.writeSlowly(chunk)
  }
  return undefined
}

function greeting(session: Session, version: string): Buffer {
  const flags = Object.values(capabilities).reduce((all, flag) => all | flag, 0) & ~(session.extendedMetadata ? capabilities.mysql : 0)
  const scramble = Buffer.alloc(20, "x")
  const tail = Buffer.alloc(18)
  tail.writeUInt16LE(flags & 0xffff, 0)
  tail.writeUInt8(45, 2) // utf8mb4
  tail.writeUInt16LE(2, 3) // autocommit
  tail.writeUInt16LE((flags >>> 16) & 0xffff, 5)
  tail.writeUInt8(21, 7)
  tail.writeUInt32LE(session.extendedMetadata ? extendedMetadata : 0, 14)
  const id = Buffer.alloc(4)
  id.writeUInt32LE(session.threadId % 2 ** 32)
  return Buffer.concat([
    Buffer.of(10),
    Buffer.from(`${version}\0`),
    id,
    scramble.subarray(0, 8),
    Buffer.of(0),
    tail,
    scramble.subarray(8),
    Buffer.from("\0mysql_native_password\0"),
  ])
}

/** Why a program that logs in cannot be served; null where it can. */
function unfitness(login: Buffer, session: Session): string | null {
  if (login.length < 32) return "the program speaks a protocol older than MySQL 4.1"
  const understands = (login.readUInt32LE(0) & capabilities.mysql) === 0 && (login.readUInt32LE(28) & extendedMetadata) !== 0
  return session.extendedMetadata && !understands ? "the program is too old for this server: MariaDB's of 10.6 or newer is needed" : null
}

interface OwnAnswer {
  readonly packet: Buffer
  readonly refusal?: string
}

/** Null where the server is to answer. */
function ownAnswer(command: Buffer): OwnAnswer | null {
  if (command[0] === comInitDb || command[0] === comPing) return null
  const sql = command[0] === comQuery ? command.toString("utf8", 1, 200) : `command ${String(command[0])}`
  const bare = sql.replace(/^\s*\/\*M?!\d*\s*/, "")
  if (/^(START TRANSACTION|UNLOCK TABLES)\b/i.test(bare)) return { packet: okPacket }
  if (/^(SELECT|SHOW|SET|USE|SAVEPOINT|ROLLBACK TO|RELEASE SAVEPOINT)\b/i.test(bare)) return null
  const refusal = `a statement that could end the snapshot is not passed on: ${bare.slice(0, 60)}`
  const number = Buffer.alloc(3)
  number.writeUInt8(0xff)
  number.writeUInt16LE(1235, 1)
  return { packet: Buffer.concat([number, Buffer.from(`#42000${refusal}`)]), refusal }
}

/** The packets that come over a channel, each whole: a client's are small. */
class Packets {
  readonly #channel: Channel
  #bytes = Buffer.alloc(0)

  constructor(channel: Channel) {
    this.#channel = channel
  }

  async next(): Promise<Buffer> {
    while (this.#bytes.length < 4 || this.#bytes.length < 4 + this.#bytes.readUIntLE(0, 3)) {
      this.#bytes = Buffer.concat([this.#bytes, await this.#channel.next()])
    }
    const end = 4 + this.#bytes.readUIntLE(0, 3)
    const packet = this.#bytes.subarray(4, end)
    this.#bytes = this.#bytes.subarray(end)
    return packet
  }
}
