import { parentPort } from "node:worker_threads"
import { BackupError } from "../errors.ts"
import { movable, release } from "../memory.ts"
import { systemRandom } from "../random.ts"
import { Collector } from "./collect.ts"
import { Extractor } from "./extract.ts"
import { layouts } from "./layout.ts"
import { sealListing } from "./listing.ts"
import { PackBuilder } from "./pack.ts"
import type { ExtractDone, ExtractTask, PackDone, PackTask, PartResult, Reply, Task, TaskFailed } from "./task.ts"
import { decodePackTask, encodePackDone } from "./wire.ts"

/** One of the threads that do the heavy work: they read, hash, compress, encrypt; and open, inflate, hash, write. */
const layout = layouts()
const collector = new Collector()
const extractor = new Extractor()

function pack(task: PackTask): PackDone {
  const builder = new PackBuilder(task.buffer)
  const parts: PartResult[] = []
  for (const plan of task.segments) {
    const collected = collector.collect(plan, layout[plan.kind])
    if (collected.empty) {
      for (const part of collected.parts) if ("miss" in part) parts.push(part)
      continue
    }
    const segment = builder.add(plan.kind, collected.plaintext, { recipients: [plan.recipient], reopen: task.reopen, random: systemRandom })
    for (const part of collected.parts) {
      if ("miss" in part) parts.push(part)
      else {
        const extents = part.extents.map((extent) => ({ segmentOffset: segment.offset, segmentLength: segment.length, ...extent }))
        parts.push({ ...part, extents })
      }
    }
  }
  const done = builder.members === 0 ? { bytes: 0, sha256: null } : builder.finish()
  return { type: "packed", parts, buffer: task.buffer, ...done }
}

function extract(task: ExtractTask): ExtractDone {
  try {
    return extractor.extract(task)
  } finally {
    for (const { bytes } of task.fetched) release(bytes)
  }
}

function perform(task: Task): { readonly reply: Reply; readonly transfer: readonly ArrayBuffer[] } {
  switch (task.type) {
    case "pack": {
      const done = pack(decodePackTask(task))
      const reply = encodePackDone(done)
      for (const { contents } of task.segments) for (const bytes of contents) release(bytes)
      return { reply, transfer: [done.buffer] }
    }
    case "seal": {
      const files = task.listings.map((listing) => sealListing(listing, systemRandom))
      return { reply: { type: "sealed", files }, transfer: files.flatMap(movable) }
    }
    case "extract":
      return { reply: extract(task), transfer: [] }
    case "compare":
      return { reply: extractor.compare(task), transfer: [] }
    case "abandon":
      collector.abandon()
      extractor.abandon()
      return { reply: { type: "abandoned" }, transfer: [] }
  }
}

// Error classes do not survive the border between threads; their fields do.
function failed(error: unknown): TaskFailed {
  if (!(error instanceof Error)) return { type: "failed", name: "Error", message: String(error) }
  const { name, message, stack } = error
  const { code, hint } = error instanceof BackupError ? error : {}
  return {
    type: "failed",
    name,
    message,
    ...(stack === undefined ? {} : { stack }),
    ...(code === undefined ? {} : { code }),
    ...(hint === undefined ? {} : { hint }),
  }
}

parentPort?.on("message", (task: Task) => {
  try {
    const { reply, transfer } = perform(task)
    parentPort?.postMessage(reply, [...transfer])
  } catch (error) {
    parentPort?.postMessage(failed(error))
  }
})
