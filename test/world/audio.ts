import type { Dice } from "./dice.ts"

export type AudioKind = "mp3" | "wav"

/** Bytes of a second of stereo MP3 at 32 kbit/s, and of mono 16-bit WAV, both at 8 kHz. */
export const bytesPerSecond = { mp3: 4000, wav: 16_000 } as const

/** A whole recording: bursts of a tone in noise, with the header a closed file has. */
export function audio(kind: AudioKind, seconds: number, dice: Dice): Buffer {
  return kind === "mp3" ? mp3(seconds, dice) : wav(seconds, dice)
}

export function wav(seconds: number, dice: Dice): Buffer {
  const samples = Math.round(seconds * 8000)
  const file = dice.bytes(wavHeaderBytes + samples * 2)
  wavHeader(samples * 2).copy(file)
  const sound = new Int16Array(file.buffer, file.byteOffset + wavHeaderBytes, samples)
  const pitch = dice.between(3, 40)
  for (let i = 0; i < samples; i++) {
    // Talk comes in bursts of about half a second; between them there is only line noise.
    const talking = ((i >> 12) & 1) === 0
    sound[i] = ((sound[i] ?? 0) >> 5) + (talking ? (tone[(i * pitch) & 255] ?? 0) : 0)
  }
  return file
}

const wavHeaderBytes = 44

/** PCM, one channel, 8 kHz, 16 bits. */
export function wavHeader(soundBytes: number): Buffer {
  const header = Buffer.alloc(wavHeaderBytes)
  header.write("RIFF", 0, "latin1")
  header.writeUInt32LE(36 + soundBytes, 4)
  header.write("WAVEfmt ", 8, "latin1")
  header.writeUInt32LE(16, 16)
  header.writeUInt16LE(1, 20)
  header.writeUInt16LE(1, 22)
  header.writeUInt32LE(8000, 24)
  header.writeUInt32LE(16_000, 28)
  header.writeUInt16LE(2, 32)
  header.writeUInt16LE(16, 34)
  header.write("data", 36, "latin1")
  header.writeUInt32LE(soundBytes, 40)
  return header
}

/** A recording whose writer was killed: sound, and a header that still says there is none. */
export function unclosedWav(seconds: number, dice: Dice): Buffer {
  const file = wav(seconds, dice)
  file.writeUInt32LE(0, 4)
  file.writeUInt32LE(0, 40)
  return file
}

const tone = Int16Array.from({ length: 256 }, (_, i) => Math.round(6000 * Math.sin((2 * Math.PI * i) / 256)))

// MPEG 2.5 layer III, no checksum, 32 kbit/s, 8 kHz, no padding, joint stereo: 288 bytes for 72 ms.
const frameHeader = Buffer.from([0xff, 0xe3, 0x48, 0x44])
const frameBytes = 288
const sideInfoBytes = 17

function mp3(seconds: number, dice: Dice): Buffer {
  const frames = Math.max(1, Math.round(seconds / 0.072))
  const file = dice.bytes(frames * frameBytes)
  for (let at = 0; at < file.length; at += frameBytes) {
    frameHeader.copy(file, at)
    // Side information of zeroes declares no sound data: the frame decodes to silence and the noise behind it counts as ancillary.
    file.fill(0, at + frameHeader.length, at + frameHeader.length + sideInfoBytes)
  }
  return file
}
