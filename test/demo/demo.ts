import { parseArgs } from "node:util"
import { buildProvider, firstBackup, prove, setUp, siteComesBack, siteDies, thief } from "./backups.ts"
import { openGcs, openS3 } from "./cloud.ts"
import { newSite, rot, siteIsLost } from "./mending.ts"
import { disaster, oneCustomer, recover, remember, restoreAll, whatIsLeft } from "./recovery.ts"
import {
  matrixText,
  meaning,
  type Proof,
  proofText,
  type Restored,
  restoredText,
  type SnapshotLine,
  timesText,
  troubleText,
} from "./report.ts"
import type { Scene } from "./scene.ts"
import { Mismatch, Stage, seconds } from "./stage.ts"

/*
 * Holdline in one sitting, as an operator uses it: an invented voice provider is backed up by the real command line to a directory, an
 * S3 and a GCS. One site dies half-way and comes back, bits rot, one is lost for good, and then everything burns and comes back.
 * Each sentence with a ✓ was tested before it was printed.
 */

const seed = "demo"
const usage = `Usage: npm run demo

Backs up an invented voice provider to a directory and to stand-ins for S3 and GCS, loses sites, rots bits, heals them,
burns everything down and gets it back, with the real command line. It takes a minute or two and about 250 MB in memory
or in the temporary directory (TMPDIR), which it gives back, and listens on 127.0.0.1 only.

Exit codes: 0 every claim held, 1 one did not, 2 this usage, 130 and 143 when stopped.
`

async function play(stage: Stage, signal: AbortSignal): Promise<void> {
  stage.say(
    stage.paint.strong("Holdline: back up a voice provider, lose it, get it back"),
    `Everything happens in ${stage.directory}, removed at the end. Invented data, seed "${seed}".`,
  )
  await using s3 = await openS3(stage.path("clouds/s3"))
  await using gcs = await openGcs(stage.path("clouds/gcs"))
  const clouds = { s3, gcs }
  const provider = await stage.chapter("A voice provider", () => buildProvider(stage, seed))
  const root = await stage.chapter("Keys, trust, three sites: a directory, S3, GCS", () => setUp(stage, provider, clouds))
  const scene: Scene = { stage, provider, clouds, root, signal }
  await stage.chapter("The first backup", () => firstBackup(scene))
  await stage.chapter("A site dies half-way through the second", () => siteDies(scene))
  await stage.chapter("It comes back", () => siteComesBack(scene))
  const proofs = await stage.chapter("How far can it be proven?", () => prove(scene))
  const kept = await stage.chapter("What a thief of the sites would read", () => thief(scene))
  await stage.chapter("Bits rot", () => rot(scene))
  const retired = await stage.chapter("A site is lost for good", () => siteIsLost(scene))
  await stage.chapter("A new site takes its place", () => newSite(scene))

  const memory = remember(scene)
  await stage.chapter("Fire", async () => disaster(scene))
  await stage.chapter("Beginning again from nothing but one site", () => recover(scene))
  await stage.chapter("The customer who cannot wait", () => oneCustomer(scene, memory))
  const restored = await stage.chapter("Everything back", () => restoreAll(scene, memory))
  report(stage, { proofs, kept, retired, restored, left: await whatIsLeft(scene) })
  for (const cloud of [s3, gcs]) {
    const { mistakes } = cloud.server
    if (mistakes.length > 0) throw new Mismatch(`a stand-in made a mistake: ${String(mistakes[0])}`)
  }
}

interface Findings {
  readonly proofs: readonly Proof[]
  readonly kept: readonly SnapshotLine[]
  readonly retired: boolean
  readonly restored: readonly Restored[]
  readonly left: readonly SnapshotLine[]
}

function report(stage: Stage, { proofs, kept, retired, restored, left }: Findings): void {
  const { paint } = stage
  const section = (title: string, lines: readonly string[]): void => stage.say("", paint.strong(title), ...lines)
  stage.say("", paint.strong(`━━ Report ${"━".repeat(90)}`))
  section("What was kept where", matrixText(kept, left, paint))
  section("What went wrong, and what healed it", troubleText({ retired }))
  section("How far the proof went, before anything was lost", proofText(proofs, paint))
  section("What came back from one site, with the escrow identity and the root's fingerprint alone", restoredText(restored))
  section("How long each step took", timesText(stage.times))
  section("What this means", meaning)
}

/** The exit code: 0 where every claim held, 1 where one did not or a command ended otherwise than it must, 130 and 143 when stopped. */
async function main(args: readonly string[]): Promise<number> {
  const asked = whatIsAsked(args)
  if (asked !== "play") {
    const stream = asked === "help" ? process.stdout : process.stderr
    stream.write(usage)
    return asked === "help" ? 0 : 2
  }
  const controller = new AbortController()
  for (const [name, code] of Object.entries(stops)) process.once(name, () => controller.abort(new Stopped(name, code)))
  using stage = new Stage(controller.signal)
  try {
    await play(stage, controller.signal)
  } catch (error) {
    const reason: unknown = controller.signal.aborted ? controller.signal.reason : error
    if (reason instanceof Stopped) {
      stage.say("", `stopped by ${reason.message}; ${stage.directory} is removed`)
      return reason.code
    }
    if (!(error instanceof Mismatch)) throw error
    stage.say("", stage.paint.status("bad", `the demo failed: ${error.message}`))
    return 1
  }
  const total = stage.held + stage.failed
  const verdict = `${String(stage.held)} of ${String(total)} claims held, in ${seconds(stage.elapsedMs / 1000)}`
  stage.say("", stage.paint.status(stage.failed === 0 ? "good" : "bad", verdict))
  return stage.failed === 0 ? 0 : 1
}

function whatIsAsked(args: readonly string[]): "play" | "help" | "usage" {
  try {
    const { values } = parseArgs({ args: [...args], options: { help: { type: "boolean", short: "h" } } })
    return values.help === true ? "help" : "play"
  } catch {
    return "usage"
  }
}

const stops = { SIGINT: 130, SIGTERM: 143 } as const

class Stopped extends Error {
  readonly code: number

  constructor(signal: string, code: number) {
    super(signal)
    this.code = code
  }
}

process.exitCode = await main(process.argv.slice(2))
