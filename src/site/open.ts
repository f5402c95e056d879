import { directoryConcurrency, directoryRetry, gcsConcurrency, gcsRetry, s3Concurrency, s3Retry } from "../limits.ts"
import { directorySite } from "./directory.ts"
import { limited } from "./limit.ts"
import { type Bandwidth, openedPaced, type PaceWorld } from "./pace.ts"
import { openedReadOnly } from "./readonly.ts"
import { openedRetrying, persistent, type RetryPolicy, type RetryWorld } from "./retry.ts"
import type { S3SiteOptions } from "./s3-client.ts"
import type { SiteSettings } from "./settings.ts"
import type { CallOptions, OpenedSite } from "./site.ts"

export interface SiteConfig extends CallOptions {
  readonly name: string
  readonly settings: SiteSettings
  /** For a restore or a verification: nothing at the site is written. */
  readonly readOnly: boolean
}

export type SiteWorld = RetryWorld & PaceWorld

/**
 * The configured site with all that makes it bearable: deadlines, retries, a bandwidth, a limit of calls in flight. Only the code of its
 * kind is loaded.
 */
export async function openSite(config: SiteConfig, world: SiteWorld): Promise<OpenedSite> {
  const { name, settings, readOnly } = config
  const bearable = (opened: OpenedSite, policy: RetryPolicy, concurrency: number) =>
    limited(openedPaced(openedRetrying(opened, policy, world), bandwidthOf(settings), world), concurrency)
  switch (settings.kind) {
    case "directory": {
      const attempt = persistent(name, directoryRetry, world)
      const opened = await attempt("open", config, () => directorySite({ name, path: settings.path, readOnly }, world.random))
      return bearable(opened, directoryRetry, directoryConcurrency)
    }
    case "gcs": {
      const { bucket, keys, endpoint, credentials, lock } = settings
      const { gcsSite } = await import("./gcs.ts")
      const opened = await gcsSite({ name, bucket, keys, endpoint, lock, credentialsFile: credentials?.file })
      return bearable(readOnly ? openedReadOnly(opened) : opened, gcsRetry, settings.concurrency ?? gcsConcurrency)
    }
    case "s3": {
      const { s3Site } = await import("./s3.ts")
      const opened = await s3Site(s3OptionsOf(name, settings))
      return bearable(readOnly ? openedReadOnly(opened) : opened, s3Retry, settings.concurrency ?? s3Concurrency)
    }
  }
}

function s3OptionsOf(name: string, settings: Extract<SiteSettings, { kind: "s3" }>): S3SiteOptions {
  const { region, signingRegion, endpoint, pathStyle, checksums, createOnly, bandwidth: _bandwidth, ...same } = settings
  return {
    ...{ ...same, name, endpoint },
    region: signingRegion ?? region,
    pathStyle: pathStyle ?? endpoint !== undefined,
    checksums: checksums ?? "always",
    createOnly: createOnly ?? true,
  }
}

function bandwidthOf({ bandwidth }: SiteSettings): Bandwidth {
  return typeof bandwidth === "number" ? { up: bandwidth, down: bandwidth } : (bandwidth ?? {})
}
