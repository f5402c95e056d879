import { execFileSync } from "node:child_process"
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs"
import { z } from "zod"
import { fitsName } from "../../src/format/names.ts"
import { count } from "../../src/units.ts"
import { people } from "./backups.ts"
import { filesOf } from "./compare.ts"
import { flipBits } from "./disaster.ts"
import { host, type Scene } from "./scene.ts"
import { keysIn, lastSites, moveJobs, signConfig, writeConfig } from "./sites.ts"
import { type Stage, summaryOf } from "./stage.ts"

const scrubSchema = z.looseObject({
  findings: z.array(z.looseObject({ object: z.string(), site: z.string().optional() })),
  findingCount: z.number(),
})

/** Damages stored bytes behind the servers' backs, and has them found and healed. */
export async function rot({ stage, clouds: { s3 } }: Scene): Promise<void> {
  const fra = stage.path("sites/fra")
  const rotten = [
    ...pick(s3.keys, [/\/pack\/recordings-90\//, /\/log\//]).map((key) => ({ site: "s3-dub", key, path: s3.pathOf(key) })),
    ...pick(keysIn(fra).sort().reverse(), [/\/pack\/recordings-90\//, /^v1\/keys\//]).map((key) => ({
      site: "fra",
      key,
      path: `${fra}/${key}`,
    })),
  ]
  for (const { path } of rotten) flipBits(path)
  stage.say("  One bit each is flipped on the disks: at s3-dub in a pack and a commit, at fra in a pack and a key object.", "")
  const found = summaryOf(await stage.ask(host, ["scrub", "--full"], { exit: 6 }), scrubSchema)
  for (const { site = "", object } of found.findings) stage.say(`    ${site.padEnd(6)}  ${object}`)
  const named = new Set(found.findings.map(({ site, object }) => `${site ?? ""} ${object}`))
  stage.claim(
    found.findingCount === rotten.length && rotten.every(({ site, key }) => named.has(`${site} ${key}`)),
    `scrub finds exactly these ${String(rotten.length)}, among every byte of 3 sites, without any key (exit 6)`,
    JSON.stringify(found.findings),
  )
  stage.say("")
  await stage.holdline(host, ["repair"])
  const aside = filesOf(fra).filter((path) => path.startsWith(".holdline-rotten/")).length
  const heals = rotten.every(({ site, key }) => fitsName(key, readFileSync(site === "fra" ? `${fra}/${key}` : s3.pathOf(key))))
  stage.claim(heals, "good bytes are in the place of all of them, from whichever site had them; repair has no key either")
  const behind = s3.keys.flatMap((key) => s3.versions(key).slice(1)).filter(({ retention }) => retention !== null).length
  stage.claim(
    aside === 2 && behind === 2,
    "nothing was thrown away: the rotten bytes are older, still locked versions at s3-dub, and put aside at fra",
    `${String(aside)} aside, ${String(behind)} older versions`,
  )
  stage.say("")
  await stage.holdline(host, ["scrub", "--full"])
  stage.claim(true, "scrub is clean again (exit 0)")
}

function pick(keys: readonly string[], patterns: readonly RegExp[]): string[] {
  return patterns.flatMap((pattern) => keys.filter((key) => pattern.test(key)).slice(0, 1))
}

/** The Google account is closed for good, and two people take the site out of the count: whether this machine lets them sign. */
export async function siteIsLost({ stage, clouds }: Scene): Promise<boolean> {
  clouds.gcs.dieAfter(0)
  stage.say("  The account at gcs-bru is closed, for good: every connection is cut.", "")
  if (!existsSync(stage.path("people", people[0]))) {
    stage.say("  This machine has no ssh-keygen, with which two people could sign: the site is not retired, only left out.")
    return false
  }
  const command = ["site", "retire", "gcs-bru", "--statement", "../people/gcs-bru.json"]
  await stage.ask(host, [...command, "--reason", "account closed"], { exit: 7 })
  const [ada = [], ben = []] = people.map((name) => ["--signature", sign(stage, name)])
  stage.say("")
  await stage.holdline(host, [...command, ...ada], { exit: 4 })
  await stage.holdline(host, [...command, ...ada, ...ben])
  stage.claim(true, "it waits for signatures (exit 7), refuses one person's (exit 4), and takes those of two")
  return true
}

/** An empty site of another company takes the place of the lost one. */
export async function newSite({ stage, root, clouds }: Scene): Promise<void> {
  mkdirSync(stage.path("sites/vie"))
  writeConfig(stage, root, lastSites, clouds)
  moveJobs(stage.path("host/jobs"), lastSites)
  stage.say("  The operator has an empty directory at another company, vie, and has the root sign that it is a site now.", "")
  await signConfig(stage)
  stage.say("")
  await stage.holdline(host, ["repair", "--site", "vie"])
  const wanted = keysIn(stage.path("sites/fra"))
  const vie = new Set(keysIn(stage.path("sites/vie")))
  const lacking = wanted.filter((key) => !vie.has(key))
  stage.claim(
    lacking.length === 0,
    `vie is filled from the others: all ${count(wanted.length, "object")} of fra, ciphertext as it is`,
    `${String(lacking.length)} lacking, such as ${lacking[0] ?? ""}`,
  )
  await stage.holdline(host, ["site", "status", "--check"])
  stage.claim(true, "three sites, all level, and nobody waits for gcs-bru (exit 0)")
}

/** Has someone sign the statement as the command says, and gives the signature's path, seen from the host. */
function sign(stage: Stage, name: string): string {
  const [key, statement] = [stage.path("people", name), stage.path("people/gcs-bru.json")]
  const path = `../people/${name}.sig`
  writeFileSync(
    stage.path(host, path),
    execFileSync("ssh-keygen", ["-Y", "sign", "-n", "holdline-approval", "-f", key], { input: readFileSync(statement), stdio: "pipe" }),
  )
  return path
}
