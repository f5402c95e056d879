import { join } from "node:path"
import { jsonSchemas } from "../../src/wiring/fields.ts"
import { configurationReference, schemaText } from "../../src/wiring/reference.ts"

const project = join(import.meta.dirname, "../..")

/** The committed files that are made from the schemas, as they must be. */
export function generatedFiles(): readonly { readonly path: string; readonly text: string }[] {
  const { config, job } = jsonSchemas()
  return [
    { path: join(project, "config/holdline.schema.json"), text: schemaText(config) },
    { path: join(project, "jobs/job.schema.json"), text: schemaText(job) },
    { path: join(project, "docs/configuration.md"), text: configurationReference() },
  ]
}
