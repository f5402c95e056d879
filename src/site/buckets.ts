import { checkPrefix, compareKeys } from "./rules.ts"
import type { ObjectInfo } from "./site.ts"

/** Key objects live in a bucket of their own, whose lock is shorter than that of the packs: so that an account can be erased. */
const keysPrefix = "v1/keys/"

export interface BucketPair {
  /** The bucket of packs and commits. */
  readonly bucket: string
  /** The bucket of key objects. */
  readonly keys: string
}

/** The bucket that an object belongs to. */
export function bucketOf(pair: BucketPair, key: string): string {
  return key.startsWith(keysPrefix) ? pair.keys : pair.bucket
}

type Keyed = Pick<ObjectInfo, "key">

/** Lists one bucket in key order. */
export type ListBucket<T extends Keyed> = (bucket: string, prefix: string) => AsyncIterable<T>

/** Both buckets as one place, in key order: what lies in the wrong one of the two does not exist. */
export async function* listPair<T extends Keyed>(site: string, pair: BucketPair, prefix: string, list: ListBucket<T>): AsyncGenerator<T> {
  checkPrefix(site, prefix)
  if (prefix.startsWith(keysPrefix)) {
    yield* list(pair.keys, prefix)
    return
  }
  let keysAreDue = keysPrefix.startsWith(prefix)
  for await (const info of list(pair.bucket, prefix)) {
    if (info.key.startsWith(keysPrefix)) continue
    if (keysAreDue && compareKeys(info.key, keysPrefix) > 0) {
      keysAreDue = false
      yield* list(pair.keys, keysPrefix)
    }
    yield info
  }
  if (keysAreDue) yield* list(pair.keys, keysPrefix)
}
