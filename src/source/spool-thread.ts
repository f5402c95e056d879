import { parentPort } from "node:worker_threads"
import { RowCutter } from "../database/rows.ts"
import { JobError, reasonOf } from "../errors.ts"
import { RunFile, RunFrames } from "./run-frames.ts"
import type { SpoolReply, SpoolTable, SpoolTask, Taken } from "./spool.ts"

/** The thread of a RowSpool. */
interface Table {
  readonly what: string
  readonly cutter: RowCutter
  /** Null where its runs go back to who sent its lines. */
  readonly file: RunFile | null
}

const tables = new Map<number, Table>()
const frames = new RunFrames(0)

function perform({ table: number, buffer, length, begin, last }: SpoolTask): Taken {
  if (begin !== null) tables.set(number, tableOf(begin))
  const table = tables.get(number)
  if (table === undefined) throw new Error("lines of no table: this is a bug")
  const { what, cutter, file } = table
  const to = file ?? frames
  for (const run of cutter.cut(Buffer.from(buffer, 0, length))) to.add(run)
  if (last) {
    for (const run of cutter.end(what)) to.add(run)
    file?.end()
    tables.delete(number)
  }
  return { type: "taken", buffer, frames: new Uint8Array(frames.take()) }
}

function tableOf({ path, leads, what, runBytes }: SpoolTable): Table {
  return { what, cutter: new RowCutter(leads, runBytes), file: path === null ? null : new RunFile(path) }
}

function failed(error: unknown): SpoolReply {
  const hint = error instanceof JobError ? error.hint : undefined
  return { type: "failed", message: reasonOf(error), job: error instanceof JobError, ...(hint === undefined ? {} : { hint }) }
}

parentPort?.on("message", (task: SpoolTask) => {
  try {
    const taken = perform(task)
    parentPort?.postMessage(taken, [taken.buffer, taken.frames.buffer])
  } catch (error) {
    tables.delete(task.table)
    parentPort?.postMessage(failed(error))
  }
})
