import { existsSync } from "node:fs"
import { tmpdir } from "node:os"
import { parseArgs } from "node:util"
import { simulate } from "./month.ts"

const usage = `npm run simulate -- [--seed N] [--days N] [--accounts N]

Hourly runs against three sites with outages, from a seed; fails at the first thing that is not as it must be.
  --seed       any text; the same one makes the same month (default: 1)
  --days       at least two (default: 30)
  --accounts   customers (default: 500)`

const { values } = parseArgs({
  options: {
    seed: { type: "string", default: "1" },
    days: { type: "string", default: "30" },
    accounts: { type: "string", default: "500" },
    help: { type: "boolean", default: false },
  },
})
if (values.help) console.log(usage)
else {
  const started = performance.now()
  const parent = existsSync("/dev/shm") ? "/dev/shm" : tmpdir()
  const { seed, days, runs, commits, files, faults } = await simulate({
    seed: values.seed,
    days: Number(values.days),
    accounts: Number(values.accounts),
    parent,
  })
  console.log(`seed ${seed}, ${String(days)} days, ${String(commits)} commits, ${String(files)} files`)
  console.log(
    `runs: ${Object.entries(runs)
      .map(([outcome, count]) => `${String(count)} ${outcome}`)
      .join(", ")}`,
  )
  for (const { kind, planned, met } of faults) console.log(`${kind}: ${String(met)} of ${String(planned)} met`)
  console.log(`${((performance.now() - started) / 1000).toFixed(1)} s`)
}
