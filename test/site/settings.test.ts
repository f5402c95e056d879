import { expect, test } from "vitest"
import { parse } from "yaml"
import { z } from "zod"
import { siteSettings } from "../../src/site/settings.ts"

const example = `
fra:     {kind: directory, path: /mnt/vault, provider: own, region: fra, zone: fra-2}
s3-dub:  {kind: s3, bucket: acme-vault, keys: acme-vault-keys, provider: aws, region: eu-west-1, lock: governance, credentials: {profile: holdline}}
gcs-bru: {kind: gcs, bucket: acme-vault, keys: acme-vault-keys, provider: google, region: europe-west1, lock: governance, credentials: {file: /etc/holdline/gcs.json}}
own-s3:  {kind: s3, bucket: vault, keys: vault-keys, provider: own, region: ams, endpoint: "https://s3.example.net:9000", credentials: {file: /etc/holdline/s3}}
demo:    {kind: directory, path: /tmp/vault, provider: own, region: here, sameDevice: accepted}
`

test("the documented sites are valid, and mean what they say", () => {
  const written: unknown = parse(example)
  expect(z.record(z.string(), siteSettings).parse(written)).toEqual(written)
})

test.each([
  ["an unknown key", { sameDevise: "accepted" }],
  ["an unknown kind", { kind: "ftp" }],
  ["a relative path", { path: "vault" }],
  ["no provider", { provider: undefined }],
  ["a setting of another kind", { bucket: "acme-vault" }],
  ["sameDevice that is not said in full", { sameDevice: true }],
])("%s is refused", (_what, change) => {
  const good = { kind: "directory", path: "/mnt/vault", provider: "own", region: "fra" }
  expect(siteSettings.safeParse(good).success).toBe(true)
  expect(siteSettings.safeParse({ ...good, ...change }).success).toBe(false)
})

test.each([
  ["a lock that is none", { lock: "weak" }],
  ["credentials in the configuration itself", { credentials: { secretAccessKey: "x" } }],
  ["two kinds of credentials", { credentials: { profile: "x", file: "/x" } }],
  ["an endpoint that is no URL", { endpoint: "s3.example.net" }],
  ["no bucket of its own for keys", { keys: undefined }],
])("%s is refused at a bucket", (_what, change) => {
  const good = { kind: "s3", bucket: "acme-vault", keys: "acme-vault-keys", provider: "aws", region: "eu-west-1" }
  expect(siteSettings.safeParse(good).success).toBe(true)
  expect(siteSettings.safeParse({ ...good, ...change }).success).toBe(false)
})

test("a bucket of another store says what is different there", () => {
  const other = { endpoint: "https://s3.example.net", signingRegion: "auto", pathStyle: false, checksums: "required", createOnly: false }
  const host = { concurrency: 2, ca: "/etc/ssl/store.pem", proxy: "http://proxy.example.net:3128" }
  const settings = { kind: "s3", bucket: "acme-vault", keys: "acme-vault-keys", provider: "x", region: "y", ...other, ...host }
  expect(siteSettings.parse(settings)).toEqual(settings)
  expect(siteSettings.safeParse({ ...settings, concurrency: 0 }).success).toBe(false)
  expect(siteSettings.safeParse({ ...settings, createOnly: true }).success, "it is, unless said otherwise").toBe(false)
})
