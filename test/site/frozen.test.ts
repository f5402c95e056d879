import { execFile } from "node:child_process"
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { createServer, type Socket } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { promisify } from "node:util"
import { expect, test } from "vitest"
import { makeStage } from "../bench/stage.ts"

const program = fileURLToPath(new URL("../../bin/holdline", import.meta.url))

/** A server that takes every connection and never says a word. */
async function frozenServer(): Promise<{ readonly port: number; connections(): number } & AsyncDisposable> {
  const sockets = new Set<Socket>()
  let connections = 0
  const server = createServer((socket) => {
    connections += 1
    sockets.add(socket.on("error", () => undefined))
  })
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve))
  const address = server.address()
  if (address === null || typeof address === "string") throw new Error("no port")
  return {
    port: address.port,
    connections: () => connections,
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

test("a bucket that never answers keeps neither a run nor its process: both end in seconds, and the other sites have everything", {
  timeout: 60_000,
}, async () => {
  await using frozen = await frozenServer()
  const root = mkdtempSync(join(tmpdir(), "frozen-"))
  try {
    const path = join(root, "etc")
    mkdirSync(path)
    writeFileSync(join(path, "vars.xml"), "<vars/>")
    const stage = await makeStage(root, { name: "small-files", path }, ["one", "two", "three"], 2)
    const bucket = `kind: s3, bucket: acme-vault, keys: acme-vault-keys, endpoint: "http://127.0.0.1:${String(frozen.port)}"`
    const config = readFileSync(stage.config, "utf8").replace(
      /three: \{kind: directory, path: [^,]*(.*), sameDevice: accepted\}/,
      `three: {${bucket}$1}`,
    )
    writeFileSync(stage.config, config)
    const env = { PATH: process.env.PATH ?? "", AWS_ACCESS_KEY_ID: "x", AWS_SECRET_ACCESS_KEY: "y" }
    const begun = performance.now()
    const { stdout } = await promisify(execFile)(process.execPath, [program, "--config", stage.config, "--json", "run", stage.job], { env })
    // A deadline of one call alone is two minutes.
    expect(performance.now() - begun).toBeLessThan(30_000)
    expect(frozen.connections()).toBeGreaterThan(0)
    const summary = stdout.split("\n").find((line) => line.includes('"type":"summary"'))
    const [run] = JSON.parse(summary ?? "{}").runs
    expect(run).toMatchObject({ outcome: "ok", captured: { files: 1 } })
    expect(run.sites.map(({ name, held }: { name: string; held: boolean }) => [name, held])).toEqual([
      ["one", true],
      ["two", true],
      ["three", false],
    ])
  } finally {
    rmSync(root, { recursive: true, force: true })
  }
})
