/** How a site stands for one restore, among the others. */
export interface RankedSite {
  readonly name: string
  /** Whether it answered just now. */
  readonly answers: boolean
  /** Of a call that fetches next to nothing; null where it did not answer. */
  readonly roundTripMs: number | null
  /** Packs that it holds of those that are needed. */
  readonly holds: number
  readonly of: number
  /** Of these, how many are known not to be what was kept. */
  readonly rotten: number
  /** Since when every byte it keeps of the dataset was read and hashed; null where that was never done from this host. */
  readonly provenAt: string | null
  /** Of fetching everything from it; null where its price is not known. */
  readonly cost: Cost | null
  readonly speed: Speed
  /** Of the whole restore, from it alone. */
  readonly seconds: number
  /** One sentence: what put it there, and what is known of it. */
  readonly why: string
}

export interface Cost {
  readonly amount: number
  /** ISO 4217. */
  readonly currency: string
}

export interface Speed {
  readonly bytesPerSecond: number
  /** By an earlier restore, by a small read just now, or not at all. */
  readonly measured: "before" | "now" | "never"
}
