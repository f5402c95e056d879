import { z } from "zod"
import { bandwidthMin, gcsConcurrencyMax, s3ConcurrencyMax } from "../limits.ts"
import { parseSize } from "../units.ts"

const absolutePath = z.string().regex(/^\//, "expected an absolute path").describe("absolute path on this host")
const word = z.string().regex(/^[a-z0-9][a-z0-9.-]{0,62}$/, "expected lower-case letters, digits, dots and dashes")
const bucket = z
  .string()
  .regex(/^[a-z0-9][a-z0-9._-]{1,61}[a-z0-9]$/, "expected a bucket's name")
  .describe("the bucket of packs and commits")
const keyBucket = bucket.describe("the bucket of key objects: one of its own, so that accounts can be erased")
const endpoint = z.url({ protocol: /^https?$/, error: "expected a URL such as https://s3.example.net" })
const lock = z.enum(["governance", "compliance"]).describe("how objects are locked against deletion")
const credentialsFile = z.strictObject({ file: absolutePath })

const rate = z
  .string()
  .transform((text, context) => {
    const bytes = parseSize(text.replace(/\/s$/, ""))
    if (bytes !== undefined && text.endsWith("/s") && bytes >= bandwidthMin) return bytes
    context.addIssue({ code: "custom", message: 'expected bytes per second, at least 10 KiB/s, such as "20 MiB/s"' })
    return z.NEVER
  })
  .meta({ title: "bandwidth", pattern: "^\\d{1,9}(\\.\\d{1,3})? ?(B|[KMGT]iB|[kMGT]B)/s$" })

const place = {
  provider: word.describe("who runs the site: own, aws, google, …; copies at one provider are lost together"),
  region: word,
  zone: word.optional().describe("what burns down together within the region: a data centre, a room"),
  egress: z
    .strictObject({
      perGiB: z.number().min(0).max(1000).describe("transfer and retrieval together; 0 where it is free"),
      currency: z
        .string()
        .regex(/^[A-Z]{3}$/, "expected a currency's three letters, such as EUR")
        .prefault("USD")
        .describe("three letters, such as EUR"),
    })
    .optional()
    .describe("what reading a GiB out of it costs, for restores to choose by; absent: by the provider's list, where this release knows it"),
  bandwidth: z
    .union([
      rate,
      z.strictObject({
        up: rate.optional().describe("what is sent to the site; absent: as much as the line carries"),
        down: rate.optional().describe("what is read from the site; absent: as much as the line carries"),
      }),
    ])
    .optional()
    .describe("bytes per second on average, such as 20 MiB/s, both ways or {up, down}; absent: as many as the line carries"),
}

const directorySiteSettings = z.strictObject({
  kind: z.literal("directory"),
  path: absolutePath.describe("an existing directory, never created: a disk, an NFS export or any mount"),
  ...place,
  sameDevice: z
    .literal("accepted")
    .optional()
    .describe("let the site count as a provider although it is on the source's own device; every report then says so"),
})

const s3SiteSettings = z.strictObject({
  kind: z.literal("s3"),
  bucket,
  keys: keyBucket,
  ...place,
  endpoint: endpoint.optional().describe("of an S3-compatible store; absent: AWS"),
  signingRegion: word.optional().describe("what requests are signed for, where the store wants another word than region: us-east-1, auto"),
  pathStyle: z.boolean().optional().describe("the bucket in the path, not in the host's name; absent: with an endpoint of its own, yes"),
  checksums: z
    .enum(["always", "required", "signed"])
    .optional()
    .describe(
      "required: only the SHA-256 of what is stored, for older stores; signed: that of the signature alone, for those that refuse checksum headers; absent: always",
    ),
  createOnly: z.literal(false).optional().describe("false for a store without conditional writes: a taken name is then only looked for"),
  concurrency: z.int().min(1).max(s3ConcurrencyMax).optional().describe("calls in flight; absent: 8"),
  ca: absolutePath.optional().describe("a file of certificates (PEM) to trust beside the system's"),
  proxy: endpoint.optional().describe("an HTTP proxy on the way to the store"),
  lock: lock.optional(),
  credentials: z
    .union([z.strictObject({ profile: z.string().min(1) }), credentialsFile])
    .optional()
    .describe("absent: the usual chain of environment, profile and instance role"),
})

const gcsSiteSettings = z.strictObject({
  kind: z.literal("gcs"),
  bucket,
  keys: keyBucket,
  ...place,
  endpoint: endpoint.optional().describe("of another server that speaks the same protocol; absent: Google"),
  concurrency: z.int().min(1).max(gcsConcurrencyMax).optional().describe("calls in flight; absent: 8"),
  lock: lock.optional(),
  credentials: credentialsFile.optional().describe("absent: the usual chain of environment, workload identity and instance"),
})

/** One entry of `sites:` in config/holdline.yaml; its name is the entry's. */
export const siteSettings = z.discriminatedUnion("kind", [directorySiteSettings, s3SiteSettings, gcsSiteSettings])

export type SiteSettings = z.infer<typeof siteSettings>
