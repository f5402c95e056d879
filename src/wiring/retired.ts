import { rememberedApprovals } from "../catalog/approvals.ts"
import type { Catalog } from "../catalog/catalog.ts"
import { rememberedTrustLists } from "../catalog/trust-lists.ts"
import { decodeTrust, type TrustList, verifyTrustChain } from "../format/trust.ts"
import { type RetiredSites, retiredInMemory } from "../operation/approvals.ts"
import type { Loaded } from "./config.ts"
import { type LoadedTrust, loadTrust } from "./trust.ts"

/** Which sites this host knows to be retired, without asking any. */
export async function knownRetired(loaded: Pick<Loaded, "config" | "origins">, catalog: Catalog): Promise<RetiredSites> {
  if (rememberedApprovals(catalog).length === 0) return new Map()
  const trust = await loadTrust(loaded)
  return retiredInMemory({ catalog, repository: trust.repository, trust: knownLists(trust, catalog, loaded.config.trust.root) })
}

/** The trust lists of the file and those this host has followed before, as one chain; `found` are those at the sites. */
export function knownLists(
  { repository, lists }: LoadedTrust,
  catalog: Catalog,
  root: string,
  found: readonly TrustList[] = [],
): readonly TrustList[] {
  const remembered = rememberedTrustLists(catalog).map((bytes) => decodeTrust(bytes, root))
  const ours = [...lists, ...remembered, ...found].filter(({ body }) => body.repository === repository.id)
  return verifyTrustChain(ours, repository.id)
}
