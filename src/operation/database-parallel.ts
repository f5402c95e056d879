/** Does `work` for each item, so many at once; the first failure ends it, once what has begun is over. */
export async function inParallel<T>(items: Iterable<T>, atOnce: number, work: (item: T) => Promise<void>): Promise<void> {
  const left = [...items].values()
  let failed = false
  const worker = async (): Promise<void> => {
    for (const item of left) {
      if (failed) return
      try {
        await work(item)
      } catch (error) {
        failed = true
        throw error
      }
    }
  }
  const ends = await Promise.allSettled(Array.from({ length: Math.max(1, atOnce) }, worker))
  const failure = ends.find((end) => end.status === "rejected")
  if (failure !== undefined) throw failure.reason
}
