import { z } from "zod"

/**
 * The fault matrix: what goes wrong between Holdline and a bucket, and what must come of it. Each cell is a test; calls.test.ts and
 * network.test.ts try `once` and `lasting` on the clients, runs.test.ts tries `runs` on whole backups. There is no resumable upload and
 * no copy at the server among the operations: a pack goes in one request, and from site to site it is a get and a put.
 *
 * Faults, where "+" says that the request was carried out and only its answer was lost:
 *   500, 503 (SlowDown at S3), 429, 409, 412: the status, in the service's own words
 *   reset: the connection is cut      cut: the answer's body ends early      late: no answer before the deadline
 *   denied: the credentials were revoked      quota: no more may be kept      skew: the server's clock is a day ahead
 *   up, down: a bit changes on the way there, or on the way back      stale: a listing lacks what came last
 *   silent: connections are taken and nothing is ever said      closed: connections are taken and dropped
 *   dropped: what opens a connection vanishes      frozen: the server's process is stopped (SIGSTOP) and goes on later
 *
 * Outcomes:
 *   ok: right, after another attempt where it needs one      same: right at once
 *   away, slow, denied, full, conflict, corrupt: fails with site/unavailable, site/throttled, … as it is told in `codeOf`; at once where
 *     another attempt cannot help, after the policy's attempts where it could
 *   clock: fails with site/unavailable and a hint at the clock, then is right      wrong: the damaged bytes, for the caller's hash to find
 *   short: all but what came last      unsaid: that it is not known
 *   -: cannot be, because that answer has no body, that request carries none, or changes nothing
 */
