import { availableParallelism } from "node:os"
import { defineConfig } from "vitest/config"
import { LongestFirst } from "./test/order.ts"
import { ClosingLineReporter } from "./test/reporter.ts"

export default defineConfig({
  test: {
    include: ["test/**/*.test.ts"],
    globalSetup: ["test/scratch.ts"],
    reporters: [new ClosingLineReporter()],
    sequence: { sequencer: LongestFirst },
    // Vitest would leave a processor to whoever watches; and where one file waits for a deadline or a server, another can go on.
    maxWorkers: availableParallelism() + 1,
    // A process runs file after file: what tests change of it, they put back.
    isolate: false,
    // A test left on `.only` would make the others vanish from the count.
    allowOnly: false,
    // Generous, because a slow machine is no failure: no test asserts how long something takes.
    testTimeout: 60_000,
    hookTimeout: 60_000,
    expect: { poll: { timeout: 30_000 } },
  },
})
