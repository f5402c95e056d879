/**
 * Gives the memory of a buffer back at once; its bytes are gone afterwards. Left to the collector, which sees only a small object, such
 * memory piles up, and collecting it takes as long as encrypting. Does nothing to a view of a part of a buffer, or to bytes
 * that were given back before.
 */
export function release(bytes: Uint8Array): void {
  const { buffer, byteLength } = bytes
  if (buffer instanceof ArrayBuffer && !buffer.detached && byteLength === buffer.byteLength) buffer.transfer(0)
}
