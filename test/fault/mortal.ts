import type { Catalog } from "../../src/catalog/catalog.ts"
import type { AgentWorld } from "../../src/operation/world.ts"
import type { OpenedSite } from "../../src/site/site.ts"
import type { WorkerPool } from "../../src/stream/pool.ts"
import type { Vault, VaultSite } from "../../src/vault/vault.ts"

/** The process is gone. No BackupError, so that nothing may take it for the failure of a site. */
class CrashError extends Error {}

/** Where a process dies: at its call of that number, from 1, before the call did anything or after it did everything. */
export interface CrashPoint {
  readonly call: number
  readonly applied: boolean
}

/** Which calls are counted, by what they are: "put v1/…", "get …", "head …", "list …", "transaction", "statement", "pack", "extract". */
export type Counted = (what: string) => boolean

/** Those after which the world is another; the others leave it as it was. */
export const writes: Counted = (what) => !/^(?:get|head|list) /.test(what)
export const everything: Counted = () => true

/**
 * Everything a run touches, in the hands of a process that dies at one call: from then on none of its calls does anything, and none
 * of its waiting ever ends. Calls to sites, transactions and statements of the catalog, and tasks of the workers are counted together.
 */
export class Mortal {
  readonly #point: CrashPoint
  readonly #counted: Counted
  readonly #death = Promise.withResolvers<never>()
  #calls = 0
  #isDead = false
  #inTransaction = false
  /** What it died at, such as "put v1/…". */
  diedAt: string | null = null

  constructor(point: CrashPoint, counted: Counted) {
    this.#point = point
    this.#counted = counted
    this.#death.promise.catch(() => undefined)
  }

  /** Whether the planned call came at all. */
  get met(): boolean {
    return this.#isDead
  }

  /** The work's result, or null where the process died over it. */
  async outlive<T>(work: Promise<T>): Promise<T | null> {
    work.catch(() => undefined)
    try {
      return await Promise.race([work, this.#death.promise])
    } catch (error) {
      if (this.#isDead) return null
      throw error
    }
  }

  world(world: AgentWorld): AgentWorld {
    const mortal = (vault: Vault): Vault => ({ ...vault, sites: vault.sites.map((site) => this.#site(site)) })
    return {
      ...world,
      vault: mortal(world.vault),
      everywhere: mortal(world.everywhere),
      catalog: this.#catalog(world.catalog),
      pool: this.#pool(world.pool),
    }
  }

  #site(site: VaultSite): VaultSite {
    const { opened } = site
    const inner = opened.site
    const mortal = this
    const replacing: OpenedSite = {
      ...opened,
      site: {
        name: inner.name,
        put: (key, bytes, options) => this.#call(`put ${key}`, () => inner.put(key, bytes, options)),
        get: (key, options) => this.#call(`get ${key}`, () => inner.get(key, options)),
        head: (key, options) => this.#call(`head ${key}`, () => inner.head(key, options)),
        async *list(prefix, options) {
          await mortal.#call(`list ${prefix}`, async () => undefined)
          for await (const info of inner.list(prefix, options)) yield await mortal.#alive(info)
        },
      },
      serverTime: (options) => this.#alive(opened.serverTime(options)),
    }
    return { ...site, opened: replacing }
  }

  #catalog(catalog: Catalog): Catalog {
    return withMethods(catalog, (name, call) => {
      if (name === "transaction") {
        return this.#atOnce("transaction", () => {
          this.#inTransaction = true
          try {
            return call()
          } finally {
            this.#inTransaction = false
          }
        })
      }
      if (this.#isDead) throw new CrashError(`dead before ${name}`)
      return name === "run" && !this.#inTransaction ? this.#atOnce("statement", call) : call()
    })
  }

  // A worker of a dead process works for nobody: its answer is not heard, and nothing it does is seen outside.
  #pool(pool: WorkerPool): WorkerPool {
    return withMethods(pool, (name, call) => {
      if (name === "abandon") return this.#alive(call())
      return this.#call(name, async () => await call())
    })
  }

  async #call<T>(what: string, perform: () => Promise<T>): Promise<T> {
    if (this.#isDead) return await forever()
    const last = this.#count(what)
    if (last && !this.#point.applied) this.#die(what)
    if (this.#isDead) return await forever()
    const result = await perform()
    if (last) this.#die(what)
    return await this.#alive(result)
  }

  #atOnce<T>(what: string, perform: () => T): T {
    if (this.#isDead) throw new CrashError(`dead before a ${what}`)
    const last = this.#count(what)
    if (last && !this.#point.applied) this.#die(what)
    if (this.#isDead) throw new CrashError(`died before a ${what}`)
    const result = perform()
    if (last) this.#die(what)
    if (last) throw new CrashError(`died after a ${what}`)
    return result
  }

  async #alive<T>(result: T | Promise<T>): Promise<T> {
    const answer = await result
    return this.#isDead ? await forever() : answer
  }

  #count(what: string): boolean {
    if (!this.#counted(what)) return false
    this.#calls += 1
    return this.#calls === this.#point.call
  }

  #die(what: string): void {
    this.#isDead = true
    this.diedAt = `${this.#point.applied ? "after" : "before"} call ${String(this.#point.call)}: ${what}`
    this.#death.reject(new CrashError(this.diedAt))
  }
}

async function forever(): Promise<never> {
  return await new Promise<never>(() => undefined)
}

/** The same object, with every call of its methods going through `around`. */
function withMethods<T extends object>(target: T, around: (name: string, call: () => unknown) => unknown): T {
  return new Proxy(target, {
    get(object, property) {
      const value: unknown = Reflect.get(object, property, object)
      if (typeof value !== "function") return value
      return (...given: unknown[]) => around(String(property), () => Reflect.apply(value, object, given))
    },
  })
}
