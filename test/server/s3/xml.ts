/** As much XML as S3's small requests and answers need: elements without attributes. */
export type Content = string | number | boolean | readonly Element[]
export type Element = readonly [name: string, content: Content] | undefined

const namespace = "http://s3.amazonaws.com/doc/2006-03-01/"

/** A whole answer; elements that are undefined are left out. */
export function document(name: string, content: readonly Element[], xmlns = true): string {
  return `<?xml version="1.0" encoding="UTF-8"?>\n<${name}${xmlns ? ` xmlns="${namespace}"` : ""}>${inner(content)}</${name}>`
}

function inner(content: Content): string {
  if (typeof content !== "object") return escaped(String(content))
  return content.map((element) => (element === undefined ? "" : `<${element[0]}>${inner(element[1])}</${element[0]}>`)).join("")
}

/** The text within the first element of this name, undefined where there is none. */
export function textOf(xml: string, name: string): string | undefined {
  const inside = insidesOf(xml, name)[0]
  return inside === undefined ? undefined : unescaped(inside)
}

/** What is inside every element of this name, unread. */
export function insidesOf(xml: string, name: string): string[] {
  return [...xml.matchAll(new RegExp(`<${name}(?:\\s[^>]*)?(?:/>|>([\\s\\S]*?)</${name}>)`, "g"))].map(([, inside]) => inside ?? "")
}

function escaped(text: string): string {
  return text.replace(/[&<>"\r]/g, (character) => `&#${String(character.charCodeAt(0))};`)
}

const named: Readonly<Record<string, string>> = { amp: "&", lt: "<", gt: ">", quot: '"', apos: "'" }

function unescaped(text: string): string {
  return text.replace(/&(?:#x([0-9a-fA-F]+)|#(\d+)|(\w+));/g, (whole, hex, decimal, name) => {
    if (hex !== undefined) return String.fromCodePoint(Number.parseInt(String(hex), 16))
    if (decimal !== undefined) return String.fromCodePoint(Number(decimal))
    return named[String(name)] ?? whole
  })
}
