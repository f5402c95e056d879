import { defineConfig } from "vitest/config"
import { ClosingLineReporter } from "./test/reporter.ts"

export default defineConfig({
  test: {
    include: ["test/**/*.test.ts"],
    reporters: [new ClosingLineReporter()],
    // A test left on `.only` would make the others vanish from the count.
    allowOnly: false,
    // Generous, because a slow machine is no failure: no test asserts how long something takes.
    testTimeout: 60_000,
    hookTimeout: 60_000,
  },
})
