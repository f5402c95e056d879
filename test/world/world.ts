import { setImmediate as nextTurn } from "node:timers/promises"
import { makeAccounts, type WorldAccount } from "./accounts.ts"
import { audio, unclosedWav, wav, wavHeader } from "./audio.ts"
import { acrossMidnight, type Call, csvOf, csvPath, type Period, plainCalls, type RecordedCall, recordedCalls } from "./calls.ts"
import { extensionPath, extensionXml, writeConfiguration } from "./configuration.ts"
import { changeDatabase, databaseDigest, writeDatabase } from "./database.ts"
import { Dice } from "./dice.ts"
import { Disk, type WorldFile } from "./disk.ts"

export interface WorldOptions {
  readonly seed: string
  /** The end of the world's time so far; its files are at least a quarter of an hour older. (Their ctime is the real one.) */
  readonly now: Date
  readonly accounts?: number
  readonly recordings?: number
  /** Of all recordings together, about. */
  readonly bytes?: number
  readonly days?: number
  readonly timezone?: string
  /** Zero-length files, unclosed headers, odd names, paths that fit no template: as every real tree has some. Default true. */
  readonly oddities?: boolean
}

/** The template of the recordings tree, and of the tree of call records. */
export const recordingsTemplate = "{account}/archive/{yyyy}/{Mon}/{dd}/{name}"
export const cdrTemplate = "{account}/{yyyy}-{MM}-{dd}.csv"

/** What `advance` did, as keys of `World.files`. */
export interface Changes {
  readonly added: readonly string[]
  readonly changed: readonly string[]
  readonly removed: readonly string[]
}

/**
 * An invented voice provider on disk, the same for the same options: recordings, call records, a configuration tree, a database.
 * Average shapes and awkward exceptions follow what real platforms were seen to do.
 */
export async function buildWorld(root: string, options: WorldOptions): Promise<World> {
  const world = new World(root, options)
  await world.begin()
  return world
}

/** Lets days go by: new recordings and calls, late and changed call records, deleted and converted recordings, edited settings. */
export async function advance(world: World, days: number): Promise<Changes> {
  return await world.advance(days)
}

export class World {
  readonly root: string
  readonly timezone: string
  readonly accounts: readonly [WorldAccount, ...WorldAccount[]]
  readonly #disk: Disk
  readonly #dice: Dice
  readonly #options: Required<WorldOptions>
  #nowMs: number
  readonly #calls = new Map<string, Call[]>()
  readonly #callOf = new Map<string, Call>()

