import { z } from "zod"
import { durationSchema } from "../source/duration.ts"
import { isTimeZone } from "../time-zone.ts"
import { timeOfDay, weeklyWindow } from "./schedule.ts"
import { nameSchema, secretReference } from "./values.ts"

const address = z.email({ error: "expected an address such as ops@example.net" })
const duration = durationSchema.refine((ms) => ms > 0, "expected a duration above zero").meta({ title: "duration" })

const mail = z.strictObject({
  kind: z.literal("mail"),
  host: z
    .string()
    .min(1)
    .max(253)
    .meta({ description: "the mail server", examples: ["smtp.example.net"] }),
  port: z
    .int()
    .min(1)
    .max(65_535)
    .prefault(587)
    .meta({ description: "its port", examples: [587] }),
  tls: z
    .enum(["implicit", "starttls", "none"])
    .prefault("starttls")
    .meta({
      description:
        "`starttls`: refused where the server has none; `implicit`: from the first byte, mostly port 465; `none`: servers on this host only",
      examples: ["starttls"],
    }),
  user: z
    .string()
    .min(1)
    .max(500)
    .optional()
    .meta({ description: "whom to log in as; without it nobody is", examples: ["holdline@example.net"] }),
  password: secretReference.optional().meta({ description: "the user's password", examples: [{ file: "/etc/holdline/smtp.password" }] }),
  from: address.meta({ description: "who it is from", examples: ["holdline@example.net"] }),
  to: z
    .array(address)
    .nonempty()
    .max(50)
    .meta({ description: "who gets it", examples: [["ops@example.net"]] }),
})

const webhook = z.strictObject({
  kind: z.literal("webhook"),
  url: secretReference.meta({
    description: "where JSON is posted; a secret, since whoever knows it may post there. Plain http is for servers on this host only",
    examples: [{ file: "/etc/holdline/hook.url" }],
  }),
  secret: secretReference.optional().meta({
    description: "signs each post with HMAC-SHA-256, so that the receiver knows whom it is from",
    examples: [{ file: "/etc/holdline/hook.secret" }],
  }),
})

const slack = z.strictObject({
  kind: z.literal("slack"),
  url: secretReference.meta({
    description: "an incoming webhook of Slack, or of what takes the same",
    examples: [{ env: "SLACK_WEBHOOK" }],
  }),
})

const pagerduty = z.strictObject({
  kind: z.literal("pagerduty"),
  routingKey: secretReference.meta({
    description: "the integration key of a service (Events API v2)",
    examples: [{ credential: "pagerduty" }],
  }),
  url: secretReference.optional().meta({ description: "another address than PagerDuty's, such as that of its service region in the EU" }),
})

const channelNames = z.array(nameSchema).max(20)

/** Who is told of what. */
export const notifySchema = z
  .strictObject({
    channels: z
      .record(nameSchema, z.discriminatedUnion("kind", [mail, webhook, slack, pagerduty]))
      .meta({ description: "ways to people, by a name of your own", examples: [{ ops: { kind: "mail", host: "smtp.example.net" } }] }),
    critical: channelNames
      .nonempty()
      .meta({ description: "told at once, day and night, that something promised is not kept", examples: [["ops", "pager"]] }),
    warning: channelNames.nonempty().meta({ description: "told of what somebody has to look at within days", examples: [["ops"]] }),
    settle: duration.prefault("10m").meta({
      description: "how long something must be gone before it counts as over: what comes and goes is one alarm",
      examples: ["10m"],
    }),
    quiet: z
      .array(weeklyWindow)
      .max(20)
      .prefault([])
      .meta({
        description: "windows of each week in which warnings wait; critical alarms never do",
        examples: [[{ from: "22:00", to: "07:00" }]],
      }),
    timezone: z
      .string()
      .refine(isTimeZone, { error: "expected a time zone such as Europe/Berlin" })
      .prefault("UTC")
      .meta({ description: "time zone of `quiet` and `digest`", examples: ["Europe/Berlin"] }),
    escalate: z
      .array(
        z.strictObject({
          after: duration.meta({ description: "how long after it became critical", examples: ["30m"] }),
          to: channelNames.nonempty().meta({ description: "who is told then", examples: [["boss"]] }),
        }),
      )
      .max(10)
      .refine(
        (steps) => steps.every(({ after }, index) => after > (steps[index - 1]?.after ?? 0)),
        "expected each step later than the one before",
      )
      .prefault([])
      .meta({
        description: "who else is told of a critical alarm that nobody took with `holdline alarm take`",
        examples: [[{ after: "30m", to: ["boss"] }]],
      }),
    digest: z
      .strictObject({
        at: timeOfDay.meta({ title: "time of day", description: "when, each day", examples: ["08:00"] }),
        to: channelNames.nonempty().meta({ description: "who gets it", examples: [["ops"]] }),
      })
      .optional()
      .meta({ description: "all that is open, once a day; also where nothing is, so that silence means something" }),
    deadman: z
      .strictObject({
        url: secretReference.meta({
          description: "an address that raises an alarm itself when it is not asked for a while",
          examples: [{ env: "DEADMAN_URL" }],
        }),
        every: duration
          .prefault("5m")
          .meta({ description: "how often it is asked, while this host looks after everything", examples: ["5m"] }),
      })
      .optional()
      .meta({ description: "a dead man's switch elsewhere, for when this host can say nothing any more" }),
  })
  .superRefine(({ channels, critical, warning, escalate, digest }, context) => {
    const lists: readonly { readonly path: readonly (string | number)[]; readonly names: readonly string[] }[] = [
      { path: ["critical"], names: critical },
      { path: ["warning"], names: warning },
      ...escalate.map(({ to }, index) => ({ path: ["escalate", index, "to"], names: to })),
      ...(digest === undefined ? [] : [{ path: ["digest", "to"], names: digest.to }]),
    ]
    for (const { path, names } of lists)
      for (const [index, name] of names.entries())
        if (!Object.hasOwn(channels, name))
          context.addIssue({ code: "custom", path: [...path, index], message: `${name}: no such channel` })
  })
  .meta({ description: "who is told when something is wrong; without it this host tells nobody" })
export type NotifySettings = z.output<typeof notifySchema>
