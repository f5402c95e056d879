import { execFileSync } from "node:child_process"
import { once } from "node:events"
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises"
import { createServer as createTlsServer } from "node:https"
import { type AddressInfo, createServer, type Server } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { expect, onTestFinished, test } from "vitest"
import { z } from "zod"
import { s3Site } from "../../src/site/s3.ts"
import type { S3SiteOptions } from "../../src/site/s3-client.ts"
import { requireTool } from "../requires.ts"

async function folder(): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), "s3-network-"))
  onTestFinished(() => rm(directory, { recursive: true, force: true }))
  return directory
}

async function options(directory: string, endpoint: string): Promise<S3SiteOptions> {
  const file = join(directory, "credentials")
  await writeFile(file, "[default]\naws_access_key_id = A\naws_secret_access_key = S\n")
  const place = { name: "s", bucket: "packs", keys: "keys", region: "us-east-1", endpoint, pathStyle: true }
  return { ...place, checksums: "always", createOnly: true, credentials: { file } }
}

async function portOf(server: Server): Promise<string> {
  server.listen(0, "127.0.0.1")
  await once(server, "listening")
  onTestFinished(() => {
    server.close()
  })
  return String(z.custom<AddressInfo>((address) => typeof address === "object").parse(server.address()).port)
}

test("a store behind a private authority is reached with its certificate, and not without", async (context) => {
  const lacking = requireTool("openssl")
  if (lacking !== null) context.skip(lacking)
  const directory = await folder()
  const [key, certificate] = [join(directory, "key.pem"), join(directory, "certificate.pem")]
  const subject = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-days", "2"]
  const made = ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", certificate, ...subject]
  execFileSync("openssl", made, { stdio: "ignore" })
  const server = createTlsServer({ key: await readFile(key), cert: await readFile(certificate) }, (_request, response) => response.end())
  const given = await options(directory, `https://localhost:${await portOf(server)}`)

  const trusting = await s3Site({ ...given, ca: certificate })
  expect((await trusting.serverTime()).getTime()).toBeGreaterThan(0)
  const wary = await s3Site(given)
  await expect(wary.serverTime()).rejects.toMatchObject({ code: "site/denied", hint: expect.stringContaining("ca") })
  await expect(s3Site({ ...given, ca: join(directory, "nothing.pem") })).rejects.toMatchObject({ code: "site/denied" })
})

test("a proxy is asked for the store, and a proxy that fails is a store that is away", async () => {
  const asked: string[] = []
  const proxy = createServer((socket) => {
    socket.once("data", (bytes: Buffer) => {
      asked.push(bytes.toString().split("\r\n")[0] ?? "")
      socket.end("HTTP/1.1 502 Bad Gateway\r\n\r\n")
    })
  })
  const given = await options(await folder(), "https://s3.example.net")
  const { site } = await s3Site({ ...given, proxy: `http://127.0.0.1:${await portOf(proxy)}` })
  await expect(site.get("v1/a/x")).rejects.toMatchObject({ code: "site/unavailable" })
  expect(asked).toEqual(["CONNECT s3.example.net:443 HTTP/1.1"])
})

test("an endpoint that the environment names is held to the same rule", async () => {
  const given = await options(await folder(), "http://127.0.0.1:1")
  process.env.AWS_ENDPOINT_URL_S3 = "http://s3.example.net"
  onTestFinished(() => {
    delete process.env.AWS_ENDPOINT_URL_S3
  })
  const { site } = await s3Site({ ...given, endpoint: undefined })
  await expect(site.get("v1/a/x")).rejects.toMatchObject({ code: "site/unsupported" })
})
