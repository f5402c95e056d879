import { makeAccounts, type WorldAccount } from "../world/accounts.ts"
import type { Dice } from "../world/dice.ts"

/** A customer of an invented provider whose database is filled in its real size. */
export interface ProviderAccount extends WorldAccount {
  /** People with a telephone; `extensions` names no more than twenty of them. */
  readonly users: number
}

/** Most accounts are small, and a hundredth of them holds a sixth of all users. */
export function providerAccounts(count: number, dice: Dice): readonly ProviderAccount[] {
  return makeAccounts(count, dice).map((account) => ({
    ...account,
    users: account.extensions.length < extensionsMax ? account.extensions.length : tail(dice),
  }))
}

/** As many extensions as `makeAccounts` gives an account at most. */
const extensionsMax = 20

/** Users of an account that has at least twenty: the upper end of the distribution that `makeAccounts` draws from. */
function tail(dice: Dice): number {
  for (;;) {
    const users = Math.round(dice.lognormal(2.3, 1.25))
    if (users >= extensionsMax) return Math.min(2500, users)
  }
}
