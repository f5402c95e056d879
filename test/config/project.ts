import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { dirname, join } from "node:path"
import { ConfigError } from "../../src/errors.ts"
import { type Loaded, loadConfig } from "../../src/wiring/config.ts"
import type { ConfigFlags, Environment } from "../../src/wiring/locate.ts"

/** The plan's own configuration, letter by letter. */
export const designConfig = `# config/holdline.yaml
version: 1
agent: pbx-fra-1
state: /var/lib/holdline                       # catalog, spool, ledger
trust: {file: /etc/holdline/trust.json, root: "SHA256:…"}
signingKey: {file: /etc/holdline/agent.key}
spool: {max: 20 GiB}
durable: {copies: 2, providers: 2}             # a job may ask for more
classes:
  recordings-90: {days: 90, tier: {s3: STANDARD_IA, gcs: NEARLINE}}
  state-35:      {days: 35, reuseDays: 7}
  mixed-28:      {days: 28, keyEpoch: week}
sites:
  fra:     {kind: directory, path: /mnt/vault, provider: own, region: fra, zone: fra-2}
  s3-dub:  {kind: s3, bucket: acme-vault, keys: acme-vault-keys, provider: aws, region: eu-west-1, lock: governance, credentials: {profile: holdline}}
  gcs-bru: {kind: gcs, bucket: acme-vault, keys: acme-vault-keys, provider: google, region: europe-west1, lock: governance, credentials: {file: /etc/holdline/gcs.json}}
`

/** The plan's archive job; its comments in the right-hand column are the plan's second job. */
export const designArchiveJob = `# jobs/call-recordings.yaml                     # jobs/switch-config.yaml
version: 1                                      # version: 1
mode: archive                                   # mode: state
source:                                         # source: {kind: directory, path: /etc/freeswitch, account: platform}
  kind: directory                               # class: state-35
  path: /var/lib/freeswitch/recordings          # sites: [fra, s3-dub, gcs-bru]
  template: "{account}/archive/{yyyy}/{Mon}/{dd}/{name}"    # schedule: "15 * * * *"
  timezone: Europe/Berlin                       # objective: {rpo: 4h, rto: 1h}
  settle: 5m
class: recordings-90
sites: [fra, s3-dub, gcs-bru]
schedule: "*/30 * * * *"
objective: {rpo: 6h, rto: 72h}
afterExpiry: let-go
`

export const designStateJob = `version: 1
mode: state
source: {kind: directory, path: /etc/freeswitch, account: platform}
class: state-35
sites: [fra, s3-dub, gcs-bru]
schedule: "15 * * * *"
objective: {rpo: 4h, rto: 1h}
`

export interface Project {
  readonly root: string
  path(...parts: readonly string[]): string
  write(name: string, text: string | Uint8Array, mode?: number): Promise<string>
  load(options?: {
    readonly env?: Environment
    readonly flags?: ConfigFlags
    readonly cwd?: string
    readonly systemPath?: string
  }): Promise<Loaded>
  [Symbol.asyncDispose](): Promise<void>
}

/** A directory with these files, which goes with the test. */
export async function project(files: Readonly<Record<string, string | Uint8Array>>): Promise<Project> {
  const root = await mkdtemp(join(tmpdir(), "config-"))
  const made: Project = {
    root,
    path: (...parts) => join(root, ...parts),
    async write(name, text, mode = 0o644) {
      const path = join(root, name)
      await mkdir(dirname(path), { recursive: true })
      await writeFile(path, text, { mode })
      return path
    },
    load: (options = {}) => loadConfig({ env: {}, flags: {}, cwd: root, systemPath: join(root, "etc/holdline.yaml"), ...options }),
    [Symbol.asyncDispose]: () => rm(root, { recursive: true }),
  }
  for (const [name, text] of Object.entries(files)) await made.write(name, text)
  return made
}

/** The ConfigError that this rejects with; anything else is a bug of the test or of the code. */
export async function refusal(promise: Promise<unknown>): Promise<ConfigError> {
  const error: unknown = await promise.then(
    () => new Error("nothing was refused"),
    (thrown: unknown) => thrown,
  )
  if (error instanceof ConfigError) return error
  throw error
}

/** What is wrong with a configuration, line by line; [] where nothing is. */
export async function configProblems(text: string | Uint8Array): Promise<string[]> {
  await using made = await project({ "config/holdline.yaml": text })
  return await made.load().then(
    () => [],
    (error: unknown) => (error instanceof ConfigError ? error.message.split("\n") : Promise.reject(error)),
  )
}

/** What is wrong with a job under the plan's configuration, line by line; [] where nothing is. */
export async function jobProblems(text: string, config = designConfig): Promise<string[]> {
  await using made = await project({ "config/holdline.yaml": config, "jobs/job.yaml": text })
  const { invalidJobs } = await made.load()
  return invalidJobs.get("job")?.message.split("\n") ?? []
}
