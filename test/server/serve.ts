import { z } from "zod"
import { startService } from "../fault/clients.ts"

/**
 * A stand-in in a process of its own, to be stopped and killed: `node serve.ts s3` or `gcs`, and what ServiceOptions there shall be,
 * as JSON. Says where it is, and where it keeps its objects; ends with its standard input.
 */
const [, , client, given] = process.argv
const options = z.strictObject({ locked: z.boolean().optional(), shortPages: z.boolean().optional() }).parse(JSON.parse(given ?? "{}"))
const { locked = false, shortPages = false } = options
await using server = await startService(z.enum(["s3", "gcs"]).parse(client), { locked, shortPages })
process.stdout.write(`${server.endpoint}\n`)
for await (const _ of process.stdin);
