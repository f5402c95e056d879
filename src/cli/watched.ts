import type { Catalog } from "../catalog/catalog.ts"
import { BackupError } from "../errors.ts"
import { serviceManager } from "../notify-socket.ts"
import { metricsOf, metricsText } from "../report/metrics.ts"
import type { Loaded } from "../wiring/config.ts"
import { serveHealth } from "../wiring/health.ts"
import { hostStanding } from "../wiring/metrics.ts"
import type { Bench } from "./bench.ts"
import { version } from "./version.ts"

/** A daemon as others watch it, until it is disposed of: its service manager, and whoever asks at `listen`. */
export interface Watched extends AsyncDisposable {
  /** The same work, during which the service manager knows that the configuration is read again. */
  reloading(work: () => Promise<void>): Promise<void>
}

export interface WatchedOptions {
  readonly bench: Bench
  readonly catalog: Catalog
  /** What is in force now; `listen` counts as it was at the start. */
  loaded(): Loaded
  /** Aborted once nothing begins any more. */
  readonly signal: AbortSignal
  /** The service manager could not be told something, or metrics could not be taken; the daemon goes on. */
  failed(failure: { readonly code: string; readonly message: string }): void
}

/**
 * Answers at `listen`, says that the start is over, and from then on that the process lives. A JobError where the address cannot be used,
 * or where the service manager cannot be told: it would end what does not say that it started.
 */
export async function watched({ bench, catalog, loaded, signal, failed }: WatchedOptions): Promise<Watched> {
  await using stack = new AsyncDisposableStack()
  const attempt = async (say: Promise<void>): Promise<void> => {
    try {
      await say
    } catch (error) {
      failed(failureOf(error))
    }
  }
  const { listen } = loaded().config
  if (listen !== undefined)
    stack.use(
      await serveHealth({
        ...{ listen, clock: bench.clock },
        whyNotReady: () => (signal.aborted ? "it is being ended" : null),
        async metrics() {
          return metricsText(
            metricsOf(await hostStanding(loaded(), catalog, { version: version(), clock: bench.clock, random: bench.random })),
          )
        },
        failed: (error) => failed(failureOf(error)),
      }),
    )
  const manager = serviceManager({ env: bench.env, pids: [process.pid, process.ppid], tell: (error) => failed(failureOf(error)) })
  await manager.ready()
  stack.use(manager.watch())
  const stopping = (): void => void attempt(manager.stopping())
  signal.addEventListener("abort", stopping, { once: true })
  stack.defer(() => signal.removeEventListener("abort", stopping))
  const held = stack.move()
  return {
    async reloading(work) {
      await attempt(manager.reloading())
      await work()
      await attempt(manager.ready())
    },
    [Symbol.asyncDispose]: () => held.disposeAsync(),
  }
}

// Not even a bug in what is measured may end the daemon that is; its stack goes to the log.
function failureOf(error: unknown): Parameters<WatchedOptions["failed"]>[0] {
  if (error instanceof BackupError) return { code: error.code, message: error.message }
  return { code: "bug", message: error instanceof Error ? (error.stack ?? error.message) : String(error) }
}
