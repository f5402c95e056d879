import { readdir } from "node:fs/promises"
import picomatch from "picomatch"
import { BackupError, errnoOf, JobError, reasonOf } from "../errors.ts"
import { CdrCsvFile, type CsvSourceSettings } from "./csv-capture.ts"
import { type CsvFile, openCsvFile } from "./csv-file.ts"
import { CsvMemory } from "./csv-memory.ts"
import type { CaptureOptions, Found, MissReason, Source } from "./source.ts"

/** A compressed file may still be written while it is this young. */
const settleMs = 5 * 60_000
/** A file that did not change for so long grows no more: the end of a row that was cut short never comes. */
const finalMs = 24 * 3_600_000
/** A file that was read so lately and is gone may have had more. */
const livelyMs = 25 * 3_600_000

const otherCompression = /\.(?:bz2|xz|zst|lz4|Z|zip)$/

/**
 * Files of call detail records that a switch appends to, in archive mode: whole rows, to pieces of their account and day, byte for byte.
 * A file is known by its name without rotation and by what it begins with, so that it is read on under whatever name it has: renamed,
 * copied, or compressed with gzip; what is remembered of it counts only while all pieces are kept, and it is checked against the bytes
 * before. A file that was cut short and written anew begins again, with a miss where no file has what came in between. Rows that cannot be
 * read go to `mixed`, with a note. Rejects with a JobError where the directory cannot be read.
 */
export function csvSource(settings: CsvSourceSettings): Source {
  return { description: `call detail records in ${settings.rules.path}`, capture: (options) => capture(settings, options) }
}

async function* capture(settings: CsvSourceSettings, options: CaptureOptions): AsyncGenerator<Found> {
  const { rules, name } = settings
  const memory = new CsvMemory(options.memory, name, options.now)
  memory.forget()
  const matches = picomatch([...rules.files], { dot: true })
  const names = await namesIn(rules.path)
  const files = new Files(settings, memory, options)
  for (const each of names.filter((one) => matches(one))) yield* files.found(each)
  // A file that was renamed to what no pattern names is still the file that was read.
  const others = names.filter((one) => !matches(one))
  if (files.missing().length > 0) for (const each of others) yield* files.foundIfKnown(each)
  for (const known of files.missing()) {
    if (options.now.getTime() - known.readMs > livelyMs) continue
    // It may have been nothing, or an hour's calls: only whoever rotates the files can make sure that none are lost.
    const detail = "cut short or taken away since it was last read: what was written in between is nowhere"
    const day = options.now.toISOString().slice(0, 10)
    yield { miss: { stableId: "mixed", day, path: Buffer.from(known.name), reason: "torn", detail } }
  }
}

async function namesIn(directory: string): Promise<string[]> {
  try {
    return (await readdir(directory)).toSorted()
  } catch (cause) {
    throw new JobError("job/source", `${directory}: ${errnoOf(cause) === "ENOENT" ? "does not exist" : reasonOf(cause)}`, {
      cause,
      hint: "check the path, and whether its disk is mounted",
    })
  }
}

class Files {
  readonly #settings: CsvSourceSettings
  readonly #memory: CsvMemory
  readonly #options: CaptureOptions
  readonly #met = new Set<string>()
  readonly #described = new Set<string>()

  constructor(settings: CsvSourceSettings, memory: CsvMemory, options: CaptureOptions) {
    this.#settings = settings
    this.#memory = memory
    this.#options = options
  }

  /** Files of which something is kept and that were not met. */
  missing(): { readonly identity: string; readonly name: string; readonly readMs: number }[] {
    return [...this.#memory.files()].filter(([id]) => !this.#met.has(id.toString("hex"))).map(([, file]) => file)
  }

  async *found(name: string): AsyncGenerator<Found> {
    this.#options.signal.throwIfAborted()
    if (otherCompression.test(name)) {
      yield { note: { kind: "not-covered", path: Buffer.from(name), detail: `${name}: of compressed files only gzip's are read` } }
      return
    }
    try {
      await using file = await openCsvFile(this.#settings.rules.path, name)
      yield* this.#read(file, name)
    } catch (error) {
      this.#options.signal.throwIfAborted()
      yield this.#missed(name, error)
    }
  }

  async *foundIfKnown(name: string): AsyncGenerator<Found> {
    const wanted = this.missing()
    try {
      await using file = await openCsvFile(this.#settings.rules.path, name)
      const known = wanted.find(({ identity }) => identity === file.identity)
      if (known !== undefined) yield* this.#read(file, known.name)
    } catch (error) {
      // Nobody asked for this file: only that it may be one that was renamed made it worth a look.
      if (errnoOf(error) === undefined) throw error
    }
  }

  async *#read(file: CsvFile, name: string): AsyncGenerator<Found> {
    const quietMs = this.#options.now.getTime() - file.mtimeMs
    if (file.compressed && quietMs < settleMs) {
      yield { note: { kind: "settling", path: Buffer.from(name) } }
      return
    }
    const final = file.compressed || quietMs >= finalMs
    const known = await CdrCsvFile.of(file, { name, final, settings: this.#settings, memory: this.#memory, options: this.#options })
    if (known === null) {
      if (file.size > 0) yield { note: { kind: "settling", path: Buffer.from(name) } }
      return
    }
    this.#met.add(known.id.toString("hex"))
    for await (const found of known.found()) {
      if ("item" in found && !this.#described.has(known.description.short)) {
        this.#described.add(known.description.short)
        yield known.descriptionItem()
      }
      yield found
    }
  }

  #missed(name: string, error: unknown): Found {
    const code = errnoOf(error)
    const reason = reasons.get(code ?? "") ?? (error instanceof BackupError ? "failed" : code === undefined ? null : "unreadable")
    if (reason === null) throw error
    const day = this.#options.now.toISOString().slice(0, 10)
    return { miss: { stableId: "mixed", day, path: Buffer.from(name), reason, detail: code ?? reasonOf(error) } }
  }
}

const reasons: ReadonlyMap<string, MissReason> = new Map([
  ["ENOENT", "vanished"],
  ["ELOOP", "refused"],
  ["EINVAL", "refused"],
  ["ENXIO", "refused"],
])
