import { timestamp } from "../clock.ts"
import { ConfigError, KeyError } from "../errors.ts"
import { approversOf, encodeStatement, roleFor, type Statement } from "../format/approval.ts"
import type { TrustList } from "../format/trust.ts"
import { approvalValidMs } from "../limits.ts"
import { count } from "../units.ts"
import type { Durable } from "../vault/vault.ts"
import type { RetiredSites } from "./approvals.ts"
import { inForce } from "./world.ts"

const action = "site-retired"

export interface RetiringJob {
  readonly name: string
  readonly sites: readonly string[]
  readonly durable: Durable
}

/** What is known where a site is to be retired. */
export interface Retiring {
  /** Oldest first; the last is in force. */
  readonly trust: readonly TrustList[]
  /** Sites that are retired already. */
  readonly retired: RetiredSites
  /** This host's jobs. */
  readonly jobs: Iterable<RetiringJob>
}

/**
 * Refuses to retire a site that the rest cannot do without: what was promised for the repository, or for a job of this host that keeps
 * its data there, would never be met again.
 */
export function refuseIndispensable(site: string, { trust, retired, jobs }: Retiring): void {
  const { body } = inForce({ trust })
  const left = Object.entries(body.sites).filter(([name]) => name !== site && !retired.has(name))
  const refuse = (whose: string, { copies, providers }: Durable, sites: typeof left): void => {
    const found = new Set(sites.map(([, { provider }]) => provider)).size
    if (sites.length >= copies && found >= providers) return
    const asked = `${count(copies, "copy", "copies")} at ${count(providers, "provider")}`
    throw new ConfigError(
      "config/trust",
      `${site} cannot be retired: ${whose} asks for ${asked}, the other sites make ${sites.length} at ${found}`,
      {
        hint: "first add another site to the configuration and its jobs, sign it with `holdline key trust`, and let a run fill it",
      },
    )
  }
  refuse(`trust list ${String(body.n)}`, body.durable, left)
  for (const job of jobs) {
    if (job.sites.includes(site))
      refuse(
        `job ${job.name}`,
        job.durable,
        left.filter(([name]) => job.sites.includes(name)),
      )
  }
}

export interface RetirementRequest {
  readonly repository: string
  readonly site: string
  readonly reason: string
  readonly now: Date
  /** Of this statement, 128 random bits. */
  readonly id: string
}

/** The statement that two people sign. ConfigError or KeyError where it could never be approved. */
export function retirementStatement({ repository, site, reason, now, id }: RetirementRequest, retiring: Retiring): string {
  refuseIndispensable(site, retiring)
  const list = inForce(retiring)
  const { provider, region, zone } = siteOf(site, list)
  const approvers = approversOf(list, action)
  if (approvers.length < 2) {
    const named = approvers.length === 0 ? "names nobody" : `names only ${approvers.join("")}`
    throw new KeyError(
      "key/untrusted",
      `two people must approve this, and trust list ${String(list.body.n)} ${named} with the role ${roleFor[action]}`,
      {
        hint: `add people on the operator's machine: \`holdline key trust --root root.key --person Ada=ada.pub\``,
      },
    )
  }
  return encodeStatement({
    ...{ repository, id, action, reason, trust: list.reference },
    subject: { site, provider, region, ...(zone === undefined ? {} : { zone }) },
    created: timestamp(now),
    expires: timestamp(new Date(now.getTime() + approvalValidMs)),
  })
}

/** The people who may approve it, for whoever has to ask them. */
export function retirementApprovers({ trust }: Pick<Retiring, "trust">): readonly string[] {
  return approversOf(inForce({ trust }), action)
}

/** ConfigError config/usage unless the statement is about this site. */
export function refuseOtherSite(site: string, { subject }: Pick<Statement, "subject">, path: string): void {
  if (subject.site === site) return
  throw new ConfigError("config/usage", `statement ${path}: retires ${subject.site}, not ${site}`, {
    hint: `repeat the command for ${subject.site}`,
  })
}

function siteOf(site: string, { body }: TrustList): TrustList["body"]["sites"][string] {
  const known = new Map(Object.entries(body.sites)).get(site)
  if (known !== undefined) return known
  throw new ConfigError("config/not-found", `${site}: no site of trust list ${String(body.n)}`, {
    hint: `its sites are ${Object.keys(body.sites).join(", ") || "none"}`,
  })
}
