import { setTimeout } from "node:timers/promises"
import type { S3SiteOptions } from "../../src/site/s3-client.ts"
import type { Access } from "./s3-bench.ts"

/** A real server that the environment names, and what is known of its kind. */
export interface NamedServer {
  readonly access: Access
  readonly kind: string
  /** Checks that it does not pass, each with the reason. */
  readonly failing: Readonly<Record<string, string>>
  /** What a site there has to be told. */
  readonly site: Partial<S3SiteOptions>
}

const noChecksums = "it knows no x-amz-checksum headers; the signed payload hash is checked"

const kinds: Readonly<Record<string, Pick<NamedServer, "failing" | "site">>> = {
  // Debian 12's.
  "radosgw-16": {
    failing: {
      "if-match-put": "If-Match on a put is always answered with 412",
      "storage-class": "it has the classes that its zone was given, and no other",
      "checksum-default-crc32-stored": noChecksums,
      "checksum-default-stream-trailer": "411 on a body of unknown length",
      "checksum-sha256-ok": noChecksums,
      "checksum-sha256-wrong-rejected": noChecksums,
      "checksum-crc32-wrong-rejected": noChecksums,
      "checksum-crc32c": noChecksums,
      "checksum-part-wrong-rejected": noChecksums,
      "checksum-trailer-wrong-rejected": "it knows no trailers",
      "multipart-conditional": "conditions on CompleteMultipartUpload are overlooked",
      "versioning-create-only-after-delete": "If-None-Match is overlooked where the bucket keeps versions",
      "lock-multipart": "an object that came in parts has no lock",
      "put-lock-cfg-existing-bucket": "a bucket can lock only if it was made so",
    },
    site: { checksums: "required", createOnly: false },
  },
}

/**
 * HOLDLINE_TEST_S3=http://key:secret@127.0.0.1:9015/radosgw-16, as .ci/radosgw starts one; the path says what is known of it.
 * Throws where HOLDLINE_CI_REQUIRES says radosgw and none is named.
 */
export function namedServer(environment: NodeJS.ProcessEnv = process.env): NamedServer | null {
  const named = environment.HOLDLINE_TEST_S3
  if (named === undefined) {
    if (!(environment.HOLDLINE_CI_REQUIRES ?? "").split(",").includes("radosgw")) return null
    throw new Error("HOLDLINE_CI_REQUIRES says radosgw, and HOLDLINE_TEST_S3 names no server")
  }
  const { username, password, origin, pathname } = new URL(named)
  const kind = pathname.slice(1)
  const wait = async (ms: number) => await setTimeout(ms)
  const known = kinds[kind] ?? { failing: {}, site: {} }
  return { kind, ...known, access: { endpoint: origin, accessKeyId: username, secretAccessKey: password, wait } }
}
