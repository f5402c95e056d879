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
  failed(error: BackupError): void
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
      orFailed(error, failed)
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
        failed: (error) => orFailed(error, failed),
      }),
    )
  const manager = serviceManager({ env: bench.env, pids: [process.pid, process.ppid], tell: failed })
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

function orFailed(error: unknown, failed: WatchedOptions["failed"]): void {
  if (!(error instanceof BackupError)) throw error
  failed(error)
}
