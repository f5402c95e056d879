import type { Tree } from "../fault/closure.ts"

/** When a version of something was first shown to a run, and when a run first said that it is kept, as milliseconds; null: not yet. */
interface Version<T> {
  readonly value: T
  shown: number | null
  promised: number | null
}

/** What something was, version by version, and what runs said of it. */
export class Past<T> {
  readonly #versions: Version<T>[] = []

  change(value: T): void {
    this.#versions.push({ value, shown: null, promised: null })
  }

  get newest(): T | undefined {
    return this.#versions.at(-1)?.value
  }

  /** A run was shown what it is now. */
  show(now: number): void {
    const version = this.#versions.at(-1)
    if (version !== undefined) version.shown ??= now
  }

  /** A run that was shown what it is now said that this is kept. */
  promise(now: number): void {
    const version = this.#versions.at(-1)
    if (version !== undefined) version.promised ??= now
  }

  /** What a restore may bring, as of a moment: nothing older than what was promised until then, nothing that no run had been shown. */
  allowedAt(moment: number): { readonly values: readonly T[]; readonly absent: boolean } {
    const promised = this.#versions.findLastIndex((version) => version.promised !== null && version.promised <= moment)
    const values = this.#versions.slice(Math.max(0, promised)).filter(({ shown }) => shown !== null && shown <= moment)
    return { values: values.map(({ value }) => value), absent: promised < 0 }
  }
}

/** What is wrong with files that came home, as sentences, given the past of each path. */
export function differences(home: Tree, pasts: ReadonlyMap<string, Past<string>>, moment: number): string[] {
  const wrong: string[] = []
  for (const [path, past] of pasts) {
    const { values, absent } = past.allowedAt(moment)
    const looks = home.get(path)
    if (looks === undefined ? !absent : !values.includes(looks)) wrong.push(`${path}: ${looks ?? "not there"}, not ${values.join(" or ")}`)
  }
  for (const path of home.keys()) if (!pasts.has(path)) wrong.push(`${path}: never was`)
  return wrong
}
