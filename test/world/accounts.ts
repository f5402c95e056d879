import type { Dice } from "./dice.ts"

/** A customer of the invented provider. */
export interface WorldAccount {
  /** What stands in paths; invented, and in a domain nobody can own. */
  readonly domain: string
  readonly uuid: string
  readonly extensions: readonly Extension[]
  /** How much of all calls, and of all recorded ones, is theirs. */
  readonly callWeight: number
  readonly recordingWeight: number
}

export interface Extension {
  readonly uuid: string
  readonly number: string
  readonly name: string
}

/** Sizes, activity and recording habits as real providers see them: most accounts are small, most record nothing, a few record all. */
export function makeAccounts(count: number, dice: Dice): readonly [WorldAccount, ...WorldAccount[]] {
  const [first, ...rest] = Array.from({ length: Math.max(1, count) }, (_, index) => makeAccount(index, dice))
  if (first === undefined) throw new Error("a provider without customers")
  // Somebody must record, however few they are.
  return [{ ...first, recordingWeight: Math.max(first.recordingWeight, first.callWeight * 0.5) }, ...rest]
}

function makeAccount(index: number, dice: Dice): WorldAccount {
  const users = Math.min(2500, Math.max(1, Math.round(dice.lognormal(2.3, 1.25))))
  const callCentre = dice.chance(0.05)
  const callWeight = users * dice.lognormal(0, 0.6) * (callCentre ? 8 : 1)
  const share = callCentre ? 0.9 : (recordedShares[dice.weighted([70, 18, 10, 2])] ?? 0)
  return {
    domain: domainName(index),
    uuid: dice.uuid(),
    extensions: Array.from({ length: Math.min(users, extensionsMax) }, (_, n) => ({
      uuid: dice.uuid(),
      number: String(100 + n),
      name: `${dice.pick(givenNames)} ${dice.pick(familyNames)}`,
    })),
    callWeight,
    recordingWeight: callWeight * share,
  }
}

/** Of accounts that record nothing, some users, everything, or on demand. */
const recordedShares = [0, 0.25, 1, 0.05] as const

/** A scaled-down world needs no thousand files of extensions for one account. */
const extensionsMax = 20

function domainName(index: number): string {
  const place = places[index % places.length] ?? places[0]
  const trade = trades[(index + Math.floor(index / places.length)) % trades.length] ?? trades[0]
  const again = Math.floor(index / (places.length * trades.length))
  return `${place}-${trade}${again === 0 ? "" : `-${String(again + 1)}`}.example`
}

const places = "maple harbor lantern cedar summit river amber juniper granite meadow falcon copper willow orchard beacon prairie".split(" ")
const trades = "dental legal freight clinic bakery realty motors optics academy travel surveying insurance logistics".split(" ")
const givenNames = [
  "Ada",
  "Bo",
  "Chidi",
  "Dana",
  "Elif",
  "Femi",
  "Greta",
  "Hana",
  "Ilya",
  "Jules",
  "Kofi",
  "Lena",
  "Mina",
  "Noor",
  "Oskar",
] as const
const familyNames = [
  "Abara",
  "Brandt",
  "Castillo",
  "Demir",
  "Eklund",
  "Fischer",
  "Garcia",
  "Haddad",
  "Ito",
  "Jansen",
  "Kowal",
  "Lund",
] as const

/** A number of the ranges kept for fiction: area code, 555, 0100 to 0199. */
export function outsideNumber(dice: Dice): string {
  return `+1${dice.pick(areaCodes)}55501${String(dice.between(0, 99)).padStart(2, "0")}`
}

const areaCodes = ["202", "303", "404", "512", "617", "713", "816"] as const
