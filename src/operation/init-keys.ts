import { chmod, mkdir, readdir, readFile, stat } from "node:fs/promises"
import { join } from "node:path"
import { type Clock, timestamp, utcDay } from "../clock.ts"
import { ConfigError, KeyError } from "../errors.ts"
import { writeAtomically } from "../files.ts"
import { encodeBundle, type TrustBundle } from "../format/bundle.ts"
import { keyObjectKey } from "../format/names.ts"
import { encodeRepository, encodeTrust } from "../format/trust.ts"
import { keyFileText, sealKeyObject } from "../key/account.ts"
import { escrowSheetHtml, escrowSheetText, readEscrowSheet } from "../key/escrow.ts"
import { freshKey } from "../key/fresh.ts"
import { readIdentityFile } from "../key/identity-file.ts"
import { readPrivateFile, writePrivateFile } from "../key/private-file.ts"
import { generateIdentity, type Identity, type Kind } from "../key/recipient.ts"
import { generateSigningKey, readSigningKey } from "../key/signing.ts"
import { encryptSmall } from "../key/small.ts"
import { packBytesMax, packMembersMax } from "../limits.ts"
import { type Random, randomId } from "../random.ts"
import { Secret } from "../secret.ts"
import { readTrustFile, verifyBundle } from "./trust-bundle.ts"
import { openNamedKey, tombstoneEpoch, tombstoneText } from "./trust-keys.ts"

export interface KeyCeremony {
  /** Of every identity: they are of one kind. */
  readonly kind: Kind
  /** Where the data will be, for the escrow sheet; lines to fill in by hand where it is empty. */
  readonly dataAt: readonly string[]
  readonly clock: Clock
  readonly random: Random
}

/** One file that the ceremony writes. */
export interface KeyFile {
  readonly name: string
  /** What it is for, and who may hold it. */
  readonly purpose: string
  readonly holder: string
}

export interface MadeKeys {
  /** The root's fingerprint, "SHA256:…". */
  readonly root: string
  /** The id of the repository. */
  readonly repository: string
  readonly kind: Kind
  readonly directory: string
  readonly files: readonly KeyFile[]
}

interface Content extends KeyFile {
  /** What is not secret may be read by others. */
  readonly text: Secret | string
}

const organisationEpoch = 1
const catalogEpoch = "1"
const handwriting = "_".repeat(52)

/**
 * Makes everything a repository begins with, in a directory that only its owner can enter, reads it all back and opens what was
 * sealed with each identity that must open it. Nothing in the directory is ever overwritten; trust.json, written last, makes it whole.
 */
export async function initKeys(directory: string, ceremony: KeyCeremony): Promise<MadeKeys> {
  await prepareDirectory(directory)
  const made = await makeKeys(ceremony)
  for (const { name, text } of made.contents) {
    const path = join(directory, name)
    if (text instanceof Secret) await writePrivateFile(path, text.reveal())
    else await writePublicFile(path, text, ceremony.random)
  }
  await check(directory, made.root)
  const files = made.contents.map(({ name, purpose, holder }) => ({ name, purpose, holder }))
  return { root: made.root, repository: made.repository, kind: ceremony.kind, directory, files }
}

/** Writes what others may read; fails where the path exists. */
async function writePublicFile(path: string, text: string, random: Random): Promise<void> {
  await writeAtomically(path, Buffer.from(text), { temporary: `${path}.${randomId(random)}`, mode: 0o644, replace: false })
}

async function makeKeys({ kind, dataAt, clock, random }: KeyCeremony) {
  const now = clock.now()
  const created = timestamp(now)
  const root = generateSigningKey(random)
  const repository = randomId(random)
  const [operations, escrow, catalog] = [generateIdentity(kind, random), generateIdentity(kind, random), generateIdentity(kind, random)]
  const recipients = [
    { name: "operations", recipient: operations.recipient },
    { name: "escrow", recipient: escrow.recipient },
  ]
  const bundle: TrustBundle = {
    repository: encodeRepository({ id: repository, created, limits: { packBytesMax, packMembersMax } }, root),
    lists: [
      encodeTrust(
        {
          ...{ repository, n: 1, created, agents: [], people: [], classes: {}, sites: {} },
          organisation: { epoch: organisationEpoch, recipients },
          catalog: { epoch: Number(catalogEpoch), recipient: catalog.recipient },
          // No configuration asks for so little: until the root has signed what is kept where, every agent refuses to run.
          durable: { copies: 0, providers: 0 },
        },
        root,
      ),
    ],
    keys: await catalogKeys(catalog, recipients, random),
  }
  const sheet = {
    ...{ identity: escrow, root: root.fingerprint, repository, date: utcDay(now) },
    opens: "every backup of this repository, of all its accounts",
    sites: dataAt.length > 0 ? dataAt : [handwriting, handwriting, handwriting],
  }
  const named = (what: string, identity: Identity): Secret => identityText(what, identity, { repository, created })
  const texts: Readonly<Record<string, Secret | string>> = {
    "root.key": new Secret(root.exportPrivate()),
    "operations.identity": named("operations", operations),
    "escrow.identity": named("escrow", escrow),
    "catalog.identity": keyFileText({ account: "catalog", epoch: catalogEpoch, identity: catalog }),
    "escrow-sheet.txt": escrowSheetText(sheet),
    "escrow-sheet.html": escrowSheetHtml(sheet),
    "trust.json": encodeBundle(bundle),
  }
  const contents = keyFiles.map((file): Content => ({ ...file, text: texts[file.name] ?? "" }))
  return { root: root.fingerprint, repository, contents }
}

