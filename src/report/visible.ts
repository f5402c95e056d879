/** Text of others, such as a file's name, as one line that cannot move a terminal's cursor: controls appear as escapes. */
export function visible(text: string): string {
  return text.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, (character) => {
    const code = character.codePointAt(0) ?? 0
    if (code < 0x100) return `\\x${code.toString(16).padStart(2, "0")}`
    return `\\u{${code.toString(16)}}`
  })
}
