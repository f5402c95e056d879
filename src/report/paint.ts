import { styleText } from "node:util"

/** How far a state is from what was promised; each has its symbol, so that no meaning rests on colour alone. */
export type Mark = "good" | "attention" | "bad" | "none"

const symbols: Readonly<Record<Mark, string>> = { good: "✓", attention: "!", bad: "✗", none: "·" }
const colours = { good: "green", attention: "yellow", bad: "red", none: "dim" } as const

/** Words as a terminal shows them; without colour the same words. */
export interface Paint {
  /** Symbol, word and colour: "✓ ok", "! partial", "✗ failed". */
  status(mark: Mark, word: string): string
  strong(text: string): string
  faint(text: string): string
  /** A command to go on with: "→ holdline …". */
  next(command: string): string
}

export function paintWith(options: { readonly colour: boolean }): Paint {
  const style = (format: Parameters<typeof styleText>[0], text: string): string =>
    options.colour ? styleText(format, text, { validateStream: false }) : text
  return {
    status: (mark, word) => style(colours[mark], `${symbols[mark]} ${word}`),
    strong: (text) => style("bold", text),
    faint: (text) => style("dim", text),
    next: (command) => style("cyan", `→ ${command}`),
  }
}
