import { ConfigError, SiteError } from "../errors.ts"
import { type RetiredSites, retirementText } from "../operation/approvals.ts"
import { absentSite } from "../site/absent.ts"
import { deviceOf } from "../site/mount.ts"
import { openSite } from "../site/open.ts"
import type { OpenedSite } from "../site/site.ts"
import type { VaultSite } from "../vault/vault.ts"
import type { Io } from "./io.ts"
import type { Config } from "./schema.ts"

export interface OpenSitesOptions {
  readonly io: Io
  readonly readOnly: boolean
  /** Device of the source, for sites on the same one; null where there is no source. */
  readonly device: bigint | null
  /** Sites without which the work cannot begin: of a kind that this release has. */
  readonly needed: readonly string[]
  /** Sites that are not asked for anything. */
  readonly retired: RetiredSites
}

export async function openSites(config: Config, names: readonly string[], options: OpenSitesOptions): Promise<VaultSite[]> {
  return await Promise.all(names.map((name) => openVaultSite(config, name, options)))
}

async function openVaultSite(
  config: Config,
  name: string,
  { io, readOnly, device, needed, retired }: OpenSitesOptions,
): Promise<VaultSite> {
  const settings = config.sites[name]
  if (settings === undefined) {
    throw new ConfigError("config/not-found", `${name}: no such site`, { hint: `the sites are ${Object.keys(config.sites).join(", ")}` })
  }
  const { provider, region, zone, egress } = settings
  const retirement = retired.get(name)
  if (retirement !== undefined) {
    const opened = absentSite(name, new SiteError(name, "site/denied", retirementText(retirement)))
    return { name, provider, region, zone, opened, countsAsProvider: false }
  }
  const opened = await openOrAbsent(name, needed.includes(name), () => openSite({ name, settings, readOnly, signal: io.signal }, io))
  const sameDevice = device !== null && settings.kind === "directory" && (await isOnDevice(settings.path, device))
  const countsAsProvider = !sameDevice || (settings.kind === "directory" && settings.sameDevice === "accepted")
  return { name, provider, region, zone, egress, opened, countsAsProvider, sameDevice }
}

// A site that is away stops nobody; but no run begins with one of a kind that this release does not have.
async function openOrAbsent(name: string, needed: boolean, open: () => Promise<OpenedSite>): Promise<OpenedSite> {
  try {
    return await open()
  } catch (error) {
    if (!(error instanceof SiteError)) throw error
    if (error.code === "site/unsupported" && needed)
      throw new ConfigError("config/invalid", error.message, { hint: error.hint ?? "", cause: error })
    return absentSite(name, error)
  }
}

async function isOnDevice(path: string, device: bigint): Promise<boolean> {
  try {
    return (await deviceOf(path)) === device
  } catch {
    return false
  }
}

/** The provider's storage class for packs of a class at a site; undefined: the bucket's default. */
export function tierOf(config: Config, site: string, className: string): string | undefined {
  const kind = config.sites[site]?.kind
  const tier = config.classes[className]?.tier
  return kind === "s3" ? tier?.s3 : kind === "gcs" ? tier?.gcs : undefined
}
