import { createHash, randomUUID } from "node:crypto"
import type { Version } from "../store.ts"
import { type Answer, bucketOf, type Call, xmlAnswer } from "./call.ts"
import { lockOfNew } from "./lock.ts"
import { keep, metadataOf } from "./object.ts"
import { Refusal } from "./refusal.ts"
import { versionHeader } from "./version.ts"
import { document, insidesOf, textOf } from "./xml.ts"

const partBytesMin = 5 * 1024 * 1024

interface Upload {
  readonly id: string
  readonly bucket: string
  readonly key: string
  readonly headers: Call["request"]["headers"]
  readonly lock: Pick<Version, "retention" | "holds">
  readonly parts: Map<number, Part>
}

interface Part {
  readonly bytes: Buffer
  readonly etag: string
}

/** Uploads in parts that are not complete yet; they are kept in memory and end with the server. */
export class Uploads {
  readonly #open = new Map<string, Upload>()

  create(call: Call): Answer {
    const bucket = bucketOf(call)
    const { key, headers } = call.request
    const lock = lockOfNew(call, bucket)
    const lost = call.vendor.has("multipart-loses-lock")
    const upload = {
      id: randomUUID(),
      bucket: bucket.name,
      key,
      headers,
      lock: lost ? { ...lock, retention: null } : lock,
      parts: new Map(),
    }
    this.#open.set(upload.id, upload)
    const content = [["Bucket", bucket.name] as const, ["Key", key] as const, ["UploadId", upload.id] as const]
    return xmlAnswer(document("InitiateMultipartUploadResult", content))
  }

  put(call: Call): Answer {
    const upload = this.#uploadOf(call)
    const number = Number(call.request.parameter("partNumber"))
    if (!Number.isInteger(number) || number < 1 || number > 10_000) throw new Refusal("InvalidArgument", "part numbers are 1 to 10000")
    const etag = createHash("md5").update(call.body).digest("hex")
    upload.parts.set(number, { bytes: call.body, etag })
    const checksums = Object.entries(call.given).map(([name, value]) => [`x-amz-checksum-${name.toLowerCase()}`, value])
    return { status: 200, headers: { etag: `"${etag}"`, ...Object.fromEntries(checksums) } }
  }

  async complete(call: Call): Promise<Answer> {
    const upload = this.#uploadOf(call)
    const parts = listedParts(call, upload)
    const digests = Buffer.concat(parts.map(({ etag }) => Buffer.from(etag, "hex")))
    const etag = `${createHash("md5").update(digests).digest("hex")}-${String(parts.length)}`
    const given = { metadata: metadataOf(upload.headers, etag, {}), ...upload.lock }
    const made = await keep(call, bucketOf(call), Buffer.concat(parts.map(({ bytes }) => bytes)), given)
    this.#open.delete(upload.id)
    const content = [["Bucket", upload.bucket] as const, ["Key", upload.key] as const, ["ETag", `"${etag}"`] as const]
    const answer = xmlAnswer(document("CompleteMultipartUploadResult", content))
    return { ...answer, headers: { ...answer.headers, ...versionHeader(made) } }
  }

  abort(call: Call): Answer {
    this.#open.delete(this.#uploadOf(call).id)
    return { status: 204 }
  }

  listParts(call: Call): Answer {
    const upload = this.#uploadOf(call)
    const parts = [...upload.parts].sort(([a], [b]) => a - b)
    const elements = parts.map(([number, { bytes, etag }]) => {
      return ["Part", [["PartNumber", number] as const, ["ETag", `"${etag}"`] as const, ["Size", bytes.length] as const]] as const
    })
    return xmlAnswer(document("ListPartsResult", [["UploadId", upload.id], ["IsTruncated", false], ...elements]))
  }

  list(call: Call): Answer {
    const bucket = bucketOf(call)
    const here = [...this.#open.values()].filter((upload) => upload.bucket === bucket.name)
    const elements = here.map(({ key, id }) => ["Upload", [["Key", key] as const, ["UploadId", id] as const]] as const)
    return xmlAnswer(document("ListMultipartUploadsResult", [["IsTruncated", false], ...elements]))
  }

  #uploadOf({ request }: Call): Upload {
    const upload = this.#open.get(request.parameter("uploadId") ?? "")
    if (upload === undefined || upload.bucket !== request.bucket || upload.key !== request.key) {
      throw new Refusal("NoSuchUpload", "the specified upload does not exist")
    }
    return upload
  }
}

function listedParts(call: Call, upload: Upload): Part[] {
  const listed = insidesOf(call.body.toString(), "Part").map((part) => {
    return { number: Number(textOf(part, "PartNumber")), etag: (textOf(part, "ETag") ?? "").replaceAll('"', "") }
  })
  if (listed.length === 0) throw new Refusal("MalformedXML", "no part is listed")
  const parts = listed.map(({ number, etag }, index) => {
    if (index > 0 && number <= (listed[index - 1]?.number ?? 0))
      throw new Refusal("InvalidPartOrder", "parts are listed in ascending order")
    const part = upload.parts.get(number)
    if (part === undefined || part.etag !== etag) throw new Refusal("InvalidPart", "one or more of the specified parts could not be found")
    return part
  })
  if (parts.slice(0, -1).some(({ bytes }) => bytes.length < partBytesMin))
    throw new Refusal("EntityTooSmall", "a part is smaller than 5 MiB")
  return parts
}
