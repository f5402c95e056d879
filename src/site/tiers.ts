/** S3's storage classes that no object may have, and why: a restore cannot wait, and one fire must not take every byte. */
export const refusedS3Tiers: Readonly<Record<string, string>> = {
  GLACIER: "its objects must be thawed for hours before they can be read",
  DEEP_ARCHIVE: "its objects must be thawed for many hours before they can be read",
  ONEZONE_IA: "it keeps all bytes in one failure zone",
  EXPRESS_ONEZONE: "it keeps all bytes in one failure zone",
  REDUCED_REDUNDANCY: "it keeps fewer copies than the others",
  OUTPOSTS: "it keeps all bytes on one rack",
  SNOW: "it keeps all bytes on one device",
}

/** Google's, likewise. ARCHIVE is none of them: what is in it can be read at once. */
export const refusedGcsTiers: Readonly<Record<string, string>> = {
  RAPID: "it keeps all bytes in one failure zone",
  DURABLE_REDUCED_AVAILABILITY: "it is available less than the others",
}

/** Google's classes that can be read at once, in several zones. */
export const gcsTiers = ["STANDARD", "NEARLINE", "COLDLINE", "ARCHIVE"] as const

/** Where objects answer no GET until somebody has had them thawed: S3's classes, and what Intelligent-Tiering calls its own. */
const frozenS3Tiers: ReadonlySet<string> = new Set(["GLACIER", "DEEP_ARCHIVE", "ARCHIVE_ACCESS", "DEEP_ARCHIVE_ACCESS"])

/** Why an object that was found in this storage class of S3 cannot be read; undefined where it can. */
export function frozenReason(tier: string | undefined): string | undefined {
  if (tier === undefined || !frozenS3Tiers.has(tier)) return undefined
  return `in storage class ${tier}, whose objects must be thawed before they can be read`
}
