import { copyFile } from "node:fs/promises"
import { hostname } from "node:os"
import { join, resolve } from "node:path"
import { type Command, Option } from "commander"
import { ConfigError } from "../errors.ts"
import { isAgentId } from "../format/names.ts"
import type { Kind } from "../key/recipient.ts"
import { readSigningKey } from "../key/signing.ts"
import { type AgentReady, initAgent } from "../operation/init-agent.ts"
import { defaultQuickSites, parseQuickSite, type QuickHost, quickPlaces, refuseUnusable, writeQuickHost } from "../operation/init-host.ts"
import { initKeys, type MadeKeys } from "../operation/init-keys.ts"
import { readTrustFile, type VerifiedTrust, verifyBundle } from "../operation/trust-bundle.ts"
import { draftTrust, signTrust } from "../operation/trust-list.ts"
import { readRequest } from "../operation/trust-request.ts"
import { table } from "../report/table.ts"
import { loadConfig } from "../wiring/config.ts"
import { signedSettingsOf } from "../wiring/trust.ts"
import type { Bench } from "./bench.ts"
import { writeTrust } from "./key-trust.ts"
import { manual } from "./manual.ts"

interface HostOptions {
  readonly dir: string
  readonly site: readonly string[]
  readonly recipients: Kind
}

export function addInitHostCommand(init: Command, bench: Bench): void {
  const command = init
    .command("host")
    .summary("a quick start: keys, agent, trust and configuration on one machine")
    .description(
      "Sets everything up on one machine, to try things out: keys, the agent's signing key, the signed trust list, a configuration with " +
        "directories as sites. Then it says which files to move off the machine, as no backup host may keep them.",
    )
    .requiredOption("--dir <directory>", "where to put it all: a new directory")
    .option("--site <site...>", "NAME=PATH:PROVIDER, an existing directory (default: three below the directory)", [])
    .addOption(new Option("--recipients <kind>", "kind of all identities").choices(["pq", "x25519"]).default("pq"))
    .action((options: HostOptions) => makeHost(options, bench))
  manual(command, {
    examples: [
      ["holdline init host --dir try-out", "three directories as sites"],
      ["holdline init host --dir try-out --site disk=/mnt/disk:own --site nas=/mnt/nas:colo", "your own places"],
    ],
    reads: "nothing",
    writes: "the directory",
    exits: ["done", "usage"],
  })
}

async function makeHost({ dir, site, recipients }: HostOptions, bench: Bench): Promise<void> {
  const directory = resolve(bench.cwd, dir)
  const host: QuickHost = {
    directory,
    agent: agentName(bench),
    sites: site.length > 0 ? site.map(parseQuickSite) : defaultQuickSites(directory),
  }
  await refuseUnusable(host)
  const { clock, random } = bench
  const places = quickPlaces(directory)
  const dataAt = host.sites.map(({ name, path, provider }) => `${name}: ${path}, ${provider}`)
  const made = await initKeys(places.keys, { kind: recipients, dataAt, clock, random })
  await writeQuickHost(host, made.root, random)
  await copyFile(places.madeTrust, places.trust)
  const trust = verifyBundle(await readTrustFile(places.trust), made.root)
  const { signingKey: keyPath, request: requestPath } = places
  // Nothing is searched: the identities are below this directory for now, and the doctor says so until they are moved.
  const ready = await initAgent({ agent: host.agent, keyPath, requestPath, trust, searched: [], clock, random })
  const signed = await signFirst(trust, host, bench)
  for (const path of [places.madeTrust, places.trust]) await writeTrust(path, signed, bench)
  print(made, ready, bench)
  const summary = { directory, config: places.config, agent: host.agent, root: made.root, repository: made.repository }
  bench.record("summary", { command: "init host", ...summary, move: filesToMove(made).map(({ name }) => join(places.keys, name)) })
}

async function signFirst(trust: VerifiedTrust, { directory }: QuickHost, bench: Bench): Promise<VerifiedTrust> {
  const { config: path, jobs, root, request } = quickPlaces(directory)
  const { config } = await loadConfig({ env: {}, flags: { config: path, jobs }, cwd: bench.cwd })
  const wanted = { settings: signedSettingsOf(config), requests: [await readRequest(request)], removed: [], people: [], removedPeople: [] }
  return signTrust(trust, draftTrust(trust, wanted, bench.clock.now()), await readSigningKey(root))
}

function agentName({ flags }: Bench): string {
  const own = hostname()
    .split(".", 1)
    .join("")
    .toLowerCase()
    .replace(/[^a-z0-9-]/g, "-")
    .replace(/^-+/, "")
    .slice(0, 63)
  const name = flags.agent ?? (isAgentId(own) ? own : "this-host")
  if (isAgentId(name)) return name
  throw new ConfigError("config/usage", "--agent: expected a name of 1 to 63 lower-case letters, digits and dashes, such as fra-1")
}

const reasons: ReadonlyMap<string, string> = new Map([
  ["root.key", "whoever has it decides whom this host believes: offline, two copies"],
  ["operations.identity", "opens every backup: to a machine where you restore"],
  ["escrow.identity", "opens every backup: remove it once the printed sheet was checked"],
  ["catalog.identity", "opens the lists of what is kept: offline, with the root"],
  ["escrow-sheet.txt", "print it, check what you typed from it, seal the paper, remove the file"],
  ["escrow-sheet.html", "the same sheet: remove it too"],
])

function filesToMove({ files }: MadeKeys): { readonly name: string; readonly reason: string }[] {
  return files.flatMap(({ name }) => {
    const reason = reasons.get(name)
    return reason === undefined ? [] : [{ name, reason }]
  })
}

function print(made: MadeKeys, { agent, fingerprint }: AgentReady, bench: Bench): void {
  const { paint, notePaint } = bench
  const directory = resolve(made.directory, "..")
  const { config, jobs, trust } = quickPlaces(directory)
  bench.out(
    `${paint.status("good", "made")}  repository ${made.repository}, agent ${agent}`,
    `root    ${paint.strong(made.root)}`,
    `key     ${fingerprint}`,
    `config  ${config}`,
    `jobs    ${jobs}`,
    "",
    paint.strong("Move these off this machine: whoever takes it over must find none of them"),
    ...table(
      ["FILE", "WHY, AND WHERE TO"],
      filesToMove(made).map(({ name, reason }) => [join(made.directory, name), reason]),
    ),
  )
  bench.note(
    "",
    "Next:",
    `1. Print ${join(made.directory, "escrow-sheet.txt")}, type it into a file, and check that:`,
    `   ${notePaint.next(`holdline key escrow check TYPED --trust ${trust}`)}`,
    `2. With a stick mounted at /media/STICK:`,
    `   ${notePaint.next(`mv ${made.directory} /media/STICK/holdline-keys`)}`,
    "3. Until they are gone, this complains:",
    `   ${notePaint.next(`holdline --config ${config} doctor`)}`,
    "4. Say what to back up, and do it:",
    `   ${notePaint.next(`holdline --config ${config} init job`)}`,
    `   ${notePaint.next(`holdline --config ${config} run JOB`)}`,
  )
}
