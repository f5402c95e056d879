/** What reading out of a site costs. */
export interface Price {
  /** Per GiB, transfer and retrieval together. */
  readonly perGiB: number
  /** ISO 4217. */
  readonly currency: string
}

interface ListPrice {
  /** Transfer to the internet, USD per GiB. */
  readonly transfer: number
  /** Retrieval, USD per GiB, by storage class; absent: none. */
  readonly retrieval?: Readonly<Record<string, number>>
}

/**
 * List prices of 2025, first paid step of transfer to the internet, in the providers' common European and American regions; taxes, free
 * allowances and agreements of one's own left out. They are to rank sites and to warn of a bill, not to check one: a site's `egress` says
 * better. Sources: aws.amazon.com/s3/pricing, cloud.google.com/storage/pricing, developers.cloudflare.com/r2/pricing,
 * backblaze.com/cloud-storage/pricing, wasabi.com/pricing.
 */
const listPrices: Readonly<Record<string, ListPrice>> = {
  own: { transfer: 0 },
  aws: { transfer: 0.09, retrieval: { STANDARD_IA: 0.01, GLACIER_IR: 0.03 } },
  google: { transfer: 0.12, retrieval: { NEARLINE: 0.01, COLDLINE: 0.02, ARCHIVE: 0.05 } },
  cloudflare: { transfer: 0 },
  backblaze: { transfer: 0.01 },
  wasabi: { transfer: 0 },
}

/** By the provider's list; null where this release knows none. `tier` is the storage class; undefined: the bucket's default. */
export function listPrice(provider: string, tier: string | undefined): Price | null {
  const known = Object.hasOwn(listPrices, provider) ? listPrices[provider] : undefined
  if (known === undefined) return null
  return { perGiB: known.transfer + (known.retrieval?.[tier ?? ""] ?? 0), currency: "USD" }
}
