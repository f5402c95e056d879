import { resolve } from "node:path"
import type { Command } from "commander"
import { ConfigError, errnoOf } from "../errors.ts"
import { writeAtomically } from "../files.ts"
import { approvalNamespace, decodeStatement } from "../format/approval.ts"
import { retiredInMemory, retiredSites, retirementText } from "../operation/approvals.ts"
import { readHandedIn, recordApproval } from "../operation/approve.ts"
import { readHistory } from "../operation/history.ts"
import { refuseIndispensable, refuseOtherSite, retirementApprovers, retirementStatement } from "../operation/retire.ts"
import { inForce } from "../operation/world.ts"
import { randomId } from "../random.ts"
import { visible } from "../report/visible.ts"
import { openAgentLog, openReader } from "../wiring/world.ts"
import type { Bench } from "./bench.ts"
import { manual } from "./manual.ts"
import { rendererFor } from "./progress.ts"
import { collect } from "./reader.ts"

interface RetireOptions {
  readonly statement: string
  readonly reason?: string
  readonly signature: readonly string[]
  readonly timeout?: string
}

export function addSiteRetireCommand(group: Command, bench: Bench): void {
  const command = group
    .command("retire")
    .summary("take a lost site out of the count, with two signatures")
    .description(
      "Takes a site that will not come back out of the count, for ever: nothing is written there or asked of it, and nothing waits for it. " +
        "It takes two people whom the trust list lets `retire`. The first call writes a statement for them to sign with their SSH keys; " +
        "the second, with their signatures, records it in this agent's log.",
    )
    .argument("<site>", "the site's name; it is never used for another site again")
    .requiredOption("--statement <file>", "the statement: written by the first call, read by the second")
    .option("--reason <text>", "why, for whoever has to sign it and for whoever reads it later")
    .option("--signature <file>", "what `ssh-keygen -Y sign` wrote; once for each person", collect, [])
    .option("--timeout <duration>", "end after this long, such as 5m")
    .action(async (site: string, options: RetireOptions) => {
      bench.limitTime(options.timeout)
      if (options.signature.length === 0) await ask(site, options, bench)
      else await record(site, options, bench)
    })
  manual(command, {
    examples: [
      ['holdline site retire gcs-bru --reason "account closed" --statement gcs-bru.json', "write what two people must sign"],
      ["holdline site retire gcs-bru --statement gcs-bru.json --signature ada.sig --signature ben.sig", "record it, once both have"],
    ],
    reads: "the logs of all agents at the other sites; with signatures, of this agent",
    writes: "the statement; with signatures, one commit in this agent's log at every other site. It deletes nothing, anywhere",
    exits: ["done", "failed", "usage", "denied", "notFound", "waiting", "busy", "timeout", "interrupted"],
  })
}

/** Writes the statement, and says who has to do what with it. */
async function ask(site: string, { statement, reason }: RetireOptions, bench: Bench): Promise<void> {
  if (reason === undefined) {
    throw new ConfigError("config/usage", "--reason is missing: two people are asked to sign it", {
      hint: "or give the signatures, with --signature",
    })
  }
  const loaded = await bench.load()
  const others = Object.keys(loaded.config.sites).filter((name) => name !== site)
  if (others.length === 0)
    throw new ConfigError("config/trust", `${site} cannot be retired: it is the only site`, { hint: "first add another one" })
  const renderer = rendererFor(bench, "site retire")
  try {
    await using session = await openReader(loaded, { io: bench.io(renderer), sites: others })
    const { world } = session
    const retired = retiredSites(await readHistory(world))
    renderer.end()
    const known = retired.get(site)
    if (known !== undefined) {
      bench.out(`${bench.paint.status("good", "retired")}  ${site}: ${visible(retirementText(known))}`)
      bench.record("summary", { command: "site retire", site, statement: known.statement.id, retired: true })
      return
    }
    const retiring = { trust: world.trust, retired, jobs: loaded.jobs.values() }
    const request = { repository: world.repository.id, site, reason, now: bench.clock.now(), id: randomId(bench.random) }
    const text = retirementStatement(request, retiring)
    await writeStatement(resolve(bench.cwd, statement), text, bench)
    sayWhatToSign(site, statement, { text, approvers: retirementApprovers(retiring), bench })
  } finally {
    renderer.end()
  }
}

