import { createInterface } from "node:readline"
import { lockState } from "../../src/catalog/lock.ts"
import { BackupError } from "../../src/errors.ts"
import { thisMachine } from "../../src/machine.ts"

// Takes the lease of the path it is given, and tries to write whenever it is told to.
const [path = "", expiryMs = ""] = process.argv.slice(2)
const lease = lockState(path, { machine: thisMachine(), renewMs: 10, expiryMs: Number(expiryMs) })
process.stdout.write(`fence ${String(lease.fence)}\n`)
for await (const _ of createInterface({ input: process.stdin })) {
  try {
    lease.check()
    process.stdout.write("written\n")
  } catch (error) {
    process.stdout.write(`${error instanceof BackupError ? error.code : String(error)}\n`)
  }
}
