/** An identifier as SQL has it. */
export function quoteName(name: string): string {
  return `\`${name.replaceAll("`", "``")}\``
}

/** A text as SQL has it; for sessions whose sql_mode leaves backslashes their meaning, as ours do. */
export function quoteText(text: string): string {
  return `'${text.replace(/[\\']/g, "\\$&").replaceAll("\0", "\\0")}'`
}
