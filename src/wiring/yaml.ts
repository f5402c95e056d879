import { type Document, isAlias, isMap, isScalar, isSeq, LineCounter, type Node, type Pair, parseDocument, type YAMLMap } from "yaml"
import { configBytesMax, configDepthMax } from "../limits.ts"
import { type Place, pathKey, type Tree } from "./origin.ts"

/**
 * Reads one YAML 1.2 document of plain values and remembers where each stands. `file` is how messages name it.
 * Nothing is thrown for bad input: every problem is in `problems`, and what could be read is in `value`.
 */
export function readYaml(bytes: Uint8Array, file: string): Tree {
  const tree: Tree = { value: undefined, placed: new Map(), problems: [], broken: [] }
  const text = decode(bytes)
  if (typeof text !== "string") {
    tree.problems.push({ origin: { file, line: 1, col: 1 }, sentence: text.refused })
    return tree
  }

  const lines = new LineCounter()
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false, schema: "core", version: "1.2", uniqueKeys: false })
  const place = (offset: number): Place => {
    const { line, col } = lines.linePos(offset)
    return { file, line: Math.max(line, 1), col: Math.max(col, 1) }
  }
  for (const [offset, sentence] of syntaxProblems(document, text)) tree.problems.push({ origin: place(offset), sentence })
  if (tree.problems.length > 0) return tree

  const reading: Reading = { tree, place }
  tree.placed.set(pathKey([]), { path: [], value: place(document.contents?.range?.[0] ?? 0) })
  tree.value = isEmpty(document) ? undefined : plain(document.contents, [], reading)
  if (isEmpty(document)) refuse(reading, [], place(0), "the file is empty")
  return tree
}

interface Reading {
  readonly tree: Tree
  readonly place: (offset: number) => Place
}

function decode(bytes: Uint8Array): string | { readonly refused: string } {
  if (bytes.length > configBytesMax) return { refused: `the file is larger than ${String(configBytesMax / 1024)} KiB` }
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes)
  } catch {
    return { refused: "the file is not UTF-8 text" }
  }
}

function isEmpty(document: Document): boolean {
  return document.contents === null || (isScalar(document.contents) && document.contents.value === null)
}

const notAlias = 'aliases are not allowed: write the value out, or put text that starts with "*" in quotes'

const misplaced = "the indentation does not fit the lines above, or a bracket is open"
const unexpected = "this is not valid YAML here: is an indentation, a quote or a bracket wrong before it?"

// The parser's own messages quote what it met, which may be a secret in the wrong place: ours never do.
const syntax: Readonly<Record<string, string>> = {
  TAB_AS_INDENT: "a tab is used for indentation: use spaces",
  BAD_INDENT: misplaced,
  MULTIPLE_DOCS: 'a second document starts here: remove the "---"',
  MISSING_CHAR: 'a character is missing: a quote, a comma, a closing bracket, or the space after ":"',
  BAD_SCALAR_START: "a value starts with a character that has a meaning in YAML: put it in quotes",
  BAD_DQ_ESCAPE: 'an unknown escape in double quotes: use single quotes, or write "\\\\" for a backslash',
  MULTILINE_IMPLICIT_KEY: 'a key goes over several lines: is a ":" or an indentation missing?',
  BLOCK_AS_IMPLICIT_KEY: 'two keys stand on one line: put the value in quotes if it contains ": "',
  BLOCK_IN_FLOW: "an indented block stands within brackets: use one style",
  KEY_OVER_1024_CHARS: "a key is longer than 1024 characters",
  RESOURCE_EXHAUSTION: "the file is nested too deeply",
  MULTIPLE_ANCHORS: "anchors are not allowed: write the value out where it is used",
  MULTIPLE_TAGS: "tags are not allowed: write plain values",
  TAG_RESOLVE_FAILED: "tags are not allowed: write plain values",
  BAD_ALIAS: notAlias,
  ALIAS_PROPS: notAlias,
  BAD_DIRECTIVE: "directives are not allowed",
}

