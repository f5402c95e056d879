/** What a server says of a setting, or in a few words why that is not known. */
export type Known<T> = { readonly value: T } | { readonly unknown: string }

/** What is set now at the buckets of a site. Nothing here is promised: whoever may administer a bucket can change it. */
export interface SitePosture {
  readonly packs: BucketPosture
  readonly keys: BucketPosture
}

export interface BucketPosture {
  readonly bucket: string
  /** As the provider names it, in lower case. */
  readonly region: Known<string>
  readonly versioning: Known<boolean>
  /** What a new object is locked with; null: nothing. */
  readonly lock: Known<DefaultLock | null>
  /** Whether the lock of a single object can be made longer. */
  readonly objectLock: Known<boolean>
  /** Whether nobody without credentials can ever be let in. */
  readonly publicAccessBlocked: Known<boolean>
  /** What the server encrypts with, such as AES256 or the name of a key; null: nothing. */
  readonly encryption: Known<string | null>
  /** Rules that could meet an object of ours. */
  readonly lifecycle: Known<readonly LifecycleRule[]>
  /** Days for which deleted bytes can be brought back; 0: none. */
  readonly softDeleteDays: Known<number>
  /** Buckets that everything is copied to. */
  readonly replicatedTo: Known<readonly string[]>
}

export interface DefaultLock {
  readonly mode: "governance" | "compliance"
  readonly days: number
}

export interface LifecycleRule {
  readonly name: string
  readonly prefix: string
  /** To the objects that get sees, or to the older ones behind them. */
  readonly does: "deletes" | "deletes-older" | "freezes"
}

/** Whether a rule for objects below `prefix` can meet those below `ours`. */
export function meets(prefix: string, ours: string): boolean {
  return prefix.startsWith(ours) || ours.startsWith(prefix)
}
