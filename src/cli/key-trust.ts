import { dirname, join, resolve } from "node:path"
import type { Command } from "commander"
import { ConfigError, KeyError } from "../errors.ts"
import { writeAtomically } from "../files.ts"
import { encodeBundle } from "../format/bundle.ts"
import type { Person } from "../format/trust.ts"
import { readPrivateFile } from "../key/private-file.ts"
import { readSigningKey, type SigningKey } from "../key/signing.ts"
import { readTrustFile, type VerifiedTrust, verifyBundle } from "../operation/trust-bundle.ts"
import { draftTrust, planOf, refuseWeaker, signTrust, type TrustChange } from "../operation/trust-list.ts"
import { knownRoles, readPerson } from "../operation/trust-people.ts"
import { readRequest } from "../operation/trust-request.ts"
import { randomId } from "../random.ts"
import { table } from "../report/table.ts"
import { Secret } from "../secret.ts"
import { unpinnedRoot } from "../wiring/schema.ts"
import { signedSettingsOf } from "../wiring/trust.ts"
import type { Bench } from "./bench.ts"
import { Questions } from "./init-ask.ts"
import { manual } from "./manual.ts"

interface TrustOptions {
  readonly root: string
  readonly trust?: string
  readonly passphraseFile?: string
  readonly remove: readonly string[]
  readonly person: readonly string[]
  readonly role: readonly string[]
  readonly removePerson: readonly string[]
  readonly allowWeaker?: boolean
  readonly yes?: boolean
}

export function addKeyTrustCommand(key: Command, bench: Bench): void {
  const command = key
    .command("trust")
    .summary("sign the next trust list: agents, people, classes, sites")
    .description(
      "Signs, on an operator's machine, the trust list that follows the newest: with the agents whose requests are given, the people " +
        "who may approve what takes two of them, and the classes, sites and copies of the configuration. It shows what changes and asks before it signs.",
    )
    .argument("[request...]", "requests that `holdline init agent` wrote; none to sign classes and sites only")
    .requiredOption("--root <file>", "the root key")
    .option("--passphrase-file <file>", "a file with the root key's passphrase, where it is encrypted")
    .option("--trust <file>", "the trust file to add to (default: trust.json beside the root key)")
    .option("--remove <agent...>", "agents to believe no longer; what they signed before stays valid", [])
    .option("--person <name=file...>", "people who may approve, each with the `.pub` file of an SSH key of type ed25519 or ed25519-sk", [])
    .option("--role <role...>", `what they may approve: ${knownRoles.join(", ")} (default: all of it)`, [...knownRoles])
    .option("--remove-person <name...>", "people who may approve no longer; what they approved before stays approved", [])
    .option("--allow-weaker", "sign fewer days, copies or providers than before")
    .option("--yes", "sign without asking")
    .action((requests: string[], options: TrustOptions) => sign(requests, options, bench))
  manual(command, {
    examples: [
      ["holdline key trust pbx-fra-1.request.json --root root.key", "believe a new agent"],
      ["holdline key trust --root root.key", "sign changed classes and sites"],
      ["holdline key trust --root root.key --remove pbx-fra-1", "believe a stolen host no longer"],
      ["holdline key trust --root root.key --person Ada=ada.pub Ben=ben.pub", "let two people approve, such as the retiring of a site"],
    ],
    reads: "the root key, the trust file, the configuration, the requests, the people's public keys",
    writes: "the trust file",
    exits: ["done", "usage", "denied", "notFound"],
  })
}

