import { z } from "zod"
import { startService } from "./clients.ts"

/**
 * A stand-in in a process of its own, to be stopped and killed: `node serve.ts s3` or `gcs`, and what ServiceOptions there shall be,
 * as JSON. Says where it is; ends with its standard input.
 */
const [, , client, given] = process.argv
const optionsSchema = z.strictObject({
  locked: z.boolean().default(false),
  shortPages: z.boolean().default(false),
  copyOf: z.string().optional(),
})
await using server = await startService(z.enum(["s3", "gcs"]).parse(client), optionsSchema.parse(JSON.parse(given ?? "{}")))
process.stdout.write(`${server.endpoint}\n`)
for await (const _ of process.stdin);
