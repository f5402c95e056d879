import { join } from "node:path"
import { jsonSchemas } from "../../src/wiring/fields.ts"
import { profileReference } from "../../src/wiring/profile-reference.ts"
import { loadProfile, shippedProfiles } from "../../src/wiring/profiles.ts"
import { configurationReference, schemaText } from "../../src/wiring/reference.ts"

const project = join(import.meta.dirname, "../..")

/** The committed files that are made from the schemas and the profiles, as they must be. */
export async function generatedFiles(): Promise<readonly { readonly path: string; readonly text: string }[]> {
  const { config, job } = jsonSchemas()
  const profiles = await Promise.all((await shippedProfiles()).map((name) => loadProfile(name, project, project)))
  return [
    { path: join(project, "config/holdline.schema.json"), text: schemaText(config) },
    { path: join(project, "jobs/job.schema.json"), text: schemaText(job) },
    { path: join(project, "docs/configuration.md"), text: configurationReference() },
    { path: join(project, "docs/profiles.md"), text: profileReference(profiles) },
  ]
}