const once = {
  s3: `
    call      request                      nth  500  500+ 503  429  409  412      reset reset+ cut  late late+ denied quota  up  down     stale
    put       PutObject                    1    ok   ok   ok   ok   ok   ok       ok    ok     -    ok   ok    denied full   ok  -        -
    put       HeadObject                   1    ok   -    ok   ok   ok   conflict ok    -      -    ok   -     denied denied -   -        -
    again     PutObject                    1    ok   ok   ok   ok   ok   ok       ok    ok     -    ok   ok    denied full   ok  -        -
    again     HeadObject                   1    ok   -    ok   ok   ok   conflict ok    -      -    ok   -     denied denied -   -        -
    again     GetObject                    1    ok   -    ok   ok   ok   conflict ok    -      ok   ok   -     denied full   -   conflict -
    get       GetObject                    1    ok   -    ok   ok   ok   conflict ok    -      ok   ok   -     denied full   -   corrupt  -
    range     GetObject                    1    ok   -    ok   ok   ok   conflict ok    -      ok   ok   -     denied full   -   wrong    -
    head      HeadObject                   1    ok   -    ok   ok   ok   conflict ok    -      -    ok   -     denied denied -   -        -
    absent    HeadObject                   1    ok   -    ok   ok   ok   conflict ok    -      -    ok   -     denied denied -   -        -
    list      ListObjectsV2                1    ok   -    ok   ok   ok   conflict ok    -      ok   ok   -     denied full   -   -        short
    list      ListObjectsV2                2    away -    slow slow slow conflict away  -      away away -     denied full   -   -        short
    versions  ListObjectVersions           1    ok   -    ok   ok   ok   conflict ok    -      ok   ok   -     denied full   -   -        ok
    versions  ListObjectVersions           2    away -    slow slow slow conflict away  -      away away -     denied full   -   -        short
    older     GetObject                    1    ok   -    ok   ok   ok   conflict ok    -      ok   ok   -     denied full   -   corrupt  -
    remove    DeleteObject                 1    ok   ok   ok   ok   ok   conflict ok    ok     -    ok   ok    denied full   -   -        -
    lock      GetObjectLockConfiguration   1    ok   -    ok   ok   ok   conflict ok    -      ok   ok   -     denied full   -   -        -
    lock      HeadObject                   1    ok   -    ok   ok   ok   conflict ok    -      -    ok   -     denied denied -   -        -
    lock      PutObjectRetention           1    ok   ok   ok   ok   ok   conflict ok    ok     -    ok   ok    denied full   ok  -        -
    lock      HeadObject                   2    ok   -    ok   ok   ok   conflict ok    -      -    ok   -     denied denied -   -        -
    replace   HeadObject                   1    ok   -    ok   ok   ok   conflict ok    -      -    ok   -     denied denied -   -        -
    replace   PutObject                    1    ok   ok   ok   ok   ok   conflict ok    ok     -    ok   ok    denied full   ok  -        -
    replace   HeadObject                   2    ok   -    ok   ok   ok   conflict ok    -      -    ok   -     denied denied -   -        -
    posture   HeadBucket                   1    ok   -    ok   ok   ok   conflict ok    -      -    ok   -     denied denied -   -        -
    posture   GetBucketVersioning          1    ok   -    ok   ok   ok   conflict ok    -      ok   ok   -     unsaid full   -   -        -
    posture   GetBucketVersioning          2    ok   -    ok   ok   ok   conflict ok    -      ok   ok   -     unsaid full   -   -        -
    time      HeadBucket                   1    ok   -    ok   ok   ok   conflict ok    -      -    ok   -     denied denied -   -        -`,
  // Google has no quota of bytes: its quotas are rates, which pass.
  gcs: `
    call      request                      nth  500  500+ 503  429  409  412      reset reset+ cut  late late+ denied quota  up  down     stale
    put       storage.objects.insert       1    ok   ok   ok   ok   ok   ok       ok    ok     ok   ok   ok    denied ok     ok  -        -
    again     storage.objects.insert       1    ok   ok   ok   ok   ok   ok       ok    ok     ok   ok   ok    denied ok     ok  -        -
    again     storage.objects.get          1    ok   -    ok   ok   ok   conflict ok    -      ok   ok   -     denied ok     -   -        -
    again     storage.objects.get          2    ok   -    ok   ok   ok   conflict ok    -      ok   ok   -     denied ok     -   conflict -
    get       storage.objects.get          1    ok   -    ok   ok   ok   conflict ok    -      ok   ok   -     denied ok     -   wrong    -
    range     storage.objects.get          1    ok   -    ok   ok   ok   conflict ok    -      ok   ok   -     denied ok     -   wrong    -
    head      storage.objects.get          1    ok   -    ok   ok   ok   conflict ok    -      ok   ok   -     denied ok     -   -        -
    absent    storage.objects.get          1    ok   -    ok   ok   ok   conflict ok    -      ok   ok   -     denied ok     -   -        -
    list      storage.objects.list         1    ok   -    ok   ok   ok   conflict ok    -      ok   ok   -     denied ok     -   -        short
    list      storage.objects.list         2    away -    away slow away conflict away  -      away away -     denied slow   -   -        short
    versions  storage.objects.list         1    ok   -    ok   ok   ok   conflict ok    -      ok   ok   -     denied ok     -   -        ok
    versions  storage.objects.list         2    ok   -    ok   ok   ok   conflict ok    -      ok   ok   -     denied ok     -   -        short
    older     storage.objects.get          1    ok   -    ok   ok   ok   conflict ok    -      ok   ok   -     denied ok     -   wrong    -
    remove    storage.objects.delete       1    ok   ok   ok   ok   ok   conflict ok    ok     -    ok   ok    denied ok     -   -        -
    lock      storage.objects.get          1    ok   -    ok   ok   ok   conflict ok    -      ok   ok   -     denied ok     -   -        -
    lock      storage.objects.patch        1    ok   ok   ok   ok   ok   ok       ok    ok     ok   ok   ok    denied ok     -   -        -
    replace   storage.objects.get          1    ok   -    ok   ok   ok   conflict ok    -      ok   ok   -     denied ok     -   -        -
    replace   storage.objects.insert       1    ok   ok   ok   ok   ok   conflict ok    ok     ok   ok   ok    denied ok     ok  -        -
    posture   storage.buckets.get          1    ok   -    ok   ok   ok   conflict ok    -      ok   ok   -     unsaid ok     -   -        -
    posture   storage.buckets.get          2    ok   -    ok   ok   ok   conflict ok    -      ok   ok   -     unsaid ok     -   -        -
    time      storage.objects.get          1    ok   -    ok   ok   ok   conflict ok    -      ok   ok   -     denied ok     -   -        -`,
}

