import { z } from "zod"
import { mariadbSettings, postgresSettings } from "../database/settings.ts"
import {
  classDaysMin,
  inFlightBytesMax,
  linkDaysMax,
  massChangeDays,
  massChangeShareMin,
  shrunkDatabaseShareMin,
  shrunkShareMin,
} from "../limits.ts"
import { siteSettings } from "../site/settings.ts"
import { gcsTiers, refusedGcsTiers, refusedS3Tiers } from "../site/tiers.ts"
import { durationSchema } from "../source/duration.ts"
import { sourceSettings } from "../source/settings.ts"
import { isTimeZone } from "../time-zone.ts"
import { parseSize } from "../units.ts"
import { listenSchema } from "./listen.ts"
import { notifySchema } from "./notify-schema.ts"
import { configRetention, jobRetention } from "./retention.ts"
import { configRules, jobRules } from "./rules.ts"
import { scheduleSchema } from "./schedule.ts"
import { nameSchema, path, secretReference } from "./values.ts"

/** Fails to match every key: what stands in a configuration until the root key has been made. */
export const unpinnedRoot = "SHA256:…"

const size = z
  .string()
  .transform((text, context) => {
    const bytes = parseSize(text)
    if (bytes !== undefined) return bytes
    context.addIssue({ code: "custom", message: 'expected a size such as "500 MiB" or "20 GiB"' })
    return z.NEVER
  })
  .meta({ title: "size", pattern: "^\\d{1,9}(\\.\\d{1,3})? ?(B|[KMGT]iB|[kMGT]B)$" })

const duration = durationSchema.refine((ms) => ms > 0, "expected a duration above zero").meta({ title: "duration" })

const password = secretReference.optional().meta({
  description: "the user's password; without it the server must know the user by other means, as over a socket",
  examples: [{ file: "/etc/holdline/db.password" }],
})

const s3Tiers = ["STANDARD", "STANDARD_IA", "INTELLIGENT_TIERING", "GLACIER_IR"] as const

const s3Tier = z.enum(s3Tiers, { error: refusalOf(refusedS3Tiers, s3Tiers) })
const gcsTier = z.enum(gcsTiers, { error: refusalOf(refusedGcsTiers, gcsTiers) })

function refusalOf(refused: Readonly<Record<string, string>>, expected: readonly string[]) {
  return ({ input }: { readonly input?: unknown }): string | undefined => {
    const reason = typeof input === "string" ? refused[input] : undefined
    return reason === undefined ? undefined : `the tier ${String(input)} is refused: ${reason}; expected ${expected.join(", ")}`
  }
}

const classSchema = z
  .strictObject({
    days: z
      .int()
      .min(classDaysMin, `expected at least ${String(classDaysMin)} days, the quarantine of the data bucket`)
      .max(36_500)
      .meta({
        description: `how many days a snapshot is kept after it was accepted; at least ${String(classDaysMin)}, the quarantine of the data bucket`,
        examples: [90],
      }),
    reuseDays: z
      .int()
      .min(0)
      .max(36_500)
      .prefault(0)
      .meta({
        description:
          "state mode: for how many days an unchanged pack may be listed by new snapshots before it is written again; at most `days`",
        examples: [7],
      }),
    keyEpoch: z
      .enum(["week"])
      .optional()
      .meta({
        description:
          "`week`: accounts get a new key every ISO week, so that a week's data can be erased by destroying its key; without it a key lasts until rotated",
        examples: ["week"],
      }),
    tier: z
      .strictObject({
        s3: s3Tier
          .optional()
          .meta({ description: "storage class at S3 sites; without it the bucket's default", examples: ["STANDARD_IA"] }),
        gcs: gcsTier
          .optional()
          .meta({ description: "storage class at GCS sites; without it the bucket's default", examples: ["NEARLINE"] }),
      })
      .optional()
      .meta({
        description:
          "storage class of data packs, per kind of site; only ones with instant access and more than one zone. Manifests and commits stay in the bucket's default",
      }),
  })
  .meta({ description: "one class, by its name" })

const copies = z.int().min(1).max(16)

