import type { Bucket } from "./store.ts"

/**
 * What a planned fault does to a request:
 * - status: answered with this status and code, before anything is applied, or, with `applied`, after; with `retryAfter`, a Retry-After.
 * - reset: the connection is cut, before or after it is applied.
 * - cut-body: the answer's body ends after so many bytes, and the connection with it.
 * - stall: no answer for as long as the connection lives; `applied` says whether the request is carried out all the same.
 * - stale-list: a listing as it was before the newest `missing` objects came.
 * - clock-skew: the server's clock is off by so many milliseconds for this request.
 * - flip-up: one bit of the uploaded body changes on its way in, before any check.
 * - flip-down: one bit of the downloaded body changes on its way out.
 */
export type FaultAction =
  | { readonly kind: "status"; readonly status: number; readonly code?: string; readonly applied?: boolean; readonly retryAfter?: string }
  | { readonly kind: "reset"; readonly applied: boolean }
  | { readonly kind: "cut-body"; readonly after: number }
  | { readonly kind: "stall"; readonly applied: boolean }
  | { readonly kind: "stale-list"; readonly missing: number }
  | { readonly kind: "clock-skew"; readonly ms: number }
  | { readonly kind: "flip-up" }
  | { readonly kind: "flip-down" }

export interface PlannedFault {
  /** The service's own name: PutObject, GetObject, ListObjectsV2, … or storage.objects.insert, …; absent: any. */
  readonly operation?: string
  /** Tested on the key, or on a listing's prefix; absent: any. */
  readonly key?: RegExp
  /** Which of the requests that fit, from 1; absent: every one, which counts as met once one was. */
  readonly nth?: number
  /** In place of `nth`: this one and all after it. */
  readonly from?: number
  readonly action: FaultAction
}

/** Faults that requests meet, each counting the requests that fit it. */
export class FaultQueue {
  readonly #planned: { readonly fault: PlannedFault; fitted: number; met: boolean }[] = []

  plan(...faults: readonly PlannedFault[]): void {
    for (const fault of faults) this.#planned.push({ fault, fitted: 0, met: false })
  }

  /** Every request says what it is, once; the first planned fault that it meets is what happens to it. */
  meet(operation: string, key: string): FaultAction | undefined {
    const fitting = this.#planned.filter(({ fault }) => (fault.operation ?? operation) === operation && (fault.key?.test(key) ?? true))
    // Each counts its own requests, so all are asked.
    for (const planned of fitting) planned.fitted += 1
    const met = fitting.find(({ fault, fitted }) => fitted >= (fault.from ?? fault.nth ?? 1) && fitted <= (fault.nth ?? fitted))
    if (met !== undefined) met.met = true
    return met?.fault.action
  }

  /** Planned faults that no request has met: a test that leaves some has not tested what it says. */
  get unmet(): readonly PlannedFault[] {
    return this.#planned.filter(({ met }) => !met).map(({ fault }) => fault)
  }

  clear(): void {
    this.#planned.length = 0
  }
}

/** The same bytes with one bit changed, in the middle. */
export function flipped(bytes: Uint8Array): Buffer {
  const damaged = Buffer.from(bytes)
  const middle = damaged.length >> 1
  if (damaged.length > 0) damaged[middle] = (damaged[middle] ?? 0) ^ 1
  return damaged
}

/** Generations that a listing which lags behind does not show yet: those of the newest `missing` versions. */
export function notYetListed(bucket: Bucket, missing: number): ReadonlySet<string> {
  const generations = [...bucket.keys()].flatMap((key) => bucket.versions(key).map(({ generation }) => BigInt(generation)))
  return new Set(
    generations
      .sort((a, b) => (a < b ? 1 : -1))
      .slice(0, missing)
      .map(String),
  )
}
