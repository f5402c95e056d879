import { expect } from "vitest"
import { systemClock } from "../../src/clock.ts"
import type { RunReport } from "../../src/report/run.ts"
import { WorkerPool } from "../../src/stream/pool.ts"
import { type Lab, openLab } from "../operation/lab.ts"
import type { S3StandIn } from "../server/s3/connect.ts"
import type { StandIn } from "../server/server.ts"
import { type ServiceOptions, startS3, startService } from "./clients.ts"
import { breachesAt, commitsAt, restoredFrom, type Tree, unlike } from "./closure.ts"
import { type Client, clients } from "./matrix.ts"
import type { Scene } from "./scene.ts"
import { siteNames, Trio } from "./trio.ts"

export interface Services {
  readonly s3: S3StandIn
  readonly gcs: StandIn
}

/** An agent that has run once, with what it has left at its sites. Its source has changed since: what comes next begins here. */
export class Beginning implements AsyncDisposable {
  readonly lab: Lab
  readonly services: Services
  readonly base: Trio
  /** What the sites hold. */
  readonly kept: Scene
  /** How the source has looked: when it was captured, and now. */
  readonly versions: readonly [Tree, Tree]
  readonly #pool: WorkerPool

  private constructor(lab: Lab, pool: WorkerPool, services: Services, told: Pick<Beginning, "base" | "kept" | "versions">) {
    this.lab = lab
    this.#pool = pool
    this.services = services
    this.base = told.base
    this.kept = told.kept
    this.versions = told.versions
  }

  static async make(): Promise<Beginning> {
    const pool = new WorkerPool(2)
    const lab = await openLab({ pool, now: systemClock.now(), bufferBytes: 1024 * 1024 })
    const services = { s3: await startS3({}), gcs: await startService("gcs") }
    const base = new Trio(lab, endpointsOf(services))
    expect(await base.run()).toMatchObject({ outcome: "ok" })
    const kept = await base.look()
    const before = base.tree
    base.write("acme/2031/03/03/four.wav", "four".repeat(1500))
    base.write("initech/2031/03/03/five.json", '{"call":5}')
    return new Beginning(lab, pool, services, { base, kept, versions: [before, base.tree] })
  }

  /** The same again, with sites of its own. */
  async again(options: ServiceOptions = {}): Promise<Continuation> {
    const { s3, gcs } = this.services
    const services = {
      s3: await startS3({ ...options, copyOf: s3.directory }),
      gcs: await startService("gcs", { ...options, copyOf: gcs.directory }),
    }
    const dispose = async () => {
      for (const client of clients) await services[client].stop()
    }
    return { services, trio: this.at(endpointsOf(services)), [Symbol.asyncDispose]: dispose }
  }

  /** The same agent again, with sites that hold what these did. */
  at(endpoints: Readonly<Record<Client, string>>): Trio {
    return new Trio(this.lab, endpoints, this.base)
  }

  /** S1 at every site, S2, S3 and S4, and S11 for every snapshot, from each site alone. */
  async expectSafe(trio: Trio, report: RunReport, where: string): Promise<void> {
    const scene = await trio.look()
    for (const site of unlike(scene, siteNames)) expect(await breachesAt(scene, site, this.versions), where).toEqual([])
    for (const site of siteNames) {
      const commits = new Set<string>(commitsAt(scene, site).map(({ sha256 }) => sha256))
      const promised = report.commits.filter(({ held }) => held.includes(site))
      expect(
        promised.filter(({ sha256 }) => !commits.has(sha256)),
        `${where}: said to be at ${site}`,
      ).toEqual([])
      const there = scene.objectsAt(site)
      for (const [key, { sha256 }] of this.kept.objectsAt(site)) expect(there.get(key)?.sha256, `${where}: ${site}: ${key}`).toBe(sha256)
    }
  }

  /** S14: with nothing in its way, the next run brings every site the same, and all of it. */
  async expectConverged(trio: Trio, where: string): Promise<void> {
    const next = await trio.run()
    expect(next, where).toMatchObject({ outcome: "ok", sites: siteNames.map((name) => ({ name, held: true })) })
    const scene = await trio.look()
    const [first, ...others] = siteNames
    const keys = [...scene.objectsAt(first).keys()].sort()
    for (const site of others) expect([...scene.objectsAt(site).keys()].sort(), where).toEqual(keys)
    const { files, failures } = await restoredFrom(scene, first, { dataset: "call-recordings" })
    expect({ files, failures }, where).toEqual({ files: this.versions[1], failures: [] })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const client of clients) await this.services[client].stop()
    await this.lab[Symbol.asyncDispose]()
    await this.#pool[Symbol.asyncDispose]()
  }
}

export interface Continuation extends AsyncDisposable {
  readonly services: Services
  readonly trio: Trio
}

function endpointsOf({ s3, gcs }: Services): Readonly<Record<Client, string>> {
  return { s3: s3.endpoint, gcs: gcs.endpoint }
}
