import { speedBytesMin } from "../limits.ts"

interface Span {
  /** Milliseconds since 1970. */
  readonly began: number
  readonly ended: number
}

/** What one site delivered to a restore, and how fast. Calls side by side share the time. */
export class Delivery {
  bytes = 0
  #timedBytes = 0
  #busyMs = 0
  #busyUntil = 0

  /** `span` is null where the time says nothing of the site. */
  add(bytes: number, span: Span | null): void {
    this.bytes += bytes
    if (span === null) return
    this.#timedBytes += bytes
    this.#busyMs += Math.max(0, span.ended - Math.max(span.began, this.#busyUntil))
    this.#busyUntil = Math.max(this.#busyUntil, span.ended)
  }

  /** null where too little came to tell. */
  get bytesPerSecond(): number | null {
    if (this.#timedBytes < speedBytesMin || this.#busyMs <= 0) return null
    return (this.#timedBytes / this.#busyMs) * 1000
  }
}
