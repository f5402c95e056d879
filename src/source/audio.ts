import type { ItemFlag } from "./source.ts"

/**
 * What the first bytes of a file say about a recording in it; nothing where it is none. `head` is the file's first `audioHeadBytes`, or all
 * of a shorter file.
 */
export function audioFlags(name: Buffer, head: Uint8Array, size: number): ItemFlag[] {
  if (extensionOf(name) !== "wav" || head.length < 4 || ascii(head, 0) !== "RIFF") return []
  const header = readHeader(head, size)
  if (header === "cut") return ["truncated-header"]

  const { riffBytes, sound } = header
  if (sound === undefined) return riffBytes === 0 ? ["truncated-header"] : []
  if (size <= sound.start) return ["header-only"]
  if (sound.bytes === 0 && riffBytes + 8 === size && onlyChunksFrom(head, sound.start, size)) return ["header-only"]
  return riffBytes === 0 || sound.bytes === 0 ? ["truncated-header"] : []
}

interface WavHeader {
  readonly riffBytes: number
  /** Where sound begins and how long the header says it is; absent where `head` ends before it. */
  readonly sound?: { readonly start: number; readonly bytes: number }
}

function readHeader(head: Uint8Array, size: number): WavHeader | "cut" {
  if (head.length < 12) return "cut"
  const view = new DataView(head.buffer, head.byteOffset, head.byteLength)
  const riffBytes = view.getUint32(4, true)
  let at = 12
  while (at + 8 <= head.length) {
    const bytes = view.getUint32(at + 4, true)
    if (ascii(head, at) === "data") return { riffBytes, sound: { start: at + 8, bytes } }
    at += 8 + bytes + (bytes % 2)
  }
  // The sound may begin behind what was read of a long header; a file that ends within its header was cut.
  return head.length >= size ? "cut" : { riffBytes }
}

/** Whether what stands behind an empty sound are tags and the like, whole to the end of the file, and not sound that nobody counted. */
function onlyChunksFrom(head: Uint8Array, start: number, size: number): boolean {
  const view = new DataView(head.buffer, head.byteOffset, head.byteLength)
  let at = start
  while (at < size && at + 8 <= head.length) {
    if (!/^[ -~]{4}$/.test(ascii(head, at))) return false
    const bytes = view.getUint32(at + 4, true)
    at += 8 + bytes + (bytes % 2)
  }
  return at === size
}

function ascii(bytes: Uint8Array, at: number): string {
  return String.fromCharCode(...bytes.subarray(at, at + 4))
}

// Telephone audio gains 0 to 7 % by compression, these containers nothing: not worth the time.
const incompressible: ReadonlySet<string> = new Set(
  [
    "wav wav49 mp3 gsm ulaw alaw ul al pcm raw sln sln8 sln12 sln16 sln24 sln32 sln44 sln48 sln96 sln192 g722 g723 g729 siren7 siren14",
    "ilbc opus ogg oga flac m4a aac mp4 m4v mov mkv webm h263 h264 avi amr awb spx wma vox",
    "zip gz tgz bz2 tbz xz txz zst tzst lz4 lzma 7z rar deb rpm jar apk jpg jpeg png gif webp avif heic tif tiff pdf woff woff2 age gpg",
  ]
    .join(" ")
    .split(" "),
)

/** Whether zstd pays for a file of this name. Unknown kinds count as text: trying costs little, storing text uncompressed costs tenfold. */
export function isCompressible(name: Buffer): boolean {
  return !incompressible.has(extensionOf(name))
}

/** Whether audioFlags can say something about a file of this name. */
export function isAudio(name: Buffer): boolean {
  return extensionOf(name) === "wav"
}

function extensionOf(name: Buffer): string {
  const text = name.toString("latin1")
  const base = text.slice(text.lastIndexOf("/") + 1)
  const dot = base.lastIndexOf(".")
  return dot <= 0 ? "" : base.slice(dot + 1).toLowerCase()
}
