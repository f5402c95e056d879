import { JobError } from "../../errors.ts"
import { mariadbSettleMs } from "../../limits.ts"
import { letGo } from "./moment.ts"
import type { Session } from "./session.ts"

/**
 * The sessions of a snapshot, each lent to one reader at a time. MariaDB cannot show an old moment to a new connection, so one that is
 * lost is not replaced: the others go on, and where none is left, whoever asks is rejected.
 */
export class Readers {
  readonly #idle: Session[]
  readonly #helper: Session
  readonly #description: string
  #living: number
  #waiting: (() => void)[] = []

  /** `helper` ends the statements of readers that were left in the middle. */
  constructor(sessions: readonly Session[], helper: Session, description: string) {
    this.#idle = [...sessions]
    this.#living = sessions.length
    this.#helper = helper
    this.#description = description
  }

  /** Waits for a session that is idle. Rejects with a JobError where none is left, or with the signal's reason. */
  async lend(signal: AbortSignal): Promise<Session> {
    while (true) {
      signal.throwIfAborted()
      const session = this.#idle.pop()
      if (session !== undefined && !session.lost) return session
      if (session !== undefined) this.#living -= 1
      if (this.#living === 0) throw new JobError("job/source", `${this.#description}: every connection of the snapshot was lost`)
      if (session === undefined) await this.#turn(signal)
    }
  }

  /** Takes a session back, whatever state it is in. */
  async giveBack(session: Session): Promise<void> {
    await session.settle(this.#helper, mariadbSettleMs)
    if (!session.lost) await session.query(letGo).catch(() => session.destroy())
    if (session.lost) this.#living -= 1
    else this.#idle.push(session)
    const waiting = this.#waiting
    this.#waiting = []
    for (const wake of waiting) wake()
  }

  async #turn(signal: AbortSignal): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>()
    this.#waiting.push(resolve)
    const abort = (): void => resolve()
    signal.addEventListener("abort", abort, { once: true })
    await promise
    signal.removeEventListener("abort", abort)
  }
}