async function writeStatement(path: string, text: string, { random }: Bench): Promise<void> {
  try {
    await writeAtomically(path, Buffer.from(text), { temporary: `${path}.${randomId(random)}`, mode: 0o644, replace: false })
  } catch (cause) {
    const code = errnoOf(cause)
    if (code === undefined) throw cause
    const why = code === "EEXIST" ? "it is there already, and may be what somebody signed" : `it cannot be written: ${code}`
    throw new ConfigError("config/usage", `statement ${path}: ${why}`, {
      cause,
      hint: "name a new file, or give the signatures with --signature",
    })
  }
}

interface ToSign {
  readonly text: string
  readonly approvers: readonly string[]
  readonly bench: Bench
}

function sayWhatToSign(site: string, path: string, { text, approvers, bench }: ToSign): void {
  const { id, expires, subject } = decodeStatement(Buffer.from(text), "statement")
  const where = [subject.provider, subject.region, subject.zone ?? ""].join(" ").trimEnd()
  bench.out(
    `${bench.paint.status("attention", "waiting")}  ${site} (${where}) is not retired yet: two of ${approvers.join(", ")} must sign ${path}`,
    "",
    "Each of them, on a machine of their own, with a copy of that file:",
    "",
    `  cat ${path}`,
    `  ssh-keygen -Y sign -n ${approvalNamespace} -f ~/.ssh/id_ed25519 ${path}`,
    "",
    `It writes ${path}.sig. Then here, until ${bench.moment(expires)}:`,
    "",
    `  holdline site retire ${site} --statement ${path} --signature ADA.sig --signature BEN.sig`,
  )
  bench.record("summary", { command: "site retire", site, statement: id, file: path, expires, approvers, retired: false })
  bench.ends("waiting")
}

/** Records what two people have signed. */
async function record(site: string, { statement, signature, reason }: RetireOptions, bench: Bench): Promise<void> {
  if (reason !== undefined) throw new ConfigError("config/usage", "--reason: the statement says it already, and was signed so")
  const handedIn = await readHandedIn(
    resolve(bench.cwd, statement),
    signature.map((path) => resolve(bench.cwd, path)),
  )
  refuseOtherSite(site, decodeStatement(Buffer.from(`${handedIn.record.statement}\n`), `statement ${statement}`), statement)
  const loaded = await bench.load()
  const renderer = rendererFor(bench, "site retire")
  try {
    await using session = await openAgentLog(loaded, bench.io(renderer), [site])
    const { world } = session
    refuseIndispensable(site, { trust: world.trust, retired: retiredInMemory(world), jobs: loaded.jobs.values() })
    const { by, held, isNew, statement: approved } = await recordApproval(world, handedIn)
    renderer.end()
    const when = isNew ? "retired" : "retired already"
    bench.out(`${bench.paint.status("good", when)}  ${site}: approved by ${by.join(" and ")}, recorded at ${held.join(", ")}`)
    bench.record("summary", { command: "site retire", site, statement: approved.id, by, held, recorded: isNew, retired: true })
    const agents = inForce(world)
      .body.agents.map(({ id }) => id)
      .filter((id) => id !== world.agent.id)
    bench.note("", `Next: take ${site} out of the jobs and the configuration, and sign that with \`holdline key trust\`.`)
    if (agents.length > 0) bench.note(`Each host reads its own log: give the same command, with the same files, on ${agents.join(", ")}.`)
  } finally {
    renderer.end()
  }
}