function syntaxProblems(document: ReturnType<typeof parseDocument>, text: string): [offset: number, sentence: string][] {
  const found = [...document.errors, ...document.warnings].map((error): [number, string] => {
    return [error.pos[0], syntax[error.code] ?? unexpected]
  })
  // A directive may turn on YAML 1.1, where `no` is a boolean and 022 an octal number.
  const directive = /^%/m.exec(text)
  if (directive !== null && document.directives?.docStart === true) found.push([directive.index, "directives are not allowed"])
  // What follows a break is broken too: the first says where to look.
  return found.filter(([, sentence], index) => index === 0 || (sentence !== unexpected && sentence !== misplaced))
}

function plain(node: unknown, path: readonly string[], reading: Reading): unknown {
  const start = reading.place(startOf(node))
  if (path.length > configDepthMax) return refuse(reading, path, start, "the file is nested too deeply")
  if (isAlias(node)) return refuse(reading, path, start, notAlias)
  if (isProperty(node, "anchor")) return refuse(reading, path, start, "anchors are not allowed: write the value out where it is used")
  if (isProperty(node, "tag")) return refuse(reading, path, start, "tags are not allowed: write plain values")
  if (isMap(node)) return mapping(node, path, reading)
  if (isSeq(node)) {
    return node.items.map((item, index) => {
      const itemPath = [...path, String(index)]
      reading.tree.placed.set(pathKey(itemPath), { path: itemPath, value: reading.place(startOf(item)) })
      return plain(item, itemPath, reading)
    })
  }
  return isScalar(node) ? node.value : null
}

function mapping(node: YAMLMap, path: readonly string[], reading: Reading): unknown {
  const entries = new Map<string, unknown>()
  for (const pair of node.items) {
    const keyPlace = reading.place(startOf(pair.key))
    const key = keyOf(pair)
    if (key === undefined) {
      reading.tree.problems.push({ origin: keyPlace, sentence: "a key must be plain text" })
      continue
    }
    const keyPath = [...path, key]
    const before = reading.tree.placed.get(pathKey(keyPath))
    if (before?.key !== undefined && "file" in before.key) {
      const line = String(before.key.line)
      reading.tree.problems.push({ origin: keyPlace, sentence: `duplicate key ${printable(key)}: it is already set on line ${line}` })
      continue
    }
    const absent = pair.value === null || (isScalar(pair.value) && pair.value.type === "PLAIN" && pair.value.source === "")
    const valueStart = absent ? keyPlace : reading.place(startOf(pair.value))
    reading.tree.placed.set(pathKey(keyPath), { path: keyPath, key: keyPlace, value: valueStart })
    entries.set(key, plain(pair.value, keyPath, reading))
  }
  // fromEntries defines own properties, so that even a key "__proto__" is an ordinary one.
  return Object.fromEntries(entries)
}

function keyOf(pair: Pair): string | undefined {
  const { key } = pair
  if (!isScalar(key) || isProperty(key, "anchor") || isProperty(key, "tag")) return undefined
  if (typeof key.value === "string") return key.value === "__proto__" ? undefined : key.value
  return typeof key.value === "number" || typeof key.value === "boolean" ? key.source : undefined
}

function isProperty(node: unknown, name: "anchor" | "tag"): boolean {
  return (isScalar(node) || isMap(node) || isSeq(node)) && node[name] !== undefined
}

function startOf(node: unknown): number {
  const range = isAlias(node) || isScalar(node) || isMap(node) || isSeq(node) ? (node satisfies Node).range : undefined
  return range?.[0] ?? 0
}

function refuse(reading: Reading, path: readonly string[], origin: Place, sentence: string): undefined {
  reading.tree.problems.push({ origin, sentence })
  reading.tree.broken.push(path)
  return undefined
}

/** A key in quotes; "(…)" for one that is no plausible key, as it may be a secret in the wrong place. */
export function printable(key: string): string {
  return /^[\w<$.-]{1,40}$/.test(key) ? `"${key}"` : "(…)"
}
