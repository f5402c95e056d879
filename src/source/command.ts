import { anyOf } from "../abort.ts"
import { type Environment, startProgram } from "../program.ts"
import { isCompressible } from "./audio.ts"
import type { CommandSettings } from "./settings.ts"
import type { CaptureOptions, Found, Source } from "./source.ts"

const timeoutMsDefault = 6 * 3_600_000

/**
 * What a program writes to its standard output, as one file. The program starts when the content is opened, and again each time it is.
 * The content ends well only if the program ended with status 0; otherwise it rejects with a JobError. Whether it was empty knows who
 * reads it.
 */
export function commandSource(settings: CommandSettings, environment: Environment): Source {
  return {
    description: `command ${settings.command[0]}`,
    capture: (options) => capture(settings, environment, options),
  }
}

async function* capture(settings: CommandSettings, environment: Environment, options: CaptureOptions): AsyncGenerator<Found> {
  options.signal.throwIfAborted()
  const path = Buffer.from(settings.name)
  const open = (signal: AbortSignal) => output(settings, environment, anyOf(signal, options.signal))
  yield {
    item: {
      stableId: settings.account,
      day: "",
      path,
      type: "file",
      size: null,
      mtimeNs: BigInt(options.now.getTime()) * 1_000_000n,
      mode: 0o600,
      uid: 0,
      gid: 0,
      compressible: isCompressible(path),
      flags: [],
      content: { kind: "stream", open },
    },
  }
}

async function* output(settings: CommandSettings, environment: Environment, signal: AbortSignal): AsyncGenerator<Uint8Array> {
  const program = startProgram(settings.command, { environment, signal, timeoutMs: settings.timeout ?? timeoutMsDefault })
  try {
    yield* program.stdout
    await program.succeeded()
  } catch (error) {
    // A stream that broke off says nothing; how the program ended says why.
    await program.succeeded()
    throw error
  } finally {
    program.end()
  }
}
