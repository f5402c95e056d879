import { mkdtempSync, rmSync } from "node:fs"
import { availableParallelism, tmpdir } from "node:os"
import { join } from "node:path"
import { expect, test } from "vitest"
import { peaksOfMany } from "./memory.ts"

// Far above what it takes, far below what it takes where something is kept for every file or buffer there ever was. Each worker
// thread, one a core, has its own buffers.
const bytesMax = 400e6 + 80e6 * Math.max(0, availableParallelism() - 2)

test("the memory of backing up, finding unchanged and restoring 20,000 files is bounded", async ({ skip }) => {
  if (process.platform !== "linux") skip("only Linux says how much memory a process takes")
  const root = mkdtempSync(join(tmpdir(), "memory-"))
  try {
    const peaks = await peaksOfMany(root, 20_000)
    for (const { what, bytes } of peaks) expect(bytes, what).toBeLessThan(bytesMax)
  } finally {
    rmSync(root, { recursive: true, force: true })
  }
})
