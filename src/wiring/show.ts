import { Document, isCollection, isScalar, visit } from "yaml"
import type { Loaded } from "./config.ts"
import { originText } from "./origin.ts"

/**
 * The effective configuration as YAML, defaults and overrides included. Secrets appear as the references they are.
 * With `origin`, each line says what set its value.
 */
export function show({ effective, origins }: Pick<Loaded, "effective" | "origins">, options: { readonly origin: boolean }): string {
  const document = new Document(effective)
  if (options.origin) {
    visit(document, {
      Pair: (_, pair, ancestors) => {
        if (isCollection(pair.value) && pair.value.items.length > 0 && !isList(pair.value.toJSON())) return
        const path = [...ancestors.flatMap(keyText), ...keyText(pair)]
        const origin = origins.get(path.join("."))
        if (origin === undefined) return
        if (isCollection(pair.value)) pair.value.flow = true
        if (isScalar(pair.value) || isCollection(pair.value)) pair.value.comment = ` ${originText(origin)}`
      },
    })
  }
  return document.toString({ lineWidth: 0, flowCollectionPadding: false })
}

function isList(value: unknown): boolean {
  return Array.isArray(value)
}

function keyText(node: unknown): string[] {
  if (typeof node !== "object" || node === null || !("key" in node) || !isScalar(node.key)) return []
  return [String(node.key.value)]
}
