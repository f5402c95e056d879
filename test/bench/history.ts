import { mkdirSync, mkdtempSync, realpathSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { parseArgs } from "node:util"
import { sha256 } from "../../src/digest.ts"
import { restore } from "../../src/operation/restore.ts"
import { systemRandom } from "../../src/random.ts"
import { directorySite } from "../../src/site/directory.ts"
import type { OpenedSite } from "../../src/site/site.ts"
import type { Source } from "../../src/source/source.ts"
import { type Lab, labClock, openLab } from "../operation/lab.ts"
import { Dice } from "../world/dice.ts"

const usage = `node test/bench/history.ts [--accounts N] [--days N] [--directory DIR]

What one customer's call detail records cost to bring back, of many (default 200) and after long (default 90 days of hourly runs): bytes
fetched, requests and seconds, with the memory of the host that made them. Ends with 1 where a bar is missed.`

const hour = 3_600_000
const mebibyte = 1024 ** 2
/** Rows of a customer of 20 users on a weekday, and how they spread over its hours, in percent. */
const rowsADay = 260
const hours = [
  0.19, 0.09, 0.09, 0.09, 0.19, 0.56, 1.3, 2.96, 7.22, 10.37, 11.11, 10.46, 7.96, 9.54, 10.56, 9.81, 7.78, 3.89, 2.04, 1.39, 0.93, 0.74,
  0.46, 0.28,
] as const

/** What one hour adds for every account that had calls in it. */
function hourOfCalls(accounts: number, next: () => number): Source {
  return {
    description: "call detail records",
    async *capture({ now }) {
      const time = now.toISOString()
      for (let account = 0; account < accounts; account++) {
        const expected = (rowsADay * (hours[now.getUTCHours()] ?? 0)) / 100
        const rows = Math.floor(expected + next())
        if (rows === 0) continue
        const bytes = Buffer.from(Array.from({ length: rows }, () => row(time, account, next)).join(""))
        const stableId = `customer-${String(account)}`
        const path = Buffer.from(`accounts/${stableId}/public.v_xml_cdr/${time.slice(0, 10)}/${time.slice(0, 13)}.tsv`)
        const item = { stableId, day: time.slice(0, 10), path, type: "file" as const, size: bytes.length, mtimeNs: 0n, mode: 0o600 }
        yield { item: { ...item, uid: 0, gid: 0, compressible: true, flags: [], content: { kind: "bytes", bytes, sha256: sha256(bytes) } } }
      }
    },
  }
}

/** About 700 bytes, most of them the same in every row, as the platform's own are. */
function row(time: string, account: number, next: () => number): string {
  const hex = (digits: number) => Array.from({ length: digits }, () => Math.floor(next() * 16).toString(16)).join("")
  const number = () => `+4930${String(Math.floor(next() * 1e7)).padStart(7, "0")}`
  const uuid = () => `${hex(8)}-${hex(4)}-4${hex(3)}-8${hex(3)}-${hex(12)}`
  const seconds = Math.floor(next() * 600)
  const fixed = `\\N\tcustomer-${String(account)}.example\tinbound\tpublic\tNORMAL_CLEARING\tPCMU\tPCMU\tsip:external\tt\tf\t\\N\t`.repeat(
    4,
  )
  return `${uuid()}\t${uuid()}\t${time}\t${number()}\t${number()}\t${String(seconds)}\t${String(seconds)}\t${fixed}${uuid()}.mp3\n`
}

interface Reads {
  bytes: number
  requests: number
}

function counted(opened: OpenedSite, reads: Reads): OpenedSite {
  const { site } = opened
  const counting = {
    name: site.name,
    put: site.put.bind(site),
    head: site.head.bind(site),
    list: site.list.bind(site),
    get: async (...given: Parameters<typeof site.get>) => {
      const got = await site.get(...given)
      reads.bytes += got.length
      reads.requests += 1
      return got
    },
  }
  return { ...opened, site: counting }
}

async function makeHistory(lab: Lab, { accounts, days }: { readonly accounts: number; readonly days: number }): Promise<void> {
  const dice = new Dice("history")
  const source = hourOfCalls(accounts, () => dice.next())
  const sites = lab.world().vault.sites
  for (let run = 0; run < days * 24; run++) {
    const report = await lab.run({ name: "cdrs", dataset: "cdrs", guard: { shrink: 0.9 } }, source, {
      sites,
      durable: { copies: 1, providers: 1 },
    })
    if (report.outcome !== "ok") throw new Error(`run ${String(run)}: ${report.outcome}: ${report.failure?.message ?? ""}`)
    lab.clock.advance(hour)
    lab.events.length = 0
  }
}

async function main(options: { readonly accounts: number; readonly days: number; readonly directory: string }): Promise<boolean> {
  const root = mkdtempSync(join(realpathSync(options.directory), "bench-history-"))
  try {
    const reads = { bytes: 0, requests: 0 }
    mkdirSync(join(root, "site"))
    const clock = labClock(new Date("2026-03-02T00:30:00Z"))
    const opened = await directorySite({ name: "site", path: join(root, "site"), readOnly: false }, systemRandom)
    await using lab = await openLab({ kind: "pq", now: clock.now(), parent: root, sites: { site: counted(opened, reads) } })
    const made = performance.now()
    await makeHistory(lab, options)
    console.log(`${String(options.days * 24)} runs of ${String(options.accounts)} accounts in ${seconds(made)} s`)
    return await bringOneBack(lab, root, reads)
  } finally {
    rmSync(root, { recursive: true, force: true })
  }
}

async function bringOneBack(lab: Lab, root: string, reads: Reads): Promise<boolean> {
  Object.assign(reads, { bytes: 0, requests: 0 })
  const began = performance.now()
  const request = { dataset: "cdrs", accounts: ["customer-7"], identities: [lab.operations] }
  const report = await restore(request, { path: join(root, "one"), owners: false }, lab.world({ durable: { copies: 1, providers: 1 } }))
  const took = Number(seconds(began))
  const { files, bytes } = report.restored
  const bar = 1.2 * bytes + mebibyte + 4096 * files
  const figures = `${(reads.bytes / mebibyte).toFixed(2)} MiB in ${String(reads.requests)} requests`
  console.log(
    `one account: ${report.outcome}, ${String(files)} segments of ${(bytes / mebibyte).toFixed(2)} MiB; fetched ${figures} in ${String(took)} s`,
  )
  const held = [
    [`bytes fetched ${(reads.bytes / bar).toFixed(2)} of what is allowed (1.2 × size + 1 MiB + 4 KiB a segment)`, reads.bytes <= bar],
    [`seconds ${String(took)}, at most 30`, took < 30],
    [`outcome ${report.outcome}`, report.outcome === "ok"],
  ] as const
  for (const [what, good] of held) console.log(`${what}: ${good ? "held" : "MISSED"}`)
  return held.every(([, good]) => good)
}

function seconds(since: number): string {
  return ((performance.now() - since) / 1000).toFixed(1)
}

const { values } = parseArgs({
  options: {
    help: { type: "boolean" },
    accounts: { type: "string", default: "200" },
    days: { type: "string", default: "90" },
    directory: { type: "string", default: tmpdir() },
  },
})
if (values.help === true) console.log(usage)
else if (!(await main({ accounts: Number(values.accounts), days: Number(values.days), directory: values.directory }))) process.exitCode = 1