export const configSchema = z
  .strictObject({
    version: z.literal(1).meta({ description: "the form of this file; always 1" }),
    agent: nameSchema.meta({
      description: "the name of this host as an agent; it starts the name of every object it writes, so no two hosts share one",
      examples: ["pbx-fra-1"],
    }),
    state: path.meta({
      description: "directory of the catalog, the spool and the ledger; relative to the project directory",
      examples: ["/var/lib/holdline"],
    }),
    trust: z
      .strictObject({
        file: path.meta({
          description: "the trust list this host starts from; relative to the project directory",
          examples: ["/etc/holdline/trust.json"],
        }),
        root: z
          .string()
          .regex(/^SHA256:(?:[A-Za-z0-9+/]{43}|…)$/, 'expected a fingerprint: "SHA256:" and 43 characters')
          .meta({
            title: "fingerprint",
            description: `fingerprint of the offline root key, as printed on the escrow sheet; the placeholder "${unpinnedRoot}" fits no key, so that nothing is trusted until it is replaced`,
            examples: [unpinnedRoot],
          }),
      })
      .meta({ description: "whom this host believes" }),
    signingKey: secretReference.optional().meta({
      description: "the key that signs this host's commits; needed by agents and keepers, not by a host that only restores",
      examples: [{ file: "/etc/holdline/agent.key" }],
    }),
    spool: z
      .strictObject({
        max: size
          .refine((bytes) => bytes >= inFlightBytesMax, "expected at least 128 MiB")
          .prefault("20 GiB")
          .meta({
            description:
              "most bytes of packs that may wait on this host while too few sites answer; when it is full, reading stops and the run is partial",
            examples: ["20 GiB"],
          }),
      })
      .prefault({})
      .meta({ description: "what waits on this host until enough sites hold it" }),
    ledger: z
      .strictObject({
        days: z
          .int()
          .min(180)
          .max(36_500)
          .prefault(2192)
          .meta({
            description:
              "how long this host's ledger keeps what was done, by whom and with what outcome, in days; older entries are removed once what follows them is signed. The default is six years",
            examples: [2192],
          }),
      })
      .prefault({})
      .meta({ description: "this host's record of what was done" }),
    durable: z
      .strictObject({
        copies: copies.prefault(2).meta({ description: "how many sites must hold a commit and all it needs", examples: [2] }),
        providers: copies.prefault(2).meta({
          description: "of how many different providers these sites must be; at most `copies`",
          examples: [2],
        }),
      })
      .prefault({})
      .meta({ description: "when a run is durable; a job may ask for more, never for less" }),
    classes: z
      .record(nameSchema, classSchema)
      .prefault({})
      .meta({
        description: "how long, in which tier and with which key epochs data is kept, by class name",
        examples: [{ "state-35": { days: 35, reuseDays: 7 } }],
      }),
    retention: configRetention.optional(),
    sites: z
      .record(nameSchema, siteSettings)
      .refine((sites) => Object.keys(sites).length > 0, { error: "expected at least one site" })
      .meta({ description: "where packs are kept, by site name" }),
    databases: z
      .record(nameSchema, z.discriminatedUnion("kind", [postgresSettings.extend({ password }), mariadbSettings.extend({ password })]))
      .prefault({})
      .meta({
        description: "databases that jobs capture and restores fill, by a name of your own",
        examples: [{ pbx: { kind: "postgres", host: "/run/postgresql", name: "fusionpbx", user: "holdline" } }],
      }),
    notify: notifySchema.optional(),
    listen: listenSchema.optional(),
    witness: z
      .array(
        z.strictObject({
          agent: nameSchema.meta({ description: "whose it is", examples: ["pbx-fra-1"] }),
          dataset: nameSchema.meta({ description: "what is judged", examples: ["cdrs"] }),
          rpo: duration.meta({ description: "how old its newest complete snapshot at enough sites may get", examples: ["6h"] }),
        }),
      )
      .nonempty()
      .optional()
      .meta({
        description:
          "datasets that `holdline witness` judges on this machine; where none is named, those of its own jobs that have an objective",
        examples: [[{ agent: "pbx-fra-1", dataset: "cdrs", rpo: "6h" }]],
      }),
  })
  .superRefine(
    (config, context) => {
      for (const rule of configRules(config))
        context.addIssue({ code: "custom", path: [...rule.path], message: rule.sentence, input: config })
    },
    { when: () => true },
  )

/** What `config/holdline.yaml` says, with defaults filled in. */
export type Config = z.output<typeof configSchema>

const dayMs = 86_400_000
const share = z.number().gt(0, "expected a share above 0, such as 0.5").max(1, "expected a share of at most 1, such as 0.5")

