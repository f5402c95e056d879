import type { IncomingMessage, ServerResponse } from "node:http"
import { type FaultAction, flipped } from "../fault-queue.ts"
import type { Front, ServerWorld } from "../server.ts"
import type { GcsAuthority } from "./authority.ts"
import { createBucket, deleteBucket, getBucket, listBuckets, lockRetentionPolicy, patchBucket } from "./buckets.ts"
import { type Answer, type Call, json, readBody } from "./call.ts"
import { compose, get, list, patch, remove, restore, rewrite } from "./objects.ts"
import { errorBody, Refusal } from "./refusal.ts"
import { Tokens } from "./token.ts"
import { Uploads } from "./uploads.ts"

export interface GcsOptions {
  /** Requests need a bearer token that POST /token has issued; absent: nobody is asked who he is. */
  readonly tokens?: Tokens
  /** Downloads do not say how they are stored, as behind some proxies. */
  readonly hidesStoredEncoding?: boolean
  /** Holds every request to roles and conditions; absent: everything is allowed. */
  readonly authority?: GcsAuthority
  /** A page of a listing ends after two entries, whatever was asked for. */
  readonly shortPages?: boolean
}

/** The JSON API of Google Cloud Storage over the store, as far as a keeper of backups meets it. */
export function gcsFront(world: ServerWorld, options: GcsOptions = {}): Front {
  const uploads = new Uploads()
  const tokens = options.tokens ?? new Tokens()
  return async (request, response) => {
    const received = await readBody(request)
    const call = { ...callOf(request, received.body, world), pageMax: options.shortPages === true ? 2 : 1000 }
    const route = routeOf(call, { uploads, tokens, broken: received.broken })
    const fault = world.faults.meet(route.operation, route.key)
    if (fault?.kind === "stall" && !fault.applied) return
    if (fault?.kind === "reset" && !fault.applied) {
      request.socket.destroy()
      return
    }
    const authenticated = options.tokens === undefined || route.operation === "token"
    const answer = await answerOf(route, fault, { tokens: authenticated ? undefined : tokens, authority: options.authority })
    // Who has gone away gets no answer; what came of a resumable upload is kept all the same.
    const hidden = options.hidesStoredEncoding === true ? { ...answer, headers: withoutStoredEncoding(answer.headers) } : answer
    if (!received.broken) send(request, response, { answer: hidden, fault, world })
  }
}

function withoutStoredEncoding(headers: Answer["headers"] = {}): Readonly<Record<string, string>> {
  return Object.fromEntries(Object.entries(headers).filter(([name]) => name !== "x-goog-stored-content-encoding"))
}

interface Route {
  /** The API's own name, such as storage.objects.insert. */
  readonly operation: string
  readonly key: string
  readonly call: Call
  run(call: Call): Answer | Promise<Answer>
}

interface Guards {
  readonly tokens: Tokens | undefined
  readonly authority: GcsAuthority | undefined
}

async function answerOf(route: Route, fault: FaultAction | undefined, { tokens, authority }: Guards): Promise<Answer> {
  if (fault?.kind === "status" && fault.applied !== true) return faultAnswer(fault)
  const { call } = route
  const damaged = fault?.kind === "flip-up" ? { ...call, body: flipped(call.body) } : call
  const seen = fault?.kind === "stale-list" ? { ...damaged, missing: fault.missing } : damaged
  try {
    tokens?.check(call)
    const ofBucket = route.operation === "storage.objects.list" || route.operation.startsWith("storage.buckets.")
    authority?.check({ operation: route.operation, bucket: call.path[1] ?? "", key: ofBucket ? "" : route.key }, seen)
    const answer = await route.run(seen)
    return fault?.kind === "status" ? faultAnswer(fault) : answer
  } catch (error) {
    if (!(error instanceof Refusal)) throw error
    const { status, reason, message, headers } = error
    const body = status === 304 ? "" : errorBody(status, reason, message)
    return { status, headers: { ...headers, "content-type": "application/json; charset=UTF-8" }, body }
  }
}

function faultAnswer({ status, code = "backendError", retryAfter }: Extract<FaultAction, { kind: "status" }>): Answer {
  const answer = { ...json({}), status, body: errorBody(status, code, "planned fault") }
  return retryAfter === undefined ? answer : { ...answer, headers: { ...answer.headers, "retry-after": retryAfter } }
}

interface Sending {
  readonly answer: Answer
  readonly fault: FaultAction | undefined
  readonly world: ServerWorld
}