/** What `initKeys` writes, in this order. */
const keyFiles: readonly KeyFile[] = [
  {
    name: "root.key",
    purpose: "signs trust lists: whoever holds it decides whom everybody believes",
    holder: "offline, two copies in two safes; needed only for `holdline key trust`",
  },
  {
    name: "operations.identity",
    purpose: "opens every backup, for restores and drills",
    holder: "restorers; never on a backup host",
  },
  {
    name: "escrow.identity",
    purpose: "opens every backup when all machines are gone; the same as the sheet",
    holder: "nobody: remove it once the printed sheet was checked",
  },
  {
    name: "catalog.identity",
    purpose: "opens the lists of what is kept where and whose it is, no contents",
    holder: "the keeper, or offline beside the root; an agent needs none",
  },
  {
    name: "escrow-sheet.txt",
    purpose: "the escrow identity on one page of paper, as plain text",
    holder: "sealed on paper in two places; remove the file once it was printed and checked",
  },
  {
    name: "escrow-sheet.html",
    purpose: "the same page for a printer of its own",
    holder: "as escrow-sheet.txt",
  },
  {
    name: "trust.json",
    purpose: "what the root signed, and the catalog's sealed keys; holds no secret",
    holder: "everybody: keep it with root.key, copy it to every agent after each change",
  },
]

async function catalogKeys(catalog: Identity, recipients: readonly { readonly recipient: string }[], random: Random) {
  const organisation = recipients.map(({ recipient }) => recipient)
  const seed = freshKey(random, 32)
  const tombstone = Buffer.from(tombstoneText(Buffer.from(seed).toString("hex")))
  seed.fill(0)
  const objects = [
    { epoch: catalogEpoch, bytes: await sealKeyObject({ account: "catalog", epoch: catalogEpoch, identity: catalog }, organisation) },
    { epoch: tombstoneEpoch, bytes: await encryptSmall(tombstone, organisation) },
  ]
  tombstone.fill(0)
  return objects.map(({ epoch, bytes }) => ({
    name: keyObjectKey({ account: "catalog", epoch, orgEpoch: organisationEpoch }, bytes),
    bytes,
  }))
}

function identityText(what: string, { recipient, secret }: Identity, made: { repository: string; created: string }): Secret {
  return new Secret(
    `# ${what} identity of Holdline repository ${made.repository}\n# created: ${made.created}\n# public key: ${recipient}\n${secret.reveal()}\n`,
  )
}

async function prepareDirectory(directory: string): Promise<void> {
  await mkdir(directory, { recursive: true, mode: 0o700 })
  const names = await readdir(directory)
  const taken = keyFiles.map(({ name }) => name).filter((name) => names.includes(name))
  if (taken.includes("trust.json") || taken.length === keyFiles.length) {
    throw new ConfigError("config/usage", `${directory}: it has keys already, and keys are never overwritten`, {
      hint: "name a new directory with --out; a repository has one root, and needs new keys only when it begins",
    })
  }
  if (taken.length > 0) {
    throw new ConfigError("config/usage", `${directory}: ${taken.join(", ")} of an earlier attempt that did not finish`, {
      hint: "remove the directory, as nothing was made with these keys, and start again",
    })
  }
  const { mode } = await stat(directory)
  if (process.platform === "win32" || (mode & 0o077) === 0) return
  if (names.length > 0) {
    throw new ConfigError("config/usage", `${directory}: others than its owner may enter it, and it is not empty`, {
      hint: "name a new directory with --out",
    })
  }
  await chmod(directory, 0o700)
}

// A key that cannot be read back, or that does not open what it must, is found now and not in the week of the fire.
async function check(directory: string, root: string): Promise<void> {
  const at = (name: string): string => join(directory, name)
  const rootKey = await readSigningKey(at("root.key"))
  const { newest, bundle } = verifyBundle(await readTrustFile(at("trust.json")), rootKey.fingerprint)
  const { organisation, catalog } = newest.body
  const sheets = [await readPrivateFile(at("escrow-sheet.txt"), "escrow sheet"), htmlText(await readFile(at("escrow-sheet.html"), "utf8"))]
  const escrow = (await readIdentityFile(at("escrow.identity")))[0]
  const [catalogIdentity] = await readIdentityFile(at("catalog.identity"))
  const openers = [(await readIdentityFile(at("operations.identity")))[0], escrow]
  const right =
    rootKey.fingerprint === root &&
    catalogIdentity.recipient === catalog.recipient &&
    sheets.every((sheet) => readEscrowSheet(sheet).recipient === escrow.recipient) &&
    organisation.recipients.every(({ recipient }, index) => recipient === openers[index]?.recipient)
  if (!right) throw new KeyError("key/wrong", `${directory}: a key read back is not the one that was made`, { hint: "try another disk" })

  for (const identity of openers) for (const { name, bytes } of bundle.keys) await openNamedKey(name, bytes, [identity])
}

/** The lines of the sheet that a person would type from the printed page. */
function htmlText(html: string): string {
  return /<pre>([^<]*)<\/pre>/.exec(html)?.[1] ?? ""
}
