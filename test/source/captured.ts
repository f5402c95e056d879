import { mkdtemp, rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterEach } from "vitest"
import type { AccountNames, CaptureOptions, MediaReference, Source, SourceItem, SourceMiss, SourceNote } from "../../src/source/source.ts"
import { memory } from "./memory.ts"

export interface Captured {
  readonly items: SourceItem[]
  readonly misses: SourceMiss[]
  readonly notes: SourceNote[]
  readonly accounts: AccountNames[]
  readonly references: MediaReference[]
}

/** Everything a source yields, sorted into what it is. */
export async function captured(source: Source, options: Omit<CaptureOptions, "memory"> & Partial<CaptureOptions>): Promise<Captured> {
  const all: Captured = { items: [], misses: [], notes: [], accounts: [], references: [] }
  for await (const found of source.capture({ memory: memory(), ...options })) {
    if ("item" in found) all.items.push(found.item)
    else if ("miss" in found) all.misses.push(found.miss)
    else if ("note" in found) all.notes.push(found.note)
    else if ("account" in found) all.accounts.push(found.account)
    else if ("reference" in found) all.references.push(found.reference)
  }
  return all
}

/** A new empty directory, gone after the test. */
export function scratchDirectories(): () => Promise<string> {
  const made: string[] = []
  afterEach(async () => {
    for (const path of made.splice(0)) await rm(path, { recursive: true, force: true })
  })
  return async () => {
    const path = await mkdtemp(join(tmpdir(), "source-"))
    made.push(path)
    return path
  }
}

export function text(path: Buffer): string {
  return path.toString("latin1")
}

/** What stands for an operator's PATH in tests. */
export const environment = { PATH: process.env.PATH ?? "" }

export const signal = new AbortController().signal