/** Every request of the call, from the first on. */
const lasting = {
  s3: `
    call      500  503  429  409  reset cut  late skew  denied quota  silent closed dropped frozen
    put       away slow slow slow away  -    away clock denied full   away   away   away    away
    again     away slow slow slow away  -    away clock denied full   away   away   away    away
    get       away slow slow slow away  away away clock denied full   away   away   away    away
    range     away slow slow slow away  away away clock denied full   away   away   away    away
    head      away slow slow slow away  -    away clock denied denied away   away   away    away
    absent    away slow slow slow away  -    away clock denied denied away   away   away    away
    list      away slow slow slow away  away away clock denied full   away   away   away    away
    versions  away slow slow slow away  away away clock denied full   away   away   away    away
    older     away slow slow slow away  away away clock denied full   away   away   away    away
    remove    away slow slow slow away  -    away clock denied full   away   away   away    away
    lock      away slow slow slow away  away away clock denied full   away   away   away    away
    replace   away slow slow slow away  -    away clock denied denied away   away   away    away
    posture   away slow slow slow away  -    away clock denied denied away   away   away    away
    time      away slow slow slow away  -    away clock denied denied away   away   away    away`,
  gcs: `
    call      500  503  429  409  reset cut  late skew  denied quota  silent closed dropped frozen
    put       away away slow away away  away away same  denied slow   away   away   away    away
    again     away away slow away away  away away same  denied slow   away   away   away    away
    get       away away slow away away  away away same  denied slow   away   away   away    away
    range     away away slow away away  away away same  denied slow   away   away   away    away
    head      away away slow away away  away away same  denied slow   away   away   away    away
    absent    away away slow away away  same away same  denied slow   away   away   away    away
    list      away away slow away away  away away same  denied slow   away   away   away    away
    versions  away away slow away away  away away same  denied slow   away   away   away    away
    older     away away slow away away  away away same  denied slow   away   away   away    away
    remove    away away slow away away  -    away same  denied slow   away   away   away    away
    lock      away away slow away away  away away same  denied slow   away   away   away    away
    replace   away away slow away away  away away same  denied slow   away   away   away    away
    posture   away away slow away away  away away same  unsaid slow   away   away   away    away
    time      away away slow away away  same away same  denied slow   away   away   away    away`,
}

/**
 * A bucket beside two sites that are well: what comes of a run of the agent, of one that has lost its memory (forgetful), and of a
 * restore that asks the bucket first. In `once` the nth request of that name meets the fault, for every nth; in `lasting` it and all
 * after it, of any name but where one is given. Whatever happens, no site lists what it lacks, nothing is gone, every snapshot
 * can be restored, and the next run brings every site everything.
 *   held: the bucket has everything at once      missed: the run is durable without it and says why
 *   any: one of both      right: every file comes home as it was
 */
const runsOnce = {
  s3: `
    during     request               500   500+ 503   429   409   412   reset reset+ cut   late  late+ denied quota up   down  stale
    run        PutObject             held  held held  held  held  held  held  held   -     held  held  any    any   held -     -
    run        HeadObject            held  -    held  held  held  any   held  -      -     held  -     any    any   -    -     -
    run        ListObjectsV2         held  -    held  held  held  any   held  -      held  held  -     any    any   -    -     any
    forgetful  GetObject             held  -    held  held  held  any   held  -      held  held  -     any    any   -    any   -
    forgetful  ListObjectsV2         held  -    held  held  held  any   held  -      held  held  -     any    any   -    -     any
    restore    GetObject             right -    right right right right right -      right right -     right  right -    right -
    restore    ListObjectsV2         right -    right right right right right -      right right -     right  right -    -     right`,
  gcs: `
    during     request               500   500+ 503   429   409   412   reset reset+ cut   late  late+ denied quota up   down  stale
    run        storage.objects.insert held held held  held  held  held  held  held   held  held  held  any    held  held -     -
    run        storage.objects.get   held  -    held  held  held  any   held  -      held  held  -     any    held  -    -     -
    run        storage.objects.list  held  -    held  held  held  any   held  -      held  held  -     any    held  -    -     any
    forgetful  storage.objects.get   held  -    held  held  held  any   held  -      held  held  -     any    held  -    any   -
    forgetful  storage.objects.list  held  -    held  held  held  any   held  -      held  held  -     any    held  -    -     any
    restore    storage.objects.get   right -    right right right right right -      right right -     right  right -    right -
    restore    storage.objects.list  right -    right right right right right -      right right -     right  right -    -     right`,
}

const runsLasting = {
  s3: `
    during     request                500    503    429    reset  late   denied quota  skew
    run        any                    missed missed missed missed missed missed -      held
    run        PutObject              missed missed missed missed missed missed missed -
    restore    any                    right  right  right  right  right  right  -      right
    restore    GetObject              right  right  right  right  right  right  right  -`,
  gcs: `
    during     request                500    503    429    reset  late   denied quota  skew
    run        any                    missed missed missed missed missed missed missed held
    run        storage.objects.insert missed missed missed missed missed missed missed -
    restore    any                    right  right  right  right  right  right  right  right
    restore    storage.objects.get    right  right  right  right  right  right  right  -`,
}

