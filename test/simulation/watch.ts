import { type Commit, decodeCommit, isControl, isKeyRecord, packNameOf } from "../../src/format/commit.ts"
import { fitsName, packKey, parseCommitKey } from "../../src/format/names.ts"
import type { RunReport } from "../../src/report/run.ts"
import type { MemoryObjects } from "../../src/site/memory.ts"
import type { SiteName } from "./plan.ts"

interface Register {
  readonly seq: number
  readonly objects: readonly string[]
}

/** Watches what the sites keep, and notes what must never be. */
export class Watch {
  readonly problems: string[] = []
  readonly #objects: ReadonlyMap<SiteName, MemoryObjects>
  readonly #publicKey: string
  readonly #commits = new Map<string, Commit>()
  /** Key objects registered, and where. */
  readonly #registers: Register[] = []

  constructor(objects: ReadonlyMap<SiteName, MemoryObjects>, publicKey: string) {
    this.#objects = objects
    this.#publicKey = publicKey
  }

  /** A site took an object: where it is a commit, all that it needs must be there at this moment. */
  placed(site: SiteName, key: string): void {
    if (parseCommitKey(key) === null) return
    this.problems.push(...this.#breaches(site, key).map((breach) => `when it was placed: ${breach}`))
  }

  /** What a run says is durable is: at two sites, with all it needs; and a site that holds it, as the run says, does. */
  reported({ commits, sites }: RunReport): void {
    for (const { seq, sha256, held, durable } of commits) {
      const key = this.#keyOf(sha256)
      const at = [...this.#objects].filter(([, objects]) => key !== null && objects.has(key)).map(([site]) => site)
      const whole = at.filter((site) => key !== null && this.#breaches(site, key).length === 0)
      for (const site of held)
        if (!at.some((name) => name === site)) this.problems.push(`${site}: commit ${String(seq)} is not there, as was said`)
      if (durable && whole.length < 2) this.problems.push(`commit ${String(seq)} is not durable, as was said: whole at ${whole.join(", ")}`)
    }
    for (const { name, held } of sites) {
      const really = commits.every(({ held: at }) => at.includes(name))
      if (held && !really) this.problems.push(`${name}: said to hold what it does not`)
    }
  }

  /** Every site has every commit and all that it needs, byte for byte. What no commit needs may lie about as it is. */
  converged(): void {
    const all = new Set([...this.#objects].flatMap(([, objects]) => [...objects.keys()].filter((key) => parseCommitKey(key) !== null)))
    for (const [site, objects] of this.#objects) {
      const rotten = new Set([...objects].filter(([key, { bytes }]) => !fitsName(key, bytes)).map(([key]) => key))
      for (const key of all) {
        if (!objects.has(key)) this.problems.push(`${site}: ${key} never came there`)
        else if (rotten.has(key)) this.problems.push(`${site}: ${key} has other bytes`)
        else this.problems.push(...this.#breaches(site, key, rotten))
      }
    }
  }

  get commits(): number {
    return this.#commits.size
  }

  #breaches(site: SiteName, key: string, rotten: ReadonlySet<string> = new Set()): string[] {
    const commit = this.#read(site, key)
    if (commit === null) return [`${site}: ${key} cannot be read`]
    const objects = this.#objectsAt(site)
    const packs = commit.body.packs.map((pack) => packNameOf(commit.body.agent, pack))
    const breaches: string[] = []
    for (const pack of packs) {
      const there = objects.get(packKey(pack))
      if (there === undefined) breaches.push(`lacks ${packKey(pack)}`)
      else if (there.bytes.length !== pack.bytes) breaches.push(`has ${packKey(pack)} cut short`)
      else if (rotten.has(packKey(pack))) breaches.push(`has ${packKey(pack)} with other bytes`)
    }
    for (const { seq, objects: keys } of this.#registers) {
      if (seq > commit.body.seq) continue
      for (const name of keys) if (!objects.has(name) || rotten.has(name)) breaches.push(`lacks ${name}, or has other bytes`)
    }
    return breaches.map((breach) => `${site}: commit ${String(commit.body.seq)} ${breach}`)
  }

  // A commit's bytes are the same at every site, so that it is read once; one that rotted is no commit.
  #read(site: SiteName, key: string): Commit | null {
    const bytes = this.#objectsAt(site).get(key)?.bytes
    const known = this.#commits.get(key)
    if (known !== undefined) return bytes === undefined ? null : known
    if (bytes === undefined || !fitsName(key, bytes)) return null
    const commit = decodeCommit(bytes, () => [this.#publicKey])
    this.#commits.set(key, commit)
    const objects = isControl(commit) ? commit.body.records.filter(isKeyRecord).map(({ object }) => object) : []
    if (objects.length > 0) this.#registers.push({ seq: commit.body.seq, objects })
    return commit
  }

  /** Whether any site took this commit. */
  has(sha256: string): boolean {
    return this.#keyOf(sha256) !== null
  }

  #keyOf(sha256: string): string | null {
    for (const [key, commit] of this.#commits) if (commit.sha256 === sha256) return key
    return null
  }

  #objectsAt(site: SiteName): MemoryObjects {
    const objects = this.#objects.get(site)
    if (objects === undefined) throw new Error(`no site ${site}`)
    return objects
  }
}
