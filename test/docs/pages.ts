import { globSync, readFileSync } from "node:fs"
import { fileURLToPath } from "node:url"

export const root = fileURLToPath(new URL("../../", import.meta.url))

/** Every page that people read, by its path below the project. */
export const pages: readonly string[] = [
  "README.md",
  "CHANGELOG.md",
  ...globSync("docs/*.md", { cwd: root }).sort(),
  "src/format/README.md",
]

export interface DocumentedCommand {
  readonly page: string
  readonly line: number
  /** Words after `holdline`. */
  readonly args: readonly string[]
  /** A line of a code block, to be typed as it is; otherwise it was only mentioned, and may be cut short. */
  readonly isWhole: boolean
}

/** Every command line of this program that a page shows. */
export function commandsOf(page: string, text: string): DocumentedCommand[] {
  const found: DocumentedCommand[] = []
  let inBlock = false
  const lines = text.split("\n")
  for (let index = 0; index < lines.length; index++) {
    const line = index + 1
    let shown = lines[index] ?? ""
    if (shown.startsWith("```")) {
      inBlock = !inBlock
      continue
    }
    if (!inBlock) {
      const mentioned = [...shown.matchAll(/`holdline ([^`]+)`/g)]
      found.push(...mentioned.map(([, command = ""]) => ({ page, line, args: wordsOf(command), isWhole: false })))
      continue
    }
    while (shown.endsWith("\\")) {
      index += 1
      shown = `${shown.slice(0, -1)}${lines[index] ?? ""}`
    }
    const [, command] = /^(?:\$ )?holdline (.*)$/.exec(shown) ?? []
    if (command !== undefined) found.push({ page, line, args: wordsOf(command), isWhole: true })
  }
  return found
}

/** Words as a shell makes them, up to a comment, a redirection, a pipe or the next command. */
function wordsOf(command: string): string[] {
  const words = [...command.matchAll(/(?:[^\s"']|"[^"]*"|'[^']*')+/g)].map(([word]) => word)
  const end = words.findIndex((word) => /^(?:#.*|[<>|]|&&|;)$/.test(word))
  return (end === -1 ? words : words.slice(0, end)).map((word) => word.replace(/"([^"]*)"|'([^']*)'/g, "$1$2"))
}

export interface Link {
  readonly line: number
  /** Without the anchor; empty where it leads into the same page. */
  readonly path: string
  readonly anchor: string | null
}

/** Links that lead to no other host. */
export function linksOf(text: string): Link[] {
  return text.split("\n").flatMap((line, index) =>
    [...line.matchAll(/\]\(([^)\s]+)\)/g)].flatMap(([, target = ""]) => {
      if (/^[a-z]+:/.test(target)) return []
      const [path = "", anchor = null] = target.split("#")
      return [{ line: index + 1, path, anchor }]
    }),
  )
}

/** What headings are called in links. */
export function anchorsOf(text: string): string[] {
  const headings = [...text.matchAll(/^#+ (.+)$/gm)]
  return headings.map(([, heading = ""]) =>
    heading
      .toLowerCase()
      .replace(/[^\p{L}\p{N} _-]/gu, "")
      .replaceAll(" ", "-"),
  )
}

export function read(page: string): string {
  return readFileSync(`${root}${page}`, "utf8")
}
