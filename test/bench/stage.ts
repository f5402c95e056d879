import { chmodSync, copyFileSync, mkdirSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { systemClock, timestamp } from "../../src/clock.ts"
import { encodeBundle } from "../../src/format/bundle.ts"
import { readSigningKey } from "../../src/key/signing.ts"
import { initAgent } from "../../src/operation/init-agent.ts"
import { initKeys } from "../../src/operation/init-keys.ts"
import { readTrustFile, verifyBundle } from "../../src/operation/trust-bundle.ts"
import { draftTrust, signTrust } from "../../src/operation/trust-list.ts"
import { readRequest } from "../../src/operation/trust-request.ts"
import { systemRandom } from "../../src/random.ts"
import { loadConfig } from "../../src/wiring/config.ts"
import { signedSettingsOf } from "../../src/wiring/trust.ts"
import { recordingsTemplate } from "../world/world.ts"

/** What is backed up in a benchmark: a tree, and how a job reads it. */
export interface Data {
  readonly name: "recordings" | "small-files"
  readonly path: string
  readonly files: number
  readonly bytes: number
}

/** A project on disk as an operator has it, with keys, trust and one agent: what the real program is run on. */
export interface Stage {
  readonly config: string
  readonly identity: string
  readonly job: string
  readonly sites: readonly string[]
}

/** Makes a fresh project with empty directory sites, of which so many must hold a run; post-quantum keys, as is the default. */
export async function makeStage(
  root: string,
  data: Pick<Data, "name" | "path">,
  sites: readonly string[],
  copies = sites.length,
): Promise<Stage> {
  const keys = join(root, "keys")
  const project = join(root, "project")
  for (const folder of ["config", "jobs", "etc"]) mkdirSync(join(project, folder), { recursive: true })
  for (const site of sites) mkdirSync(join(root, "sites", site), { recursive: true })
  const made = await initKeys(keys, { kind: "pq", dataAt: [], clock: systemClock, random: systemRandom })
  copyFileSync(join(keys, "trust.json"), join(project, "etc/trust.json"))
  const config = join(project, "config/holdline.yaml")
  writeFileSync(config, configText(root, made.root, { sites, copies }))
  writeFileSync(join(project, "jobs", `${data.name}.yaml`), jobText(data, sites))
  await signStage({ keys, project, config, root: made.root })
  return { config, identity: join(keys, "operations.identity"), job: data.name, sites: sites.map((site) => join(root, "sites", site)) }
}

interface Places {
  readonly sites: readonly string[]
  readonly copies: number
}

function configText(root: string, fingerprint: string, { sites, copies }: Places): string {
  const lines = sites.map((site) => {
    const where = `path: ${join(root, "sites", site)}, provider: p-${site}, region: ${site}`
    return `  ${site}: {kind: directory, ${where}, sameDevice: accepted}`
  })
  return `version: 1
agent: bench
state: ${join(root, "project/state")}
trust: {file: ${join(root, "project/etc/trust.json")}, root: "${fingerprint}"}
signingKey: {file: ${join(root, "project/etc/agent.key")}}
durable: {copies: ${String(copies)}, providers: ${String(copies)}}
classes:
  bench-90: {days: 90, reuseDays: 7}
sites:
${lines.join("\n")}
`
}

function jobText({ name, path }: Pick<Data, "name" | "path">, sites: readonly string[]): string {
  const source =
    name === "recordings"
      ? `{kind: directory, path: ${path}, template: "${recordingsTemplate}", settle: 0s}`
      : `{kind: directory, path: ${path}, account: platform}`
  return `version: 1
mode: ${name === "recordings" ? "archive" : "state"}
source: ${source}
class: bench-90
sites: [${sites.join(", ")}]
`
}

interface Unsigned {
  readonly keys: string
  readonly project: string
  readonly config: string
  readonly root: string
}

async function signStage({ keys, project, config, root }: Unsigned): Promise<void> {
  const trustPath = join(project, "etc/trust.json")
  const keyPath = join(project, "etc/agent.key")
  const requestPath = join(project, "etc/request.json")
  const trust = verifyBundle(await readTrustFile(trustPath), root)
  await initAgent({ agent: "bench", keyPath, requestPath, trust, searched: [], clock: systemClock, random: systemRandom })
  const loaded = await loadConfig({ env: {}, cwd: project, flags: { config } })
  const settings = signedSettingsOf(loaded.config)
  const draft = draftTrust(
    trust,
    { settings, requests: [await readRequest(requestPath)], removed: [], people: [], removedPeople: [] },
    systemClock.now(),
  )
  const signed = signTrust(trust, draft, await readSigningKey(join(keys, "root.key")))
  writeFileSync(trustPath, encodeBundle(signed.bundle))
  chmodSync(trustPath, 0o644)
  // Trust takes effect when it was signed, and a run in the same millisecond would be before it on a clock that steps.
  if (timestamp(systemClock.now()) < draft.created) throw new Error("the clock went back while the stage was made")
}