async function sign(requestPaths: readonly string[], options: TrustOptions, bench: Bench): Promise<void> {
  const root = await openRoot(options, bench)
  const trustPath =
    options.trust === undefined ? join(dirname(resolve(bench.cwd, options.root)), "trust.json") : resolve(bench.cwd, options.trust)
  const trust = verifyBundle(await readTrustFile(trustPath), root.fingerprint)
  const { config } = await bench.load()
  refuseOtherRoot(config.trust.root, root.fingerprint)
  const requests = await Promise.all(requestPaths.map((path) => readRequest(resolve(bench.cwd, path))))
  const people = await Promise.all(options.person.map((given) => personFrom(given, options.role, bench)))
  const wanted = { settings: signedSettingsOf(config), requests, removed: options.remove, people, removedPeople: options.removePerson }
  const draft = draftTrust(trust, wanted, bench.clock.now())
  const plan = planOf(trust.lists, draft)
  bench.record("plan", { list: draft.n, changes: plan })
  const summary = { command: "key trust", file: trustPath, root: root.fingerprint, repository: trust.repository.id }
  if (plan.length === 0) {
    bench.out(`${bench.paint.status("good", "unchanged")}  trust list ${String(trust.newest.body.n)} says all this already`)
    bench.record("summary", { ...summary, list: trust.newest.body.n, signed: false })
    return
  }

  bench.out(`trust list ${String(draft.n)} of repository ${trust.repository.id}`, "", ...planLines(plan, bench), "")
  if (options.allowWeaker !== true) refuseWeaker(plan, draft.n)
  await confirm(draft.n, options, bench)
  const signed = signTrust(trust, draft, root)
  await writeTrust(trustPath, signed, bench)
  bench.out(`${bench.paint.status("good", "signed")}  trust list ${String(draft.n)}: ${trustPath}`)
  bench.record("summary", { ...summary, list: draft.n, signed: true })
  const agents = draft.agents.map(({ id }) => id).join(", ")
  bench.note(
    "",
    `Next: copy ${trustPath} to ${agents === "" ? "each agent" : agents}, as the file that trust.file names; then put the root key away.`,
  )
}

async function personFrom(given: string, roles: readonly string[], bench: Bench): Promise<Person> {
  const [, name, file] = /^([^=]+)=(.+)$/.exec(given) ?? []
  if (name === undefined || file === undefined) {
    throw new ConfigError("config/usage", `--person ${given}: expected a name and a file, such as Ada=ada.pub`)
  }
  return await readPerson(name, resolve(bench.cwd, file), roles)
}

/** Replaces the trust file; holds no secret, so others may read it. */
export async function writeTrust(path: string, trust: VerifiedTrust, { random }: Pick<Bench, "random">): Promise<void> {
  const temporary = `${path}.${randomId(random)}`
  await writeAtomically(path, Buffer.from(encodeBundle(trust.bundle)), { temporary, mode: 0o644, replace: true })
}

async function openRoot({ root, passphraseFile }: TrustOptions, bench: Bench): Promise<SigningKey> {
  const path = resolve(bench.cwd, root)
  if (passphraseFile === undefined) return await readSigningKey(path)
  const text = await readPrivateFile(resolve(bench.cwd, passphraseFile), "passphrase file")
  return await readSigningKey(path, new Secret(text.replace(/\r?\n$/, "")))
}

function refuseOtherRoot(configured: string, root: string): void {
  if (configured === root || configured === unpinnedRoot) return
  throw new KeyError("key/untrusted", `this root key is ${root}, but the configuration trusts ${configured}`, {
    hint: "use the repository's own root key, or the configuration that belongs to it",
  })
}

function planLines(plan: readonly TrustChange[], bench: Bench): string[] {
  const [, ...rows] = table(
    ["", "", "", ""],
    plan.map(({ sign: mark, what, before, after, weaker }) => [
      `  ${mark}`,
      what,
      before !== undefined && after !== undefined ? `${before} → ${after}` : (after ?? before ?? ""),
      weaker ? bench.paint.status("attention", "weaker") : "",
    ]),
  )
  return rows
}

async function confirm(n: number, { yes = false }: TrustOptions, bench: Bench): Promise<void> {
  if (yes) return
  const questions = new Questions(bench)
  if (!questions.isPossible) {
    throw new ConfigError("config/usage", "nothing was signed: there is no terminal to ask on", { hint: "repeat the command with --yes" })
  }
  const answer = await questions.ask(`Compare the keys by telephone. Sign trust list ${String(n)}? Type its number to sign it`, "--yes")
  if (answer !== String(n)) throw new ConfigError("config/usage", "nothing was signed: the answer was not the list's number")
}
