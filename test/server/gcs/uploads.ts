import { type Answer, bucketOf, type Call, json, parsed, partsOf } from "./call.ts"
import { insert } from "./objects.ts"
import { invalid, Refusal } from "./refusal.ts"
import { type GivenObject, givenObject } from "./resource.ts"

/** Chunks but the last are multiples of this; what of a broken one is kept is too. */
const chunkUnit = 256 * 1024

interface Session {
  readonly bucket: string
  readonly key: string
  readonly given: GivenObject
  /** Of the request that began it: its conditions are asked when the object is made. */
  readonly query: URLSearchParams
  bytes: Buffer
  done: Answer | undefined
}

/** Resumable uploads under way; a restart of the server forgets them, as production does after a week. */
export class Uploads {
  readonly #sessions = new Map<string, Session>()

  /** POST …/o?uploadType=media|multipart|resumable */
  async begin(call: Call, bucketName: string): Promise<Answer> {
    const bucket = bucketOf(call, bucketName)
    const hashes = call.headers["x-goog-hash"] ?? ""
    switch (call.query.get("uploadType")) {
      case "media": {
        const given = { contentType: call.headers["content-type"] ?? "application/octet-stream" }
        return await insert(call, { bucket, key: call.query.get("name") ?? "", bytes: call.body, given, hashes })
      }
      case "multipart": {
        const { metadata, contentType, bytes } = partsOf(call.body, call.headers["content-type"] ?? "")
        const given = parsed(givenObject, metadata)
        const key = call.query.get("name") ?? given.name ?? ""
        return await insert(call, { bucket, key, bytes, given: { contentType, ...given }, hashes })
      }
      case "resumable":
        return this.#open(call, bucketName)
      default:
        throw invalid("Invalid value for: uploadType")
    }
  }

  #open(call: Call, bucket: string): Answer {
    const given = parsed(givenObject, call.body)
    const key = call.query.get("name") ?? given.name ?? ""
    const id = `upload-${String(this.#sessions.size + 1)}`
    const contentType = call.headers["x-upload-content-type"] ?? "application/octet-stream"
    this.#sessions.set(id, { bucket, key, given: { contentType, ...given }, query: call.query, bytes: Buffer.alloc(0), done: undefined })
    const query = new URLSearchParams({ uploadType: "resumable", name: key, upload_id: id })
    const location = `${call.origin}/upload/storage/v1/b/${bucket}/o?${String(query)}`
    return { status: 200, headers: { location, "x-guploader-uploadid": id } }
  }

  /** The object that a session is about, for whoever plans faults. */
  keyOf(id: string): string {
    return this.#sessions.get(id)?.key ?? ""
  }

  /** PUT with a piece, or with none to ask how far the session has come. */
  async go(call: Call, id: string, broken: boolean): Promise<Answer> {
    const session = this.#sessions.get(id)
    if (session === undefined) throw new Refusal(410, "gone", "The upload session is not there any more")
    if (session.done !== undefined) return session.done
    const range = pieceOf(call.headers["content-range"])
    if (range.first === undefined) return range.total === session.bytes.length ? await this.#finish(call, session) : progress(session)
    if (range.first > session.bytes.length) throw new Refusal(503, "backendError", "The piece does not begin where the session ended")
    const whole = Buffer.concat([session.bytes, call.body.subarray(session.bytes.length - range.first)])
    const isLast = !broken && (range.total === undefined ? range.openEnded : whole.length >= range.total)
    if (isLast && range.total !== undefined && whole.length > range.total) throw invalid("More bytes than the session was to have")
    session.bytes = isLast ? whole : whole.subarray(0, whole.length - (whole.length % chunkUnit))
    return isLast ? await this.#finish(call, session) : progress(session)
  }

  async #finish(call: Call, session: Session): Promise<Answer> {
    const { key, bytes, given, query } = session
    const hashes = call.headers["x-goog-hash"] ?? ""
    session.done = await insert({ ...call, query }, { bucket: bucketOf(call, session.bucket), key, bytes, given, hashes })
    session.bytes = Buffer.alloc(0)
    return session.done
  }

  cancel(id: string): Answer {
    if (!this.#sessions.delete(id)) throw new Refusal(404, "notFound", "No such upload session")
    return { status: 499 }
  }
}

function progress({ bytes }: Session): Answer {
  return { ...json({}), status: 308, headers: bytes.length === 0 ? {} : { range: `bytes=0-${String(bytes.length - 1)}` }, body: "" }
}

interface Piece {
  /** Undefined: the session is only asked how far it has come. */
  readonly first: number | undefined
  readonly total: number | undefined
  /** The end is that of the request's body. */
  readonly openEnded: boolean
}

function pieceOf(header: string | undefined): Piece {
  if (header === undefined) return { first: 0, total: undefined, openEnded: true }
  const [all, first, last, total] = /^bytes (?:(\d+)-(\d+|\*)|\*)\/(\d+|\*)$/.exec(header) ?? []
  if (all === undefined) throw invalid("Invalid Content-Range")
  return {
    first: first === undefined ? undefined : Number(first),
    total: total === "*" || total === undefined ? undefined : Number(total),
    openEnded: last === "*",
  }
}
