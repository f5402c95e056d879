import { type Finding, type Rung, type RungReport, rungs } from "../report/verify.ts"
import { count } from "../units.ts"

const findingsMax = 200

/** Counts what was checked at each rung, and keeps the first findings. */
export class Ladder {
  readonly #counts = new Map<Rung, { checked: number; failed: number }>()
  readonly #reasons = new Map<Rung, { readonly result: "not-applicable" | "not-checked"; readonly detail: string }>()
  readonly findings: Finding[] = []
  findingCount = 0

  passed(rung: Rung, count = 1): void {
    this.#count(rung).checked += count
  }

  failed(finding: Finding): void {
    const counts = this.#count(finding.rung)
    counts.checked += 1
    counts.failed += 1
    this.findingCount += 1
    if (this.findings.length < findingsMax) this.findings.push(finding)
  }

  /** Why a rung says nothing; it counts only where nothing was checked. */
  skip(rung: Rung, result: "not-applicable" | "not-checked", detail: string): void {
    this.#reasons.set(rung, { result, detail })
  }

  /** `unitOf` says in the singular and the plural what is counted at a rung. */
  report(unitOf: (rung: Rung) => readonly [string, string]): RungReport[] {
    return rungs.map((rung) => {
      const { checked, failed } = this.#counts.get(rung) ?? { checked: 0, failed: 0 }
      if (checked === 0) {
        const reason = this.#reasons.get(rung) ?? { result: "not-checked" as const, detail: "nothing to check" }
        return { rung, ...reason, checked, failed }
      }
      const things = count(checked, ...unitOf(rung))
      const detail = failed === 0 ? things : `${failed.toLocaleString("en-US")} of ${things} failed`
      return { rung, result: failed === 0 ? "passed" : "failed", checked, failed, detail }
    })
  }

  /** The highest rung passed with none below it failed. */
  proven(report: readonly RungReport[]): Rung | null {
    let proven: Rung | null = null
    for (const { rung, result } of report) {
      if (result === "failed") return proven
      if (result === "passed") proven = rung
    }
    return proven
  }

  #count(rung: Rung): { checked: number; failed: number } {
    const counts = this.#counts.get(rung) ?? { checked: 0, failed: 0 }
    this.#counts.set(rung, counts)
    return counts
  }
}