function send(request: IncomingMessage, response: ServerResponse, { answer, fault, world }: Sending): void {
  if (fault?.kind === "stall") return
  if (fault?.kind === "reset") {
    request.socket.destroy()
    return
  }
  const whole = Buffer.from(answer.body ?? "")
  const body = fault?.kind === "flip-down" ? flipped(whole) : whole
  const skewMs = fault?.kind === "clock-skew" ? fault.ms : 0
  const date = new Date(world.clock.now().getTime() + skewMs).toUTCString()
  const length = answer.status === 204 || answer.status === 304 ? {} : { "content-length": String(body.length) }
  response.writeHead(answer.status, { date, ...length, ...answer.headers })
  if (fault?.kind === "cut-body") response.write(body.subarray(0, fault.after), () => request.socket.destroy())
  else response.end(body)
}

function callOf(request: IncomingMessage, body: Buffer, { store, clock }: ServerWorld): Omit<Call, "pageMax"> {
  const url = new URL(request.url ?? "/", `http://${request.headers.host ?? "127.0.0.1"}`)
  const [, upload, rest = ""] = /^(\/upload|\/resumable\/upload|\/download)?\/storage\/v1(\/.*)?$/.exec(url.pathname) ?? []
  const headers = Object.entries(request.headersDistinct).map(([name, values]) => [name, (values ?? []).join(",")])
  return {
    method: request.method ?? "GET",
    path: url.pathname === "/token" ? ["token"] : rest.split("/").slice(1).map(decodeURIComponent),
    upload: upload?.endsWith("/upload") ?? false,
    query: url.searchParams,
    headers: Object.fromEntries(headers),
    ...{ body, store, clock, origin: url.origin, missing: 0 },
  }
}

interface Rooms {
  readonly uploads: Uploads
  readonly tokens: Tokens
  /** The connection broke while the body was on its way. */
  readonly broken: boolean
}

function routeOf(call: Call, rooms: Rooms): Route {
  const { method, path } = call
  const [b, bucket = "", o, key = "", action, ...target] = path
  const route = (operation: string, run: Route["run"], about = key): Route => ({ operation: `storage.${operation}`, key: about, call, run })
  if (b === "token" && method === "POST") return { ...route("", () => rooms.tokens.issue(call)), operation: "token" }
  if (call.upload) return uploadRoute(call, bucket, rooms)
  // A request that broke off has said nothing.
  if (rooms.broken) return route("broken", notHere)
  if (b === "b" && o === undefined) return bucketRoute(call, bucket)
  if (b === "b" && o === "lockRetentionPolicy") return route("buckets.lockRetentionPolicy", (seen) => lockRetentionPolicy(seen, bucket))
  if (b !== "b" || o !== "o") return route("unknown", notHere)
  if (key === "" && method === "GET") return route("objects.list", (seen) => list(seen, bucket), call.query.get("prefix") ?? "")
  switch (`${method} ${action ?? ""}`) {
    case "GET ":
      return route("objects.get", (seen) => get(seen, bucket, key))
    case "PATCH ":
      return route("objects.patch", (seen) => patch(seen, bucket, key))
    case "DELETE ":
      return route("objects.delete", (seen) => remove(seen, bucket, key))
    case "POST compose":
      return route("objects.compose", (seen) => compose(seen, bucket, key))
    case "POST restore":
      return route("objects.restore", (seen) => restore(seen, bucket, key))
    case "POST rewriteTo":
    case "POST copyTo":
      return route("objects.rewrite", (seen) => rewrite(seen, { bucket, key }, { bucket: target[1] ?? "", key: target[3] ?? "" }))
    default:
      return route("unknown", notHere)
  }
}

function uploadRoute(call: Call, bucket: string, { uploads, broken }: Rooms): Route {
  const id = call.query.get("upload_id")
  const route = (run: Route["run"], key: string): Route => ({ operation: "storage.objects.insert", key, call, run })
  if (id !== null && call.method === "DELETE") return route(() => uploads.cancel(id), uploads.keyOf(id))
  if (id !== null) return route((seen) => uploads.go(seen, id, broken), uploads.keyOf(id))
  return route(broken ? notHere : (seen) => uploads.begin(seen, bucket), call.query.get("name") ?? "")
}

function bucketRoute(call: Call, bucket: string): Route {
  const route = (name: string, run: Route["run"]): Route => ({ operation: `storage.buckets.${name}`, key: bucket, call, run })
  if (bucket === "") return call.method === "POST" ? route("insert", createBucket) : route("list", listBuckets)
  switch (call.method) {
    case "GET":
      return route("get", (seen) => getBucket(seen, bucket))
    case "PATCH":
      return route("patch", (seen) => patchBucket(seen, bucket))
    case "DELETE":
      return route("delete", (seen) => deleteBucket(seen, bucket))
    default:
      return route("unknown", notHere)
  }
}

function notHere(): Answer {
  throw new Refusal(404, "notFound", "Not Found")
}
