/**
 * The Padmé size of `size`: the next number whose low bits are zero, so that a length tells only O(log log) bits and costs at most
 * 12 % (Nikitin et al., "Reducing Metadata Leakage from Encrypted Files and Communication with PURBs", 2019, algorithm 1).
 */
export function padme(size: number): number {
  if (size < 2) return size
  const exponent = Math.floor(Math.log2(size))
  const bits = Math.floor(Math.log2(exponent)) + 1
  const step = 2 ** Math.max(0, exponent - bits)
  return Math.ceil(size / step) * step
}
