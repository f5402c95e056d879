/** One `import`, `export … from`, `import()` or `new URL("…", import.meta.url)` of a source file. */
export interface Reference {
  /** As written; null where it is computed, so that nobody can tell where it leads. */
  readonly specifier: string | null
  /** Erased before the program runs. */
  readonly typeOnly: boolean
}

/**
 * A TypeScript source without comments and without the contents of its strings: each literal is replaced by `"§n"`, and its text
 * is kept at `strings[n]`. What is left can be searched with simple patterns that no quoted or commented text can fool.
 */
export interface Code {
  readonly text: string
  readonly strings: readonly string[]
}

/** What a slash means depends on what stands before it: after one of these it begins a regular expression. */
const beforeExpression = /(?:^|[(,=:[!&|?{};+\-*%<>~^]|\b(?:return|typeof|case|in|of|do|else|void|delete|throw|yield|await))\s*$/

export function codeOf(source: string): Code {
  const reader = new Reader(source)
  // The code of a whole file ends at a brace only where braces do not match; what follows is read all the same.
  while (!reader.done) reader.code()
  return { text: reader.text, strings: reader.strings }
}

/** Reads a source once, from left to right. */
class Reader {
  text = ""
  readonly strings: string[] = []
  readonly #source: string
  #at = 0

  constructor(source: string) {
    this.#source = source
  }

  get done(): boolean {
    return this.#at >= this.#source.length
  }

  /** Reads up to the brace that closes what was open at the start: a hole of a template, or nothing. */
  code(): void {
    let depth = 0
    while (!this.done) {
      const char = this.#source.charAt(this.#at)
      if (char === "{") depth += 1
      if (char === "}") depth -= 1
      if (char === "`") this.#template()
      else if (!this.#opaque(char)) this.#keep(char)
      if (depth < 0) return
    }
  }

  /** Passes over a comment, a string or a regular expression, if one begins here. */
  #opaque(char: string): boolean {
    const source = this.#source
    if (source.startsWith("//", this.#at)) this.#at = endOfLine(source, this.#at)
    else if (source.startsWith("/*", this.#at)) this.#at = endOfComment(source, this.#at)
    else if (char === '"' || char === "'") this.#literal(endOfQuoted(source, this.#at))
    else if (char === "/" && beforeExpression.test(this.text.slice(-20))) this.#literal(endOfPattern(source, this.#at))
    else return false
    return true
  }

  /** A template without holes is a string; one with holes becomes the sum of its holes. */
  #template(): void {
    let end = endOfTemplate(this.#source, this.#at + 1)
    if (this.#source[end - 1] === "`") {
      this.#literal(end)
      return
    }
    this.text += "("
    while (this.#source[end - 1] === "{") {
      this.text += "+ "
      this.#at = end
      this.code()
      end = endOfTemplate(this.#source, this.#at)
    }
    this.text += ")"
    this.#at = end
  }

  #literal(end: number): void {
    this.text += `"§${String(this.strings.length)}"`
    this.strings.push(this.#source.slice(this.#at + 1, end - 1))
    this.#at = end
  }

  #keep(char: string): void {
    this.text += char
    this.#at += 1
  }
}

/** Every place where the code names another module. */
export function referencesOf(code: Code): Reference[] {
  return [
    ...statements(code),
    ...calls(code, /\bimport\s*\(\s*/g),
    ...calls(code, /\bnew\s+URL\s*\(\s*(?="§\d+"\s*,\s*import\.meta\.url)/g),
  ]
}

function statements(code: Code): Reference[] {
  const pattern = /(?<![.\w$])(?:import|export)\b(\s*type\b(?!\s*(?:,|from\s)))?(?:[^"'();=]*?\bfrom)?\s*"§(\d+)"/g
  return [...code.text.matchAll(pattern)].map(([, type, index]) => ({
    specifier: code.strings[Number(index)] ?? null,
    typeOnly: type !== undefined,
  }))
}

function calls(code: Code, pattern: RegExp): Reference[] {
  return [...code.text.matchAll(pattern)].map((match) => {
    const argument = /^"§(\d+)"\s*[,)]/.exec(code.text.slice(match.index + match[0].length))
    return { specifier: argument === null ? null : (code.strings[Number(argument[1])] ?? null), typeOnly: false }
  })
}

function endOfLine(source: string, from: number): number {
  const end = source.indexOf("\n", from)
  return end === -1 ? source.length : end
}

function endOfComment(source: string, from: number): number {
  const end = source.indexOf("*/", from + 2)
  return end === -1 ? source.length : end + 2
}

function endOfQuoted(source: string, from: number): number {
  const quote = source[from]
  let at = from + 1
  while (at < source.length && source[at] !== quote && source[at] !== "\n") at += source[at] === "\\" ? 2 : 1
  return at + 1
}

function endOfTemplate(source: string, from: number): number {
  let at = from
  while (at < source.length && source[at] !== "`") {
    if (source.startsWith("${", at)) return at + 2
    at += source[at] === "\\" ? 2 : 1
  }
  return at + 1
}

function endOfPattern(source: string, from: number): number {
  let at = from + 1
  let inClass = false
  while (at < source.length && source[at] !== "\n") {
    if (source[at] === "[") inClass = true
    else if (source[at] === "]") inClass = false
    else if (source[at] === "/" && !inClass) break
    at += source[at] === "\\" ? 2 : 1
  }
  return at + 1
}
