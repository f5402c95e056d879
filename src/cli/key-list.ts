import { resolve } from "node:path"
import type { Command } from "commander"
import { sshFingerprint, sshKeyType } from "../format/ssh-key.ts"
import { abbreviated } from "../key/recipient.ts"
import { readTrustFile, type VerifiedTrust, verifyBundle } from "../operation/trust-bundle.ts"
import { table } from "../report/table.ts"
import { visible } from "../report/visible.ts"
import { fingerprintOf } from "../signature.ts"
import { count } from "../units.ts"
import { loadTrust } from "../wiring/trust.ts"
import type { Bench } from "./bench.ts"
import { manual } from "./manual.ts"

/** Where a command finds what the root signed. */
interface TrustPlace {
  readonly trust?: string
  readonly fingerprint?: string
}

export function addKeyListCommand(key: Command, bench: Bench): void {
  const command = key
    .command("list")
    .summary("show whom and what the root has signed")
    .description(
      "Shows the newest trust list: the agents and their keys, the people who may approve, who can open backups, what is kept how long and where.",
    )
    .option("--trust <file>", "a trust file (default: the configuration's trust.file)")
    .option("--fingerprint <fingerprint>", "the root's, SHA256:… (default: the configuration's trust.root)")
    .action(async (place: TrustPlace) => listKeys(await trustAt(place, bench), bench))
  manual(command, {
    examples: [
      ["holdline key list", "whom this host believes"],
      ["holdline key list --trust trust.json --fingerprint SHA256:…", "a trust file before it is put in place"],
    ],
    reads: "the trust file and, without the options, the configuration",
    writes: "nothing",
    exits: ["done", "usage", "denied", "notFound"],
  })
}

/** The trust file that the options name, or the configuration's, verified. */
async function trustAt({ trust, fingerprint }: TrustPlace, bench: Bench): Promise<VerifiedTrust> {
  if (trust !== undefined && fingerprint !== undefined) return verifyBundle(await readTrustFile(resolve(bench.cwd, trust)), fingerprint)
  const loaded = await bench.load()
  const { file, root } = loaded.config.trust
  return await loadTrust({
    ...loaded,
    config: { ...loaded.config, trust: { file: trust === undefined ? file : resolve(bench.cwd, trust), root: fingerprint ?? root } },
  })
}

function listKeys({ repository, newest }: VerifiedTrust, bench: Bench): void {
  const { n, created, agents, people, organisation, catalog, classes, sites, durable } = newest.body
  const root = fingerprintOf(repository.root)
  const rows = [
    ["root", "", root],
    ...agents.map(({ id, role, key }) => [role, id, fingerprintOf(key)]),
    ...people.map((person) => ["person", `${visible(person.name)} (${person.roles.map(visible).join(", ")})`, sshFingerprint(person)]),
    ...organisation.recipients.map(({ name, recipient }) => ["organisation", name, abbreviated(recipient)]),
    ["catalog", "", abbreviated(catalog.recipient)],
  ]
  bench.out(
    `repository ${repository.id}, trust list ${String(n)} of ${bench.moment(created)}`,
    "",
    ...table(["WHO", "NAME", "KEY"], rows),
    "",
    `durable: ${count(durable.copies, "copy", "copies")} at ${count(durable.providers, "provider")}`,
    ...Object.entries(classes).map(([name, { days, reuseDays }]) => `class ${name}: ${String(days)} days, reused for ${String(reuseDays)}`),
    ...Object.entries(sites).map(
      ([name, { provider, region, zone }]) => `site ${name}: ${[provider, region, zone ?? ""].join(" ").trimEnd()}`,
    ),
  )
  for (const { id, role, key, from } of agents) bench.record("agent", { agent: id, role, key: fingerprintOf(key), from })
  for (const person of people)
    bench.record("person", { name: person.name, key: sshFingerprint(person), type: sshKeyType(person), roles: person.roles })
  for (const { name, recipient } of organisation.recipients) bench.record("recipient", { name, recipient })
  bench.record("summary", { command: "key list", repository: repository.id, root, list: n, created, classes, sites, durable })
}
