import { mkdirSync, mkdtempSync, realpathSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { parseArgs } from "node:util"
import { buildSparse, buildTree } from "../world/tree.ts"
import { type Measured, measure } from "./measure.ts"
import { makeStage } from "./stage.ts"

const usage = `npm run bench:memory -- [--files N] [--gigabytes N] [--directory DIR]

The most memory that Holdline's process takes for many small files (default 100,000) and for one large sparse file (default 20 GB,
to a site that keeps nothing): first and unchanged backup, and restore of the many.`

const program = fileURLToPath(new URL("../../bin/holdline", import.meta.url))
const child = fileURLToPath(new URL("memory-child.ts", import.meta.url))

interface Peak {
  readonly what: string
  readonly bytes: number
  readonly seconds: number
}

/** What the real program takes for a tree of so many files, command by command. */
export async function peaksOfMany(root: string, files: number): Promise<Peak[]> {
  const path = join(root, "tree")
  await buildTree(path, { seed: "memory", files, bytes: files * 1000 })
  const stage = await makeStage(root, { name: "small-files", path }, ["one"])
  const argv = (...args: string[]): readonly [string, ...string[]] => [
    process.execPath,
    program,
    "--config",
    stage.config,
    "--json",
    ...args,
  ]
  const restore = ["restore", "run", `${stage.job}@latest`, "--to", join(root, "out"), "--identity", stage.identity]
  return [
    peakOf("first backup", await measure({ argv: argv("run", stage.job) })),
    peakOf("unchanged backup", await measure({ argv: argv("run", stage.job) })),
    peakOf("restore", await measure({ argv: argv(...restore) })),
  ]
}

/** The same for one file with holes, first and unchanged in one process. */
async function peakOfLarge(root: string, bytes: number): Promise<Peak> {
  const path = join(root, "large")
  mkdirSync(path)
  buildSparse(join(path, "disk.img"), bytes)
  const stage = await makeStage(join(root, "large-stage"), { name: "small-files", path }, ["one"])
  return peakOf("first and unchanged backup", await measure({ argv: [process.execPath, child, stage.config, stage.job] }))
}

function peakOf(what: string, { peakBytes, wallSeconds }: Measured): Peak {
  if (peakBytes === null) throw new Error("this system does not say how much memory a process takes")
  return { what, bytes: peakBytes, seconds: wallSeconds }
}

function print(title: string, peaks: readonly Peak[]): void {
  console.log(title)
  for (const { what, bytes, seconds } of peaks)
    console.log(`  ${what.padEnd(28)} ${(bytes / 1e6).toFixed(0).padStart(5)} MB  ${seconds.toFixed(1).padStart(7)} s`)
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      files: { type: "string", default: "100000" },
      gigabytes: { type: "string", default: "20" },
      directory: { type: "string", default: tmpdir() },
      help: { type: "boolean", default: false },
    },
  })
  if (values.help) {
    console.log(usage)
    return
  }
  const [files, gigabytes] = [Number(values.files), Number(values.gigabytes)]
  const root = realpathSync(mkdtempSync(join(values.directory, "holdline-memory-")))
  try {
    const few = await peaksOfMany(join(root, "few"), Math.ceil(files / 10))
    const many = await peaksOfMany(join(root, "many"), files)
    print(`${String(Math.ceil(files / 10))} files`, few)
    print(`${String(files)} files`, many)
    // An unchanged run looks everything up and lists it again: all it takes more for more files is the catalog's and the manifests'.
    const [, less] = few
    const [, more] = many
    const perFile = ((more?.bytes ?? 0) - (less?.bytes ?? 0)) / (files * 0.9)
    console.log(`  listing them anew takes ${perFile.toFixed(0)} bytes of memory a file`)
    if (gigabytes > 0) print(`one file of ${String(gigabytes)} GB`, [await peakOfLarge(root, gigabytes * 1e9)])
  } finally {
    rmSync(root, { recursive: true, force: true })
  }
}

if (import.meta.main) await main()