const timeZone = z.string().refine(isTimeZone, { error: "expected a time zone such as Europe/Berlin or UTC" }).meta({ title: "time zone" })

export const jobSchema = z
  .strictObject({
    version: z.literal(1).meta({ description: "the form of this file; always 1" }),
    mode: z.enum(["archive", "state"]).meta({
      description:
        "`archive`: the source only gains things (recordings, call records); each run adds what has settled since. `state`: the source is a whole that changes (a database, a configuration); each run is a complete snapshot",
      examples: ["archive"],
    }),
    source: sourceSettings.meta({ description: "where data is read" }),
    class: nameSchema.meta({ description: "how long it is kept: the name of a class in the configuration", examples: ["recordings-90"] }),
    sites: z
      .array(nameSchema)
      .nonempty()
      .refine((sites) => new Set(sites).size === sites.length, { error: "expected each site once" })
      .meta({
        description: "where it is kept: names of sites in the configuration, each once",
        examples: [["fra", "s3-dub", "gcs-bru"]],
        uniqueItems: true,
      }),
    dataset: nameSchema
      .optional()
      .meta({ description: "what the captured data is called; default: the job's name", examples: ["call-recordings"] }),
    schedule: scheduleSchema.optional(),
    timezone: timeZone.prefault("UTC").meta({ description: "time zone of `schedule` and its windows", examples: ["Europe/Berlin"] }),
    objective: z
      .strictObject({
        rpo: duration.meta({
          description: "recovery point: how old the newest durable snapshot may get before it is an alarm",
          examples: ["6h"],
        }),
        rto: duration.meta({
          description: "recovery time: how long a restore may take; drills are measured against it",
          examples: ["72h"],
        }),
      })
      .optional()
      .meta({ description: "what was promised for this data; status, drills and alarms measure against it" }),
    afterExpiry: z
      .enum(["recapture", "let-go"])
      .optional()
      .meta({
        description:
          "archive mode: what happens to an item that expired while the source still holds it. `recapture`: it is captured again; `let-go`: it is left. Default recapture, so that nothing the source holds is without a backup",
        examples: ["let-go"],
      }),
    retention: jobRetention(nameSchema).optional(),
    links: z
      .strictObject({
        from: nameSchema.meta({
          description: "the dataset whose rows point at these files, captured by a `cdrs` job that runs before this one",
          examples: ["cdrs"],
        }),
        window: duration
          .refine((ms) => ms >= dayMs && ms <= linkDaysMax * dayMs, `expected 1d to ${String(linkDaysMax)}d`)
          .prefault("35d")
          .meta({ description: `how far back rows are held against files; 1d to ${String(linkDaysMax)}d`, examples: ["35d"] }),
        tolerate: z
          .int()
          .min(0)
          .prefault(0)
          .meta({
            description: "how many rows may point at files that are missing without a reason before the run is partial",
            examples: [0],
          }),
      })
      .optional()
      .meta({
        description:
          "archive of a directory: which rows point at its files. Each run says how many of them are kept, and why others are not",
        examples: [{ from: "cdrs" }],
      }),
    guard: z
      .strictObject({
        shrink: share.optional().meta({
          description: `state mode: a run that finds less than it found before by more than this share is partial, and an anomaly; default ${String(shrunkDatabaseShareMin)} for databases and dumps, ${String(shrunkShareMin)} for directories`,
          examples: [0.5],
        }),
        change: share.optional().meta({
          description: `archive of a directory: so is one in which more than this share of the files of the last ${String(massChangeDays)} days went away or changed within a day; default ${String(massChangeShareMin)}`,
          examples: [0.3],
        }),
      })
      .optional()
      .meta({ description: "from when on a loss at the source is an anomaly, which keeps what was captured before from expiring" }),
    durable: z
      .strictObject({
        copies: copies
          .optional()
          .meta({ description: "how many sites must hold it; at least the configuration's, which is the default", examples: [3] }),
        providers: copies
          .optional()
          .meta({ description: "of how many different providers; at least the configuration's, which is the default", examples: [2] }),
      })
      .optional()
      .meta({ description: "more copies than the configuration asks for" }),
  })
  .superRefine(
    (job, context) => {
      for (const rule of jobRules(job)) context.addIssue({ code: "custom", path: [...rule.path], message: rule.sentence, input: job })
    },
    { when: () => true },
  )

/** What a file in `jobs/` says, before the configuration and its name complete it. */
export type JobFile = z.output<typeof jobSchema>
