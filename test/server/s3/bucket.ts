import type { Bucket } from "../store.ts"
import { type Answer, bucketOf, type Call, xmlAnswer } from "./call.ts"
import { Refusal, type RefusalCode } from "./refusal.ts"
import { document, textOf } from "./xml.ts"

export function listBuckets(call: Call): Answer {
  const buckets = call.store.buckets().map((bucket) => {
    return ["Bucket", [["Name", bucket.name] as const, ["CreationDate", bucket.createdAt.toISOString()] as const]] as const
  })
  return xmlAnswer(document("ListAllMyBucketsResult", [["Buckets", buckets]]))
}

export function createBucket(call: Call): Answer {
  const name = call.request.bucket
  if (!/^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$/.test(name)) throw new Refusal("InvalidBucketName", "the specified bucket is not valid")
  if (call.store.bucket(name) !== undefined) throw new Refusal("BucketAlreadyOwnedByYou", "you own it already")
  const locking = call.request.headers["x-amz-bucket-object-lock-enabled"]?.toLowerCase() === "true" && !call.vendor.has("ignores-lock")
  call.store.createBucket(name, locking ? { lock: true, versioning: "Enabled" } : {})
  return { status: 200, headers: { location: `/${name}` } }
}

export function deleteBucket(call: Call): Answer {
  const bucket = bucketOf(call)
  for (const _key of bucket.keys()) throw new Refusal("BucketNotEmpty", "the bucket you tried to delete is not empty")
  call.store.deleteBucket(bucket.name)
  return { status: 204 }
}

export function headBucket(call: Call): Answer {
  bucketOf(call)
  return { status: 200, headers: { "x-amz-bucket-region": "us-east-1" } }
}

export function getLocation(call: Call): Answer {
  bucketOf(call)
  return xmlAnswer(document("LocationConstraint", []))
}

export function getVersioning(call: Call): Answer {
  const { versioning } = bucketOf(call).settings
  return xmlAnswer(document("VersioningConfiguration", versioning === undefined ? [] : [["Status", String(versioning)]]))
}

export function putVersioning(call: Call): Answer {
  const bucket = bucketOf(call)
  const status = textOf(call.body.toString(), "Status")
  if (status !== "Enabled" && status !== "Suspended") throw new Refusal("MalformedXML", "the status is Enabled or Suspended")
  if (status === "Suspended" && bucket.settings.lock === true) {
    throw new Refusal("InvalidBucketState", "an object lock configuration is present, so versioning cannot be suspended")
  }
  bucket.configure({ versioning: status })
  return { status: 200 }
}

/** A document that is kept and given back as it came: lifecycle, policy, public access block. */
export interface Stored {
  get(call: Call): Answer
  put(call: Call): Answer
  remove(call: Call): Answer
}

export function stored(setting: string, absent: RefusalCode, contentType: string): Stored {
  const kept = (bucket: Bucket) => bucket.settings[setting]
  return {
    get: (call) => {
      const document = kept(bucketOf(call))
      if (document === undefined) throw new Refusal(absent, `the bucket has no ${setting}`)
      return { status: 200, headers: { "content-type": contentType }, body: String(document) }
    },
    put: (call) => {
      bucketOf(call).configure({ [setting]: call.body.toString() })
      return { status: 200 }
    },
    remove: (call) => {
      bucketOf(call).configure({ [setting]: undefined })
      return { status: 204 }
    },
  }
}
