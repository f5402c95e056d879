import { readdir, readFile } from "node:fs/promises"

/** Every file below a folder by its path's bytes in latin1, so that names that are no UTF-8 can be told apart. */
export async function filesBelow(folder: string): Promise<Map<string, Buffer>> {
  const found = new Map<string, Buffer>()
  const below = async (path: Buffer, name: Buffer): Promise<void> => {
    for (const entry of await readdir(path, { withFileTypes: true, encoding: "buffer" })) {
      const [inner, innerName] = [Buffer.concat([path, Buffer.from("/"), entry.name]), Buffer.concat([name, Buffer.from("/"), entry.name])]
      if (entry.isDirectory()) await below(inner, innerName)
      else if (entry.isFile()) found.set(innerName.subarray(1).toString("latin1"), await readFile(inner))
    }
  }
  await below(Buffer.from(folder), Buffer.alloc(0))
  return found
}
