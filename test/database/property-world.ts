import { mkdir } from "node:fs/promises"
import { join } from "node:path"
import { openDatabase } from "../../src/database/open.ts"
import type { DatabaseSettings } from "../../src/database/settings.ts"
import { restoreDatabase } from "../../src/operation/database-restore.ts"
import type { DatabaseRestoreReport } from "../../src/report/database-restore.ts"
import type { RunReport } from "../../src/report/run.ts"
import { databaseSource } from "../../src/source/database.ts"
import type { Source } from "../../src/source/source.ts"
import { tenancySchema } from "../../src/source/tenancy.ts"
import type { Lab } from "../operation/lab.ts"
import { accessOf, targetIn } from "./restore-world.ts"

/** A database on a test server, and as whom it is opened. */
export interface At {
  readonly settings: DatabaseSettings
  readonly environment: Readonly<Record<string, string>>
}

export type Ways = readonly ("accounts" | "whole")[]

/** The source that a job of kind `database` opens. */
export function sourceOf({ settings, environment }: At, tenancy: unknown, ways: Ways = ["accounts", "whole"]): Source {
  const open = ({ scratch, signal }: { readonly scratch: string; readonly signal: AbortSignal }) =>
    openDatabase(settings, { ...accessOf(scratch, environment), signal })
  return databaseSource({ name: settings.name, tenancy: tenancySchema.parse(tenancy), ways, readers: 2 }, open)
}

/** Captures a database into a dataset of that name. */
export async function captured(lab: Lab, dataset: string, source: Source): Promise<RunReport> {
  await mkdir(join(lab.directory, "scratch"), { recursive: true })
  return await lab.run({ name: dataset, dataset, mode: "state" }, source)
}

/** Brings the newest snapshot of a dataset back into an empty database. */
export async function broughtBack(lab: Lab, dataset: string, to: At, way: "whole" | "accounts"): Promise<DatabaseRestoreReport> {
  const target = await targetIn(lab, to.settings, to.environment)
  const request = { dataset, identities: [lab.escrow], allowPartial: true }
  return await restoreDatabase(request, target, { fromAccounts: way === "accounts", jobs: 2 }, lab.world())
}

/** What a restore reports that proved itself equal. */
export const equal = { outcome: "ok", rung: "matched", differences: [], differenceCount: 0 }
