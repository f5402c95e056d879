import { dirname, join, resolve } from "node:path"
import type { Command } from "commander"
import { ConfigError } from "../errors.ts"
import { isAgentId } from "../format/names.ts"
import { type AgentReady, initAgent } from "../operation/init-agent.ts"
import { readTrustFile, type VerifiedTrust, verifyBundle } from "../operation/trust-bundle.ts"
import { pinnedRoot } from "../wiring/trust.ts"
import type { Bench } from "./bench.ts"
import { manual } from "./manual.ts"

interface AgentOptions {
  readonly trust?: string
  readonly key?: string
  readonly fingerprint?: string
  readonly request?: string
}

interface Place {
  readonly agent: string
  readonly keyPath: string
  readonly trustPath: string
  readonly root: string
  readonly searched: readonly string[]
}

export function addInitAgentCommand(init: Command, bench: Bench): void {
  const command = init
    .command("agent")
    .summary("give this backup host its signing key")
    .description(
      "Makes this host's signing key, the only secret it has, and a request that the operator signs with `holdline key trust`. " +
        "Run again it keeps the key and writes the request anew. It refuses to go on where it finds an identity on this host.",
    )
    .option("--trust <file>", "the trust.json from the operator's machine (default: the configuration's trust.file)")
    .option("--key <file>", "where the signing key is to be; with --agent and --fingerprint no configuration is needed")
    .option("--fingerprint <fingerprint>", "the root's, SHA256:…, as on the escrow sheet (default: the configuration's trust.root)")
    .option("--request <file>", "where to write the request (default: beside the key)")
    .action(async (options: AgentOptions) => {
      const ready = await makeAgent(options, bench)
      printAgent(ready, bench)
      const { isNewKey, isTrusted, ...facts } = ready
      bench.record("summary", { command: "init agent", ...facts, newKey: isNewKey, trusted: isTrusted })
    })
  manual(command, {
    examples: [
      ["holdline init agent --trust trust.json", "names and places from the configuration"],
      [
        "holdline --agent pbx-fra-1 init agent --trust trust.json --key agent.key --fingerprint SHA256:…",
        "before there is a configuration",
      ],
    ],
    reads: "the trust file, the configuration, and small files beside them, in search of identities",
    writes: "the signing key, readable by you only, and the request",
    exits: ["done", "usage", "denied", "notFound"],
  })
}

async function makeAgent(options: AgentOptions, bench: Bench): Promise<AgentReady> {
  const { agent, keyPath, trustPath, root, searched } = await placeOf(options, bench)
  const trust: VerifiedTrust = verifyBundle(await readTrustFile(trustPath), root)
  const requestPath = options.request === undefined ? join(dirname(keyPath), `${agent}.request.json`) : resolve(bench.cwd, options.request)
  const { clock, random } = bench
  return await initAgent({
    agent,
    keyPath,
    requestPath,
    trust,
    searched: [...searched, dirname(keyPath), dirname(trustPath)],
    clock,
    random,
  })
}

async function placeOf({ trust, key, fingerprint }: AgentOptions, bench: Bench): Promise<Place> {
  const { agent } = bench.flags
  if (agent !== undefined && trust !== undefined && key !== undefined && fingerprint !== undefined) {
    if (!isAgentId(agent)) {
      throw new ConfigError("config/usage", "--agent: expected a name of 1 to 63 lower-case letters, digits and dashes, such as fra-1")
    }
    const paths = { keyPath: resolve(bench.cwd, key), trustPath: resolve(bench.cwd, trust) }
    return { agent, ...paths, root: fingerprint, searched: [] }
  }
  const { config, origins, path } = await bench.load()
  const keyPath = key === undefined ? config.signingKey?.file : resolve(bench.cwd, key)
  if (keyPath === undefined) {
    throw new ConfigError("config/usage", "the configuration names no file for the signing key", {
      hint: "say `signingKey: {file: /etc/holdline/agent.key}`, or name one with --key",
    })
  }
  return {
    ...{ agent: config.agent, keyPath, trustPath: trust === undefined ? config.trust.file : resolve(bench.cwd, trust) },
    root: fingerprint ?? pinnedRoot({ config, origins }),
    searched: [dirname(path), config.state],
  }
}

function printAgent({ agent, fingerprint, keyPath, requestPath, isNewKey, isTrusted }: AgentReady, bench: Bench): void {
  const { paint } = bench
  bench.out(
    `${paint.status("good", isNewKey ? "made" : "kept")}  signing key of agent ${agent}: ${keyPath}`,
    `key      ${paint.strong(fingerprint)}`,
    `request  ${requestPath}`,
  )
  if (isTrusted) {
    bench.note("", "The newest trust list names this key already: nothing is left to do.")
    return
  }
  bench.note(
    "",
    "Next:",
    "1. Hand the request to the operator, who compares the fingerprint above with you by telephone and signs it:",
    `   ${bench.notePaint.next(`holdline key trust ${agent}.request.json --root root.key`)}`,
    "2. Copy the new trust.json here.",
    `   ${bench.notePaint.next("holdline doctor")}`,
  )
}