  constructor(root: string, options: WorldOptions) {
    this.#options = { ...defaults, ...options }
    this.root = root
    this.timezone = this.#options.timezone
    this.#nowMs = this.#options.now.getTime()
    this.#disk = new Disk(root)
    this.#dice = new Dice(this.#options.seed)
    this.accounts = makeAccounts(this.#options.accounts, this.#dice)
  }

  get recordings(): string {
    return `${this.root}/recordings`
  }
  get cdr(): string {
    return `${this.root}/cdr`
  }
  get config(): string {
    return `${this.root}/config`
  }
  get database(): string {
    return `${this.root}/db/voicemail_default.db`
  }
  get now(): Date {
    return new Date(this.#nowMs)
  }

  /** Every file of the three trees with its SHA-256, by tree and path with one character per byte. */
  get files(): ReadonlyMap<string, WorldFile> {
    return this.#disk.files
  }

  databaseDigest(): string {
    return databaseDigest(this.database)
  }

  async begin(): Promise<void> {
    const { recordings, bytes, days } = this.#options
    const period = this.#period(days)
    const recorded = recordedCalls(this.accounts, period, { count: recordings, bytes }, this.#dice)
    await this.#record(this.#options.oddities ? this.#makeOdd(recorded, period) : recorded)
    for (const call of plainCalls(this.accounts, period, recordings * plainPerRecorded, this.#dice)) this.#note(call)
    for (const path of this.#calls.keys()) this.#writeCsv(path)
    writeConfiguration(this.#disk, this.accounts, this.#nowMs, this.#dice)
    writeDatabase(this.database, this.accounts, this.#nowMs, this.#dice)
  }

  async advance(days: number): Promise<Changes> {
    const before = new Map(this.files)
    const { recordings, bytes } = this.#options
    const share = days / this.#options.days
    this.#nowMs += days * 86_400_000
    const period = this.#period(days)
    const stale = new Set(this.#alterRecordings())
    const plan = { count: Math.max(1, Math.round(recordings * share)), bytes: bytes * share }
    await this.#record(recordedCalls(this.accounts, period, plan, this.#dice), stale)
    // Some calls are written down days after they ended: half of these belong to days that are already there.
    const late = { ...period, fromMs: period.fromMs - 2 * 86_400_000, toMs: period.fromMs }
    const news = [
      ...plainCalls(this.accounts, period, plan.count * plainPerRecorded, this.#dice),
      ...plainCalls(this.accounts, late, Math.max(1, Math.round(plan.count / 50)), this.#dice),
    ]
    for (const call of news) stale.add(this.#note(call))
    for (const path of stale) this.#writeCsv(path)
    this.#editConfiguration()
    changeDatabase(this.database, this.accounts, this.#nowMs - 3_600_000, this.#dice)
    return changesBetween(before, this.files)
  }

  #period(days: number): Period {
    return { fromMs: this.#nowMs - days * 86_400_000, toMs: this.#nowMs, timezone: this.timezone }
  }

  async #record(recorded: readonly RecordedCall[], stale: Set<string> = new Set()): Promise<void> {
    for (const [index, { call, kind }] of recorded.entries()) {
      const key = this.#disk.write("recordings", `${call.recordPath}/${call.recordName}`, audio(kind, call.seconds, this.#dice), {
        mtimeMs: call.endMs,
      })
      this.#callOf.set(key, call)
      stale.add(this.#note(call))
      if (index % 64 === 63) await nextTurn()
    }
  }

  /** Files a call under its account and day; gives the path of its call records. */
  #note(call: Call): string {
    const path = csvPath(call)
    const calls = this.#calls.get(path) ?? []
    this.#calls.set(path, calls)
    calls.push(call)
    return path
  }

  #writeCsv(path: string): void {
    const calls = this.#calls.get(path) ?? []
    const lastMs = calls.reduce((latest, call) => Math.max(latest, call.endMs), 0)
    // Late rows change a file long after its last call ended.
    const mtimeMs = this.files.has(`cdr/${path}`) ? this.#nowMs - 3_600_000 : lastMs
    this.#disk.write("cdr", path, csvOf(calls, this.timezone), { mode: 0o640, mtimeMs })
  }

  /** Takes the first few recordings apart for the exceptions a real tree has; gives the ordinary rest. */
  #makeOdd(recorded: readonly RecordedCall[], period: Period): RecordedCall[] {
    const rest = [...recorded]
    const next = (): Call | undefined => rest.shift()?.call
    for (const odd of oddRecordings) {
      const call = next()
      if (call === undefined) break
      for (const [name, bytes] of odd(call, this.#dice)) {
        this.#disk.write("recordings", Buffer.concat([Buffer.from(`${call.recordPath}/`), Buffer.from(name)]), bytes, {
          mtimeMs: call.endMs,
        })
      }
    }
    const late = rest.shift()
    if (late !== undefined) rest.push({ ...late, call: acrossMidnight(late.call, period) })

    const [{ domain }] = this.accounts
    const mtimeMs = period.fromMs + 43_200_000
    const unmatched = [`${domain}/welcome.wav`, `${domain}/archive/2026/Feb/30/${this.#dice.uuid()}.wav`, "upload.wav"]
    for (const path of unmatched) this.#disk.write("recordings", path, wav(0.2, this.#dice), { mtimeMs })
    return rest
  }

  /** Deletes a few recordings, converts a few, lets one grow; gives the paths of the call records that say so. */
  #alterRecordings(): string[] {
    const all = [...this.#callOf]
    const stale: string[] = []
    const some = (perTenThousand: number): number => Math.min(all.length, Math.max(1, Math.round((all.length * perTenThousand) / 10_000)))
    const take = (): [string, Call] | undefined => all.splice(this.#dice.between(0, all.length - 1), 1)[0]
    for (let left = some(30); left > 0; left--) {
      const [key, call] = take() ?? []
      if (key === undefined || call === undefined) break
      this.#disk.remove(key)
      this.#callOf.delete(key)
      // Most platforms forget the reference with the file; a privacy request or a full disk leaves it dangling.
      if (this.#dice.chance(0.7)) Object.assign(call, { recordPath: "", recordName: "" })
      stale.push(csvPath(call))
    }
    for (let left = some(20); left > 0; left--) {
      const [key, call] = take() ?? []
      if (key === undefined || call === undefined) break
      stale.push(this.#convert(key, call))
    }
    const grown = all.find(([key]) => key.endsWith(".mp3"))
    if (grown !== undefined) this.#grow(...grown)
    return stale
  }

  // What providers do to save space: the WAV becomes an MP3 of the same call, and the record says so.
  #convert(key: string, call: Call): string {
    this.#disk.remove(key)
    this.#callOf.delete(key)
    call.recordName = `${call.uuid}.${key.endsWith(".mp3") ? "wav" : "mp3"}`
    const kind = key.endsWith(".mp3") ? "wav" : "mp3"
    const converted = this.#disk.write("recordings", `${call.recordPath}/${call.recordName}`, audio(kind, call.seconds, this.#dice), {
      mtimeMs: this.#nowMs - 7_200_000,
    })
    this.#callOf.set(converted, call)
    return csvPath(call)
  }

  // A transferred call appends to a recording that was closed.
  #grow(key: string, call: Call): void {
    const longer = Buffer.concat([this.#disk.read(key), audio("mp3", 2, this.#dice)])
    this.#disk.write("recordings", `${call.recordPath}/${call.recordName}`, longer, { mtimeMs: this.#nowMs - 7_200_000 })
  }

  #editConfiguration(): void {
    const [account] = this.accounts
    const mtimeMs = this.#nowMs - 5_000_000
    const [extension] = account.extensions
    if (extension !== undefined) {
      const text = extensionXml(extension.number, this.#dice)
      this.#disk.write("config", extensionPath(account, extension.number), Buffer.from(text), { mode: 0o640, mtimeMs })
    }
    const added = `directory/${account.domain}/9${String(this.#dice.between(100, 999))}.xml`
    this.#disk.write("config", added, Buffer.from(extensionXml("900", this.#dice)), { mode: 0o640, mtimeMs })
    if (this.files.has("config/sip_profiles/external/carrier-b.xml")) this.#disk.remove("config/sip_profiles/external/carrier-b.xml")
  }
}

const defaults = { accounts: 60, recordings: 3000, bytes: 300_000_000, days: 14, timezone: "Europe/Berlin", oddities: true } as const

/** Of five calls, one is recorded. */
const plainPerRecorded = 4

type OddRecording = (call: Call, dice: Dice) => [name: Buffer | string, bytes: Buffer][]

const oddRecordings: readonly OddRecording[] = [
  ({ uuid }) => [[`${uuid}.mp3`, Buffer.alloc(0)]],
  ({ uuid }) => [[`${uuid}.wav`, wavHeader(0)]],
  ({ uuid }, dice) => [[`${uuid}.wav`, unclosedWav(2, dice)]],
  ({ uuid }, dice) => [[`${uuid}-${"x".repeat(250 - uuid.length - 5)}.wav`, wav(0.1, dice)]],
  ({ uuid }, dice) => [[Buffer.concat([Buffer.from(uuid), Buffer.from([0x2d, 0xff, 0xfe, 0xe9]), Buffer.from(".wav")]), wav(0.1, dice)]],
  ({ uuid }, dice) => [
    [`${uuid}.wav`, wav(0.1, dice)],
    [`${uuid}.WAV`, wav(0.1, dice)],
  ],
  ({ uuid }, dice) => [[`${uuid} with spaces "quotes" and\nline break.wav`, wav(0.1, dice)]],
]

function changesBetween(before: ReadonlyMap<string, WorldFile>, after: ReadonlyMap<string, WorldFile>): Changes {
  const added: string[] = []
  const changed: string[] = []
  for (const [key, file] of after) {
    const old = before.get(key)
    if (old === undefined) added.push(key)
    else if (old.sha256 !== file.sha256) changed.push(key)
  }
  return { added, changed, removed: [...before.keys()].filter((key) => !after.has(key)) }
}
