import { execFileSync } from "node:child_process"
import { mkdirSync } from "node:fs"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { requireTool } from "../requires.ts"
import type { Command } from "./measure.ts"
import { type Data, makeStage } from "./stage.ts"

export const scenarios = ["first backup", "unchanged backup", "restore", "verify"] as const
export type Scenario = (typeof scenarios)[number]

/** A program that backs up, and how it is asked to. */
export interface Peer {
  readonly name: string
  readonly version: string
  /** What a reader must know to judge the comparison. */
  readonly settings: string
  /** Makes an empty repository below `root`; none of that is measured. */
  begin(root: string, data: Data): Promise<Begun>
}

export interface Begun {
  /** Absent where the program has nothing of the kind. */
  readonly commands: Readonly<Partial<Record<Scenario, Command>>>
  /** Where everything it stored lies. */
  readonly repositories: readonly string[]
  /** Where the tree is after `restore`. */
  readonly restored: string
}

/** A peer that is not here, and why. */
export interface Lacking {
  readonly name: string
  readonly why: string
}

const ownProgram = fileURLToPath(new URL("../../bin/holdline", import.meta.url))

/** Everybody who is here. `against` is another checkout's bin/holdline, so that before and after are measured in the same rounds. */
export function allPeers(against: string | null): { readonly peers: readonly Peer[]; readonly lacking: readonly Lacking[] } {
  const found = [restic(), borg(), tarAge()]
  const other = against === null ? [] : [holdline("holdline before", against, ["one"])]
  const own = [holdline("holdline", ownProgram, ["one"]), ...other, holdline("holdline, 3 sites", ownProgram, ["one", "two", "three"])]
  return {
    peers: [...own, ...found.filter((peer) => "begin" in peer)],
    lacking: found.filter((peer) => "why" in peer),
  }
}

function holdline(name: string, program: string, sites: readonly string[]): Peer {
  return {
    name,
    version: said([process.execPath, program, "--version"]),
    settings: `${sites.length === 1 ? "one directory site" : `${String(sites.length)} directory sites`}, post-quantum recipients, every object and its directory synced`,
    async begin(root, data) {
      const stage = await makeStage(root, data, sites)
      const restored = join(root, "out")
      const run = (...args: string[]): Command => ({ argv: [process.execPath, program, "--config", stage.config, "--json", ...args] })
      const snapshot = `${stage.job}@latest`
      return {
        commands: {
          "first backup": run("run", stage.job),
          "unchanged backup": run("run", stage.job),
          restore: run("restore", "run", snapshot, "--to", restored, "--owners", "--identity", stage.identity),
          verify: run("verify", snapshot, "--identity", stage.identity),
        },
        repositories: stage.sites,
        restored,
      }
    },
  }
}

function restic(): Peer | Lacking {
  const why = requireTool("restic")
  if (why !== null) return { name: "restic", why }
  return {
    name: "restic",
    version: said(["restic", "version"]).split(" ").slice(0, 2).join(" "),
    settings: "one local repository, format 2, --compression auto, its cache kept",
    async begin(root, data) {
      const repository = join(root, "repository")
      const env = { RESTIC_PASSWORD: "bench", RESTIC_CACHE_DIR: join(root, "cache") }
      const restored = join(root, "out")
      const run = (...args: string[]): Command => ({ argv: ["restic", "--quiet", "--repo", repository, ...args], env })
      said(["restic", "--quiet", "--repo", repository, "init", "--repository-version", "2"], env)
      const backup = run("--compression", "auto", "backup", data.path)
      return {
        commands: {
          "first backup": backup,
          "unchanged backup": backup,
          restore: run("restore", "latest", "--target", restored),
          verify: run("check", "--read-data"),
        },
        repositories: [repository],
        restored: join(restored, data.path),
      }
    },
  }
}

function borg(): Peer | Lacking {
  const why = requireTool("borg")
  if (why !== null) return { name: "borg", why }
  return {
    name: "borg",
    version: said(["borg", "--version"]),
    settings: "one local repository, repokey (AES-CTR, HMAC-SHA256), lz4, its cache kept",
    async begin(root, data) {
      const repository = join(root, "repository")
      const env = { BORG_PASSPHRASE: "bench", BORG_BASE_DIR: join(root, "borg") }
      const restored = join(root, "out")
      mkdirSync(restored, { recursive: true })
      said(["borg", "init", "--encryption", "repokey", repository], env)
      const run = (...args: string[]): Command => ({ argv: ["borg", ...args], env })
      return {
        commands: {
          "first backup": run("create", `${repository}::first`, data.path),
          "unchanged backup": run("create", `${repository}::again`, data.path),
          restore: { ...run("extract", `${repository}::again`), cwd: restored },
          verify: run("check", "--verify-data", repository),
        },
        repositories: [repository],
        restored: join(restored, data.path),
      }
    },
  }
}

/** No repository, no catalog, nothing hashed: the least that an encrypted backup can do. */
function tarAge(): Peer | Lacking {
  const why = requireTool("age") ?? requireTool("tar")
  if (why !== null) return { name: "tar | age", why }
  return {
    name: "tar | age",
    version: `age ${said(["age", "--version"])}`,
    settings: "one file, synced; an X25519 recipient; knows nothing of unchanged files",
    async begin(root, data) {
      const identity = join(root, "identity")
      said(["age-keygen", "-o", identity])
      const recipient = said(["age-keygen", "-y", identity])
      const restored = join(root, "out")
      const repository = join(root, "repository")
      for (const folder of [restored, repository]) mkdirSync(folder, { recursive: true })
      const file = join(repository, "backup.tar.age")
      const shell = (script: string): Command => ({ argv: ["sh", "-c", `set -e\n${script}`] })
      return {
        commands: {
          "first backup": shell(`tar -C '${data.path}' -cf - . | age -r ${recipient} > '${file}'\nsync '${file}'`),
          restore: shell(`age -d -i '${identity}' '${file}' | tar -C '${restored}' -xpf -`),
        },
        repositories: [repository],
        restored,
      }
    },
  }
}

/** What a program says that is not measured. */
function said(argv: readonly [string, ...string[]], env: Readonly<Record<string, string>> = {}): string {
  const [program, ...args] = argv
  return execFileSync(program, args, { env: { ...process.env, ...env }, encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] }).trim()
}
