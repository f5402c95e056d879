import { readFileSync, rmSync, writeFileSync } from "node:fs"
import { setImmediate as nextTurn } from "node:timers/promises"
import type { World } from "../world/world.ts"
import { filesOf } from "./compare.ts"

/** What fire does. */
export function destroy(path: string): void {
  rmSync(path, { recursive: true })
}

/** Flips one bit in the middle of a file. Twice is not at all. */
export function flipBits(path: string): void {
  const bytes = readFileSync(path)
  const middle = Math.floor(bytes.length / 2)
  bytes.writeUInt8(bytes.readUInt8(middle) ^ 1, middle)
  writeFileSync(path, bytes)
}

export interface Search {
  readonly objects: number
  readonly searched: number
  readonly leaks: readonly string[]
}

/** Looks in every byte and every name of what a site keeps for what a thief would like to read there. */
export async function readableBytes(site: string, world: World): Promise<Search> {
  const words = [
    ...world.accounts.flatMap(({ domain, extensions }) => [domain, ...extensions.map(({ name }) => name)]),
    ...numbersOf(world),
    ...samplesOf(world),
  ].map((word) => Buffer.from(word))
  const isBeginning = new Uint8Array(2 ** 24)
  for (const word of words) isBeginning[word.readUIntBE(0, beginningBytes)] = 1
  const leaks: string[] = []
  const objects = filesOf(site)
  for (const path of objects) {
    await nextTurn()
    const haystack = Buffer.concat([Buffer.from(path, "latin1"), readFileSync(`${site}/${path}`)])
    // One pass over the bytes, however many words there are.
    let last = 0
    for (let index = 0; index < haystack.length; index++) {
      last = ((last << 8) | (haystack[index] ?? 0)) & 0xff_ff_ff
      if (isBeginning[last] !== 1) continue
      const found = wordsAt(haystack, index + 1 - beginningBytes, words)
      leaks.push(...found.map((word) => `${path} shows ${word.toString("latin1")}`))
    }
  }
  return { objects: objects.length, searched: words.length, leaks }
}

const beginningBytes = 3

function wordsAt(haystack: Buffer, start: number, words: readonly Buffer[]): Buffer[] {
  return words.filter((word) => haystack.subarray(start, start + word.length).equals(word))
}

const samplesMax = 40
const sampleBytes = 32

/** Pieces out of the middle of some recordings, where there is sound. */
function samplesOf(world: World): Buffer[] {
  const recordings = [...world.files.values()].filter(({ tree, size }) => tree === "recordings" && size > 10 * sampleBytes)
  return recordings.slice(0, samplesMax).map(({ path, size }) => {
    const content = readFileSync(Buffer.concat([Buffer.from(`${world.recordings}/`), path]))
    const middle = Math.floor(size / 2)
    return content.subarray(middle, middle + sampleBytes)
  })
}

/** Telephone numbers of callers, as the call records have them. */
function numbersOf(world: World): string[] {
  const [first] = [...world.files.values()].filter(({ tree }) => tree === "cdr")
  if (first === undefined) return []
  const text = readFileSync(Buffer.concat([Buffer.from(`${world.cdr}/`), first.path]), "latin1")
  return [...new Set(text.match(/\+1\d{10}/g))].slice(0, samplesMax)
}
