import type { S3Request } from "./request.ts"

/** Sub-resources of a bucket, and what their operations are called after the verb. */
const bucketParts: readonly (readonly [parameter: string, name: string])[] = [
  ["versioning", "BucketVersioning"],
  ["object-lock", "ObjectLockConfiguration"],
  ["lifecycle", "BucketLifecycleConfiguration"],
  ["policy", "BucketPolicy"],
  ["publicAccessBlock", "PublicAccessBlock"],
  ["replication", "BucketReplication"],
  ["encryption", "BucketEncryption"],
  ["location", "BucketLocation"],
]
const objectParts: readonly (readonly [parameter: string, name: string])[] = [
  ["retention", "ObjectRetention"],
  ["legal-hold", "ObjectLegalHold"],
  ["tagging", "ObjectTagging"],
]
const verbs: Readonly<Record<string, string>> = { GET: "Get", PUT: "Put", HEAD: "Head", DELETE: "Delete", POST: "Post" }

/** The API's own name of what a request asks for. */
export function operationOf(request: S3Request): string {
  if (request.bucket === "") return request.method === "GET" ? "ListBuckets" : "PostService"
  return request.key === "" ? operationOnBucket(request) : operationOnObject(request)
}

function operationOnBucket(request: S3Request): string {
  const verb = verbs[request.method] ?? request.method
  const part = partOf(request, bucketParts)
  if (part === "BucketLifecycleConfiguration" && verb === "Delete") return "DeleteBucketLifecycle"
  if (part !== undefined) return `${verb}${part}`
  if (request.method === "GET") return listingOf(request)
  if (request.method === "POST") return request.parameter("delete") === undefined ? "PostObject" : "DeleteObjects"
  return request.method === "PUT" ? "CreateBucket" : `${verb}Bucket`
}

function listingOf(request: S3Request): string {
  if (request.parameter("versions") !== undefined) return "ListObjectVersions"
  if (request.parameter("uploads") !== undefined) return "ListMultipartUploads"
  return `ListObjectsV${request.parameter("list-type") ?? "1"}`
}

const uploadOperations: Readonly<Record<string, string>> = {
  PUT: "UploadPart",
  DELETE: "AbortMultipartUpload",
  GET: "ListParts",
  POST: "CompleteMultipartUpload",
}

function operationOnObject(request: S3Request): string {
  const { method } = request
  const part = partOf(request, objectParts)
  if (part !== undefined) return `${verbs[method] ?? method}${part}`
  if (request.parameter("uploads") !== undefined) return "CreateMultipartUpload"
  if (request.parameter("uploadId") !== undefined) return uploadOperations[method] ?? method
  if (method === "PUT" && request.headers["x-amz-copy-source"] !== undefined) return "CopyObject"
  return `${verbs[method] ?? method}Object`
}

function partOf(request: S3Request, parts: readonly (readonly [parameter: string, name: string])[]): string | undefined {
  return parts.find(([parameter]) => request.parameter(parameter) !== undefined)?.[1]
}
