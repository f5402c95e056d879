import { packBytesMax, packBytesTarget } from "./limits.ts"

/** What of a message can be moved to another thread: a view of a larger buffer, such as node's pool of small ones, is not ours to move. */
export function movable({ buffer, byteLength }: Uint8Array): ArrayBuffer[] {
  return buffer instanceof ArrayBuffer && buffer.byteLength === byteLength ? [buffer] : []
}

/** Memory for large reads, to be used again: making it costs twice what reading into it does. */
const rooms: SharedArrayBuffer[] = []
const taken = new WeakSet<SharedArrayBuffer>()
const roomBytes = packBytesMax
/** Shorter reads are not worth a room. */
const roomReadMin = packBytesTarget / 2

/**
 * Bytes to read into, for who releases them in this thread: they hold anything. All threads see them, so that they need not be moved;
 * and they do not count as garbage to come, which would have the heap searched for it with every pack.
 */
export function takeRoom(length: number): Uint8Array {
  if (length < roomReadMin || length > roomBytes) return Buffer.allocUnsafeSlow(length)
  const room = rooms.pop() ?? new SharedArrayBuffer(roomBytes)
  taken.add(room)
  return new Uint8Array(room, 0, length)
}

/**
 * Gives the memory of a buffer back at once; its bytes are gone afterwards. Left to the collector, which sees only a small object, such
 * memory piles up, and collecting it takes as long as encrypting. Does nothing to a view of a part of a buffer, or to bytes
 * that were given back before.
 */
export function release(bytes: Uint8Array): void {
  const { buffer, byteLength } = bytes
  if (buffer instanceof SharedArrayBuffer) {
    if (taken.delete(buffer)) rooms.push(buffer)
  } else if (buffer instanceof ArrayBuffer && !buffer.detached && byteLength === buffer.byteLength) buffer.transfer(0)
}
