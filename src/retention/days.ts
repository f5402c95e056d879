/** A class, as far as it says how long. */
export interface ClassDays {
  readonly name: string
  readonly days: number
}

/** What a law, a contract or a policy says of how long data is kept. */
export interface Bounds {
  readonly min?: number | undefined
  readonly max?: number | undefined
  /** Who says so. */
  readonly because?: string | undefined
}

export interface KeepRules {
  /** The class that the job says. */
  readonly class: ClassDays
  /** The class of one account instead, by its stable id: longer or shorter. */
  readonly override?: (ClassDays & { readonly because?: string | undefined }) | undefined
  readonly bounds?: readonly Bounds[]
}

export interface KeepDays {
  readonly days: number
  /** Which rule decided. */
  readonly by: "class" | "override" | "minimum" | "maximum"
  readonly reason: string
}

/**
 * For how many days something is to be kept, and why. A minimum wins over a maximum, that over what is said of one account, and that
 * over the class. A legal hold wins over all of them, and has no days: whatever it names is kept until it is lifted.
 */
export function keepDays({ class: own, override, bounds = [] }: KeepRules): KeepDays {
  const chosen = override ?? own
  const asked: KeepDays = {
    days: chosen.days,
    by: override === undefined ? "class" : "override",
    reason: `class ${chosen.name}${override === undefined ? "" : `, for this account${because(override)}`}`,
  }
  const capped = bounds.reduce((kept, bound) => {
    if (bound.max === undefined || kept.days <= bound.max) return kept
    return { days: bound.max, by: "maximum" as const, reason: `at most ${String(bound.max)} days${because(bound)}` }
  }, asked)
  return bounds.reduce((kept, bound) => {
    if (bound.min === undefined || kept.days >= bound.min) return kept
    return { days: bound.min, by: "minimum" as const, reason: `at least ${String(bound.min)} days${because(bound)}` }
  }, capped)
}

function because({ because: text }: { readonly because?: string | undefined }): string {
  return text === undefined ? "" : ` (${text})`
}
