import type { Finding } from "../operation/doctor.ts"
import type { Mark, Paint } from "../report/paint.ts"
import { visible } from "../report/visible.ts"

const marks: Readonly<Record<Finding["state"], readonly [mark: Mark, word: string]>> = {
  right: ["good", "ok"],
  wrong: ["bad", "finding"],
  note: ["attention", "note"],
  skipped: ["none", "skipped"],
}
const wordWidth = Math.max(...Object.values(marks).map(([, word]) => word.length))

/** A finding as a line, with what to do about it below; `checkWidth` is that of the longest name of a check in its list. */
export function findingLines({ check, state, text, hint }: Finding, { paint, checkWidth }: FindingLook): string[] {
  const [mark, word] = marks[state]
  const padding = " ".repeat(wordWidth - word.length)
  const line = `${paint.status(mark, word)}${padding}  ${paint.strong(visible(check).padEnd(checkWidth))}  ${visible(text)}`
  return hint === undefined ? [line] : [line, `${" ".repeat(wordWidth + 4)}${paint.next(visible(hint))}`]
}

export interface FindingLook {
  readonly paint: Paint
  readonly checkWidth: number
}
