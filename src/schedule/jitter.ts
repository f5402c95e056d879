import { sha256 } from "../digest.ts"

/**
 * How long after its due times a job of an agent starts: always the same, and evenly spread over `limitMs`, so that a fleet with one schedule
 * does not come to a site all at once.
 */
export function jitterMs(agent: string, job: string, limitMs: number): number {
  const share = Number.parseInt(sha256(`${agent}\n${job}`).slice(0, 12), 16) / 2 ** 48
  return Math.floor(share * limitMs)
}
