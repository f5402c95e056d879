/** A name as SQL writes it, whatever it holds. */
export function identifier(name: string): string {
  return `"${name.replaceAll('"', '""')}"`
}

/** A table or sequence with its schema, as SQL writes it. */
export function qualified(schema: string, name: string): string {
  return `${identifier(schema)}.${identifier(name)}`
}

/** A text as SQL writes it where standard_conforming_strings is on, as connectPostgres sets it. */
export function literal(text: string): string {
  return `'${text.replaceAll("'", "''")}'`
}
