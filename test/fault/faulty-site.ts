import { SiteError, type SiteErrorCode } from "../../src/errors.ts"
import type { CallOptions, ObjectInfo, Site, SiteOperation } from "../../src/site/site.ts"

/**
 * - failed-before-applied: the site never saw the call.
 * - applied-then-failed: the site did it and the answer was lost; a listing breaks off after its first object.
 * - hang: no answer ever comes, whatever the signal says.
 * - rot: get answers with one bit changed.
 */
export type FaultEffect = "failed-before-applied" | "applied-then-failed" | "hang" | "rot"

/** A number is the call of that number, from 1, over all operations, failing before it is applied. */
export type Fault = number | NumberedFault | OperationFault

export interface NumberedFault {
  readonly call: number
  readonly effect: FaultEffect
  readonly code?: SiteErrorCode
}

export interface OperationFault {
  readonly operation: SiteOperation
  /** Absent: any key. For list, the prefix. */
  readonly key?: RegExp
  /** Which of the calls that fit, from 1; absent: every one, which counts as met once one was. */
  readonly nth?: number
  readonly effect: FaultEffect
  readonly code?: SiteErrorCode
}

export interface FaultySite extends Site {
  /** Planned faults that no call has met: a test that leaves some has not tested what it says. */
  readonly unmet: readonly Fault[]
  readonly calls: number
}

interface Planned {
  readonly fault: Fault
  readonly effect: FaultEffect
  readonly code: SiteErrorCode
  meets(call: number, operation: SiteOperation, key: string): boolean
}

/** Passes every call through, except those that the plan names. */
export function faultySite(site: Site, plan: readonly Fault[]): FaultySite {
  const planned = plan.map(plannedOf)
  const unmet = new Set(plan)
  let calls = 0

  function next(operation: SiteOperation, key: string): Planned | undefined {
    calls += 1
    // Every fault counts its own calls, so all are asked.
    const [met] = planned.filter((fault) => fault.meets(calls, operation, key))
    if (met !== undefined) unmet.delete(met.fault)
    return met
  }

  async function call<T>(
    operation: SiteOperation,
    key: string,
    perform: () => Promise<T>,
    rot: (result: T) => T = (result) => result,
  ): Promise<T> {
    const fault = next(operation, key)
    const number = calls
    if (fault?.effect === "hang") return await new Promise<never>(() => undefined)
    if (fault?.effect === "failed-before-applied") throw failure(fault, operation, number)
    const result = await perform()
    if (fault?.effect === "applied-then-failed") throw failure(fault, operation, number)
    return fault?.effect === "rot" ? rot(result) : result
  }

  function failure(fault: Planned, operation: SiteOperation, number: number): SiteError {
    return new SiteError(site.name, fault.code, `${operation}: injected fault on call ${String(number)}, ${fault.effect}`)
  }

  async function* list(prefix: string, options?: CallOptions): AsyncGenerator<ObjectInfo> {
    const fault = next("list", prefix)
    const number = calls
    if (fault?.effect === "hang") await new Promise<never>(() => undefined)
    if (fault?.effect === "failed-before-applied") throw failure(fault, "list", number)
    for await (const info of site.list(prefix, options)) {
      yield info
      if (fault?.effect === "applied-then-failed") throw failure(fault, "list", number)
    }
  }

  return {
    name: site.name,
    put: (key, bytes, options) => call("put", key, () => site.put(key, bytes, options)),
    get: (key, options) => call("get", key, () => site.get(key, options), rotten),
    head: (key, options) => call("head", key, () => site.head(key, options)),
    list,
    get unmet() {
      return [...unmet]
    },
    get calls() {
      return calls
    },
  }
}

function plannedOf(fault: Fault): Planned {
  if (typeof fault === "number") {
    return { fault, effect: "failed-before-applied", code: "site/unavailable", meets: (call) => call === fault }
  }
  const { effect, code = "site/unavailable" } = fault
  if ("call" in fault) return { fault, effect, code, meets: (call) => call === fault.call }
  let fitting = 0
  return {
    fault,
    effect,
    code,
    meets: (_call, operation, key) => {
      if (operation !== fault.operation || fault.key?.test(key) === false) return false
      fitting += 1
      return fault.nth === undefined || fitting === fault.nth
    },
  }
}

function rotten(bytes: Uint8Array): Uint8Array {
  const copy = Uint8Array.from(bytes)
  const middle = copy.length >> 1
  copy[middle] = (copy[middle] ?? 0) ^ 1
  return copy
}
