import PQueue from "p-queue"
import { openedAround } from "./around.ts"
import type { OpenedSite } from "./site.ts"

/**
 * The same site and all it can do, with at most `concurrency` calls in flight. A call that is aborted while it waits never starts. A
 * listing takes as long as its reader does, and must not keep others waiting: it is not counted.
 */
export function limited(opened: OpenedSite, concurrency: number): OpenedSite {
  const queue = new PQueue({ concurrency })
  return openedAround(opened, {
    call: async (_what, options, call) => await queue.add(() => call(options?.signal), { signal: options?.signal }),
    list: (_what, options, list) => list(options ?? {}),
  })
}
