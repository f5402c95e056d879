import { writeFile } from "node:fs/promises"
import { generatedFiles } from "./generated.ts"

// Writes what is made from the schemas: `node test/config/generate.ts` after a change of them.
for (const { path, text } of await generatedFiles()) await writeFile(path, text)
