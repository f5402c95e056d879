const unitMs = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const
const unitBytes = {
  B: 1,
  KiB: 1024,
  MiB: 1024 ** 2,
  GiB: 1024 ** 3,
  TiB: 1024 ** 4,
  kB: 1000,
  MB: 1000 ** 2,
  GB: 1000 ** 3,
  TB: 1000 ** 4,
} as const

/** Milliseconds of a duration such as "500ms", "5m", "6h" or "35d"; undefined where the text is none. */
export function parseDuration(text: string): number | undefined {
  const match = /^(\d{1,6})(ms|s|m|h|d)$/.exec(text)
  if (match === null) return undefined
  return Number(match[1]) * unitMs[match[2] as keyof typeof unitMs]
}

/** Bytes of a size such as "20 GiB", "500MB" or "1024 B"; undefined where the text is none. */
export function parseSize(text: string): number | undefined {
  const match = /^(\d{1,9}(?:\.\d{1,3})?) ?(B|[KMGT]iB|[kMGT]B)$/.exec(text)
  if (match === null) return undefined
  return Math.round(Number(match[1]) * unitBytes[match[2] as keyof typeof unitBytes])
}

/** "18.4 MiB", "512 B": what a person reads. */
export function formatSize(bytes: number): string {
  const units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"] as const
  let value = bytes
  let index = 0
  while (value >= 1024 && index < units.length - 1) {
    value /= 1024
    index += 1
  }
  return index === 0 ? `${String(bytes)} B` : `${value.toFixed(value < 10 ? 2 : 1)} ${units[index] ?? "PiB"}`
}

/** "1.2 s", "4m 10s", "2h 05m", "3d 4h": what a person reads. */
export function formatDuration(ms: number): string {
  if (ms < 1000) return `${String(Math.round(ms))} ms`
  const seconds = ms / 1000
  if (seconds < 60) return `${seconds.toFixed(1)} s`
  const minutes = Math.floor(seconds / 60)
  if (minutes < 60) return `${String(minutes)}m ${String(Math.floor(seconds % 60)).padStart(2, "0")}s`
  const hours = Math.floor(minutes / 60)
  if (hours < 48) return `${String(hours)}h ${String(minutes % 60).padStart(2, "0")}m`
  return `${String(Math.floor(hours / 24))}d ${String(hours % 24)}h`
}

/** "1 recording", "12,345 recordings". */
export function count(n: number, singular: string, plural = `${singular}s`): string {
  return `${n.toLocaleString("en-US")} ${n === 1 ? singular : plural}`
}
