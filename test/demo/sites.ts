import { copyFileSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { parse, stringify } from "yaml"
import { z } from "zod"
import { credentialsFile } from "../server/s3/connect.ts"
import { buckets, type Cloud } from "./cloud.ts"
import { filesOf } from "./compare.ts"
import type { Stage } from "./stage.ts"

/** Every site of the story, with who runs it. `vie` comes when `gcs-bru` is lost. */
export const providers = { fra: "own", "s3-dub": "aws", "gcs-bru": "google", vie: "danube-colo" } as const
export type SiteName = keyof typeof providers
export const siteNames = ["fra", "s3-dub", "gcs-bru", "vie"] as const satisfies readonly SiteName[]
export const firstSites = ["fra", "s3-dub", "gcs-bru"] as const satisfies readonly SiteName[]
export const lastSites = ["fra", "s3-dub", "vie"] as const satisfies readonly SiteName[]

export interface Clouds {
  readonly s3: Cloud
  readonly gcs: Cloud
}

/** Where the operator keeps the configuration; it holds no secret. */
export function writeConfig(stage: Stage, root: string, sites: readonly SiteName[], clouds: Clouds): void {
  const config = {
    version: 1,
    agent: "pbx-1",
    state: "state",
    trust: { file: "trust.json", root },
    signingKey: { file: "agent.key" },
    spool: { max: "1 GiB" },
    durable: { copies: 2, providers: 2 },
    classes: {
      "recordings-90": { days: 90 },
      "cdrs-400": { days: 400 },
      "state-35": { days: 35, reuseDays: 7 },
      "mixed-28": { days: 28, keyEpoch: "week" },
    },
    sites: Object.fromEntries(sites.map((name) => [name, { ...placeOf(stage, name, clouds), provider: providers[name] }])),
  }
  mkdirSync(stage.path("host/config"), { recursive: true })
  writeFileSync(stage.path("host/config/holdline.yaml"), stringify(config))
}

function placeOf(stage: Stage, name: SiteName, { s3, gcs }: Clouds): object {
  const cloud = { bucket: buckets.packs, keys: buckets.keys, lock: "governance" }
  switch (name) {
    case "s3-dub":
      return {
        ...{ kind: "s3", ...cloud, region: "eu-west-1", zone: "dub", signingRegion: "us-east-1", endpoint: s3.endpoint },
        credentials: { file: credentialsFile },
      }
    case "gcs-bru":
      return { kind: "gcs", ...cloud, region: "europe-west1", zone: "bru", endpoint: gcs.endpoint }
    case "fra":
    case "vie":
      return { kind: "directory", path: stage.path("sites", name), region: name, zone: `${name}-1`, sameDevice: "accepted" }
  }
}

const jobSchema = z.looseObject({ sites: z.array(z.string()) })

/** Says in every job where it keeps its snapshots from now on. */
export function moveJobs(directory: string, sites: readonly SiteName[]): void {
  for (const name of readdirSync(directory)) {
    const path = join(directory, name)
    const job = jobSchema.parse(parse(readFileSync(path, "utf8")))
    writeFileSync(path, stringify({ ...job, sites }))
  }
}

/** Signs what the configuration says now, on the operator's machine, and takes the new list to the host. */
export async function signConfig(stage: Stage, options: readonly string[] = []): Promise<void> {
  await stage.ask(".", ["--config", "host/config/holdline.yaml", "key", "trust", ...options, "--root", "safe/root.key", "--yes"])
  copyFileSync(stage.path("safe/trust.json"), stage.path("host/trust.json"))
}

/** Keys of what a directory site keeps. */
export function keysIn(directory: string): string[] {
  return filesOf(directory).filter((path) => path.startsWith("v1/"))
}