export const clients = ["s3", "gcs"] as const
export type Client = (typeof clients)[number]

const calls = [
  "put",
  "again",
  "get",
  "range",
  "head",
  "absent",
  "list",
  "versions",
  "older",
  "remove",
  "lock",
  "replace",
  "posture",
  "time",
] as const
export type CallName = (typeof calls)[number]

const outcomes = ["ok", "same", "away", "slow", "denied", "full", "conflict", "corrupt", "clock", "wrong", "short", "unsaid"] as const
export type Outcome = (typeof outcomes)[number]

export const codeOf = {
  away: "site/unavailable",
  slow: "site/throttled",
  denied: "site/denied",
  full: "site/full",
  conflict: "site/conflict",
  corrupt: "site/corrupt",
} as const

const journeys = ["run", "forgetful", "restore"] as const
export type Journey = (typeof journeys)[number]
const endings = ["held", "missed", "any", "right"] as const
export type Ending = (typeof endings)[number]

const onNetwork = ["silent", "closed", "dropped", "frozen"] as const
export type NetworkFault = (typeof onNetwork)[number]

interface Row {
  readonly client: Client
  readonly call: CallName
  readonly outcome: Outcome
}

export interface RequestRow extends Row {
  /** The service's name of the request that meets the fault, and the how-manieth of that name; undefined: every request. */
  readonly request: string | undefined
  readonly nth: number | undefined
  readonly fault: string
}

export interface NetworkRow extends Row {
  readonly fault: NetworkFault
}

export interface RunRow {
  readonly client: Client
  readonly during: Journey
  /** Undefined: any. */
  readonly request: string | undefined
  readonly fault: string
  readonly ending: Ending
  /** The fault stays. */
  readonly lasting: boolean
}

const callSchema = z.enum(calls)
const networkSchema = z.enum(onNetwork)

export const onceRows: readonly RequestRow[] = clients.flatMap((client) =>
  linesOf(once[client]).flatMap(({ call, request, nth, ...cells }) =>
    filled(cells, outcomes).map(([fault, outcome]) => ({
      client,
      call: callSchema.parse(call),
      request,
      nth: Number(nth),
      fault,
      outcome,
    })),
  ),
)

const lastingCells = clients.flatMap((client) =>
  linesOf(lasting[client]).flatMap(({ call, ...cells }) =>
    filled(cells, outcomes).map(([fault, outcome]) => ({ client, call: callSchema.parse(call), fault, outcome })),
  ),
)

export const lastingRows: readonly RequestRow[] = lastingCells
  .filter(({ fault }) => !networkSchema.safeParse(fault).success)
  .map((row) => ({ ...row, request: undefined, nth: undefined }))

export const networkRows: readonly NetworkRow[] = lastingCells.flatMap(({ fault, ...row }) => {
  const known = networkSchema.safeParse(fault)
  return known.success ? [{ ...row, fault: known.data }] : []
})

export const runRows: readonly RunRow[] = [runsOnce, runsLasting].flatMap((tables, index) =>
  clients.flatMap((client) =>
    linesOf(tables[client]).flatMap(({ during, request, ...cells }) =>
      filled(cells, endings).map(([fault, ending]) => ({
        ...{ client, during: z.enum(journeys).parse(during), request: request === "any" ? undefined : request },
        ...{ fault, ending, lasting: index === 1 },
      })),
    ),
  ),
)

/** The lines of a table below its head, by the head's words. */
function linesOf(table: string): Record<string, string>[] {
  const [head = [], ...lines] = table
    .trim()
    .split("\n")
    .map((line) => line.trim().split(/ +/))
  return lines.map((cells) => {
    if (cells.length !== head.length) throw new Error(`${cells.join(" ")}: ${String(cells.length)} cells, not ${String(head.length)}`)
    return Object.fromEntries(head.map((name, index) => [name, cells[index] ?? ""]))
  })
}

function filled<Cell extends string>(cells: Readonly<Record<string, string>>, allowed: readonly [Cell, ...Cell[]]): [string, Cell][] {
  return Object.entries(cells).flatMap(([fault, cell]): [string, Cell][] => (cell === "-" ? [] : [[fault, z.enum(allowed).parse(cell)]]))
}
