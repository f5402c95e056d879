/** What of a message can be moved to another thread: a view of a larger buffer, such as node's pool of small ones, is not ours to move. */
export function movable({ buffer, byteLength }: Uint8Array): ArrayBuffer[] {
  return buffer instanceof ArrayBuffer && buffer.byteLength === byteLength ? [buffer] : []
}

/**
 * Gives the memory of a buffer back at once; its bytes are gone afterwards. Left to the collector, which sees only a small object, such
 * memory piles up, and collecting it takes as long as encrypting. Does nothing to a view of a part of a buffer, or to bytes
 * that were given back before.
 */
export function release(bytes: Uint8Array): void {
  const { buffer, byteLength } = bytes
  if (buffer instanceof ArrayBuffer && !buffer.detached && byteLength === buffer.byteLength) buffer.transfer(0)
}
