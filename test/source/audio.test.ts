import { describe, expect, test } from "vitest"
import { audioHeadBytes } from "../../src/limits.ts"
import { audioFlags, isCompressible } from "../../src/source/audio.ts"
import { audio, unclosedWav, wav, wavHeader } from "../world/audio.ts"
import { Dice } from "../world/dice.ts"

const dice = new Dice("audio")

function flagsOf(file: Buffer, name = "call.wav"): readonly string[] {
  return audioFlags(Buffer.from(name), file.subarray(0, audioHeadBytes), file.length)
}

function chunk(id: string, bytes: Buffer): Buffer {
  const head = Buffer.alloc(8)
  head.write(id, "latin1")
  head.writeUInt32LE(bytes.length, 4)
  return Buffer.concat([head, bytes, Buffer.alloc(bytes.length % 2)])
}

function riff(...chunks: Buffer[]): Buffer {
  const body = Buffer.concat([Buffer.from("WAVE"), ...chunks])
  return Buffer.concat([chunk("RIFF", body)])
}

const format = chunk("fmt ", Buffer.alloc(16))

describe("a WAV file", () => {
  test("that was closed has nothing to say", () => {
    expect(flagsOf(wav(3, dice))).toEqual([])
    expect(flagsOf(wav(3, dice), "folder.d/CALL.WAV")).toEqual([])
  })

  test("of a killed writer has an unclosed header", () => {
    expect(flagsOf(unclosedWav(3, dice))).toEqual(["truncated-header"])
  })

  test.each([4, 40])("is unclosed with a zero in one of both places (%i)", (at) => {
    const file = wav(1, dice)
    file.writeUInt32LE(0, at)
    expect(flagsOf(file)).toEqual(["truncated-header"])
  })

  test("with a header and no sound is valid and empty", () => {
    expect(flagsOf(wavHeader(0))).toEqual(["header-only"])
    expect(flagsOf(riff(format, chunk("fact", Buffer.alloc(4)), chunk("data", Buffer.alloc(0))))).toEqual(["header-only"])
  })

  test("without sound, but with tags behind it, is empty and not unclosed", () => {
    expect(flagsOf(riff(format, chunk("data", Buffer.alloc(0)), chunk("LIST", Buffer.from("INFOhold"))))).toEqual(["header-only"])
  })

  test("whose sound begins behind other chunks, one of odd length, is read all the same", () => {
    expect(flagsOf(riff(chunk("bext", Buffer.alloc(605)), format, chunk("data", Buffer.alloc(100))))).toEqual([])
    expect(flagsOf(riff(chunk("bext", Buffer.alloc(602)), format, chunk("data", Buffer.alloc(0)), chunk("LIST", Buffer.alloc(4))))).toEqual(
      ["header-only"],
    )
  })

  test("whose header is longer than what was read is judged by its outer length", () => {
    const long = riff(chunk("junk", Buffer.alloc(6000)), format, chunk("data", Buffer.alloc(100)))
    expect(flagsOf(long)).toEqual([])
    long.writeUInt32LE(0, 4)
    expect(flagsOf(long)).toEqual(["truncated-header"])
  })

  test("cut anywhere in its header is unclosed, from the fourth byte on", () => {
    for (let length = 4; length < 44; length++)
      expect(flagsOf(wavHeader(0).subarray(0, length)), String(length)).toEqual(["truncated-header"])
  })

  test("of no bytes has nothing to say", () => {
    expect(flagsOf(Buffer.alloc(0))).toEqual([])
  })
})

test("other files have nothing to say, whatever they contain", () => {
  expect(flagsOf(audio("mp3", 3, dice), "call.mp3")).toEqual([])
  expect(flagsOf(unclosedWav(1, dice), "call.txt")).toEqual([])
  expect(flagsOf(Buffer.from("this is no audio at all"), "call.wav")).toEqual([])
})

test.each([
  ["a/b/call.wav", false],
  ["msg0001.WAV", false],
  ["x.mp3", false],
  ["x.gsm", false],
  ["x.sln16", false],
  ["backup.tar.gz", false],
  ["fax.tif", false],
  ["records.csv", true],
  ["astdb.sqlite3", true],
  ["sip.conf", true],
  ["noextension", true],
  [".wav", true],
  ["wav/readme", true],
  ["call.wav.txt", true],
])("%s is worth compressing: %s", (name, worth) => {
  expect(isCompressible(Buffer.from(name))).toBe(worth)
})
