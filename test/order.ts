import { BaseSequencer, type TestSpecification } from "vitest/node"

/** The files that take longest, the longest first. */
const longest = [
  "test/fault/crash",
  "test/database/killed",
  "test/fault/calls",
  "test/fault/runs",
  "test/database/property",
  "test/database/property-limits",
  "test/operation/repair",
  "test/operation/honesty",
  "test/fault/outages",
  "test/fault/partial",
  "test/database/mariadb",
  "test/operation/database-account",
  "test/database/postgres-snapshot",
  "test/cli/process",
  "test/fault/kill",
  "test/simulation/month",
]

/** Long files begin first, so that no worker is left with one at the end while the others have nothing to do; then by size. */
export class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const bySize = await super.sort(files)
    return bySize.toSorted((one, other) => rankOf(one) - rankOf(other))
  }
}

function rankOf({ moduleId }: TestSpecification): number {
  const rank = longest.findIndex((file) => moduleId.endsWith(`${file}.test.ts`))
  return rank === -1 ? longest.length : rank
}
