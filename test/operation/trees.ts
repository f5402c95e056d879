import { lstatSync, readdirSync, readFileSync, readlinkSync } from "node:fs"
import { sha256 } from "../../src/digest.ts"

/** Every entry below a directory with what a restore must bring back: by path, in latin1 so that any bytes are told apart. */
export function treeOf(root: string): Map<string, string> {
  const found = new Map<string, string>()
  collect(Buffer.from(root), "", found)
  return found
}

function collect(directory: Buffer, prefix: string, found: Map<string, string>): void {
  for (const name of readdirSync(directory, { encoding: "buffer" })) {
    const path = Buffer.concat([directory, Buffer.from("/"), name])
    const key = `${prefix}${name.toString("latin1")}`
    const stat = lstatSync(path, { bigint: true })
    const mode = (stat.mode & 0o7777n).toString(8)
    if (stat.isDirectory()) {
      found.set(`${key}/`, mode)
      collect(path, `${key}/`, found)
    } else if (stat.isSymbolicLink()) found.set(key, `-> ${readlinkSync(path, "latin1")}`)
    else found.set(key, `${sha256(readFileSync(path))} ${mode} ${String(stat.mtimeNs / 1000n)}`)
  }
}

/** Only the files: what an archive keeps. */
export function filesOf(root: string): Map<string, string> {
  return new Map([...treeOf(root)].filter(([path]) => !path.endsWith("/")))
}
