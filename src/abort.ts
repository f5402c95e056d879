const sources = new WeakMap<AbortSignal, readonly AbortSignal[]>()

/**
 * Aborted as soon as one of these is. `AbortSignal.any` alone holds them weakly, and Node 24.21 looks at them only when it is asked: where
 * nobody listened yet, an abort is forgotten once the controller that made it is collected. Here they live as long as the result.
 */
export function anyOf(...signals: readonly AbortSignal[]): AbortSignal {
  const result = AbortSignal.any([...signals])
  sources.set(result, signals)
  return result
}
