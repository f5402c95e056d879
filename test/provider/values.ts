import type { WorldAccount } from "../world/accounts.ts"
import { outsideNumber } from "../world/accounts.ts"
import type { Dice } from "../world/dice.ts"
import type { ProviderColumn, ProviderTable } from "./fusionpbx-tables.ts"

/** What a row is made for; the platform's own rows have no account. */
export interface RowOf {
  readonly account: WorldAccount | null
  /** The number of the row within its table. */
  readonly index: number
}

/** Fields as COPY and LOAD DATA read them, in the manner that their column's name promises. */
export type Field = (row: RowOf) => string

/** Values drawn from one seed: the same table filled twice has the same rows. */
export class Values {
  readonly #dice: Dice
  readonly #nowMs: number
  #hex = ""
  #at = 0

  constructor(dice: Dice, nowMs: number) {
    this.#dice = dice
    this.#nowMs = nowMs
  }

  /** One line of the table for each row asked for. */
  lineOf(table: ProviderTable): (row: RowOf) => string {
    const fields = table.columns.map((column, index) => this.#fieldOf(column, index === 0))
    return (row) => {
      let line = ""
      for (const field of fields) line += line === "" ? field(row) : `\t${field(row)}`
      return `${line}\n`
    }
  }

  uuid(): string {
    if (this.#at + 32 > this.#hex.length) {
      this.#hex = this.#dice.bytes(32 * 1024).toString("hex")
      this.#at = 0
    }
    const [hex, at] = [this.#hex, this.#at]
    this.#at += 32
    return `${hex.slice(at, at + 8)}-${hex.slice(at + 8, at + 12)}-4${hex.slice(at + 13, at + 16)}-a${hex.slice(at + 17, at + 20)}-${hex.slice(at + 20, at + 32)}`
  }

  #fieldOf({ name, type }: ProviderColumn, isKey: boolean): Field {
    if (name === "domain_uuid") return ({ account }) => account?.uuid ?? "\\N"
    if (name === "insert_date") return () => this.#moment()
    if (name === "update_date") return () => (this.#dice.chance(0.3) ? this.#moment() : "\\N")
    switch (type) {
      case "uuid":
        return isKey ? () => this.uuid() : () => (this.#dice.chance(0.7) ? this.uuid() : "\\N")
      case "numeric":
        return name.endsWith("epoch") ? () => String(Math.round(this.#pastMs() / 1000)) : () => String(this.#dice.between(0, 999))
      case "boolean":
        return () => (this.#dice.chance(0.5) ? "t" : "f")
      case "timestamptz":
        return () => (this.#dice.chance(0.8) ? this.#moment() : "\\N")
      case "json":
      case "jsonb":
        return ({ account, index }) =>
          `[{"destination_app": "transfer", "destination_data": "${100 + (index % 900)} XML ${account?.domain ?? "public"}"}]`
      case "character(1)":
        return () => "a"
      case "text":
        return this.#textOf(name)
    }
  }

  #textOf(name: string): Field {
    const [, kind] = texts.find(([pattern]) => pattern.test(name)) ?? [null, "word"]
    const dice = this.#dice
    switch (kind) {
      case "nothing":
        return () => "\\N"
      case "secret":
        return () => dice.bytes(15).toString("base64url")
      case "domain":
        return ({ account }) => account?.domain ?? "public"
      case "digits":
        return ({ index }) => (dice.chance(0.4) ? String(100 + (index % 900)) : dice.chance(0.5) ? outsideNumber(dice) : "\\N")
      case "person":
        return ({ account }) => account?.extensions[dice.between(0, account.extensions.length - 1)]?.name ?? dice.pick(words)
      case "phrase":
        return () => (dice.chance(0.4) ? dice.pick(phrases) : "\\N")
      case "agent":
        return () => `Mozilla/5.0 (X11; Linux x86_64) Gecko/20100101 Firefox/${dice.between(90, 140)}.0`
      case "address":
        return () => `198.51.100.${dice.between(1, 254)}`
      case "xml":
        return ({ account, index }) => xml(account?.domain ?? "public", index, this.uuid())
      case "image":
        return ({ account, index }) =>
          dice.chance(0.8)
            ? `{"${dice.pick(words)}_uuid": "${this.uuid()}", "number": "${100 + (index % 900)}", "context": "${account?.domain ?? "public"}", "value": "${dice.pick(phrases)}", "enabled": "true"}`
            : "\\N"
      default:
        return () => (dice.chance(0.45) ? dice.pick(words) : "\\N")
    }
  }

  #pastMs(): number {
    return this.#nowMs - Math.floor(this.#dice.next() * 700 * 86_400_000)
  }

  #moment(): string {
    return momentText(this.#pastMs())
  }
}

/** A moment as Postgres reads it into `timestamptz`. */
export function momentText(ms: number): string {
  return `${new Date(ms).toISOString().replace("T", " ").slice(0, -1)}+00`
}

const texts: readonly (readonly [RegExp, string])[] = [
  [/base64|_content$/, "nothing"],
  [/password|api_key|secret|salt|pin_number|_pin$|validator/, "secret"],
  [/domain|context|realm|accountcode|server_address|^from_|proxy/, "domain"],
  [/user_agent|provisioned_agent/, "agent"],
  [/_xml$|^xml$|_body$/, "xml"],
  [/transaction_(?:old|new)/, "image"],
  [/(?:_ip|_addr|remote_address|cidr)$/, "address"],
  [/number|extension|destination|voicemail_id|regex|auth_id|user_id/, "digits"],
  [/description|note|message|transcription|greeting|summary|subject|_data$|_param$/, "phrase"],
  [/name|label|email/, "person"],
]

const words = [
  "sip",
  "true",
  "default",
  "local",
  "user_exists",
  "answer",
  "park",
  "line",
  "speed_dial",
  "blf",
  "simultaneous",
  "inbound",
  "numeric",
  "text",
  "America/Chicago",
  "en",
] as const

// Each as COPY reads it: the last ones have a tab, a line's end, a backslash and what is not ASCII.
const phrases = [
  "Main line",
  "Front desk, first floor",
  "After hours",
  "Rings all telephones of the department and then voicemail",
  "Do not change: agreed with the customer",
  "Moved from the old switch",
  "Ansage für Feiertage",
  "Réception",
  "one\\ttab",
  "two\\nlines",
  "C:\\\\Users\\\\desk",
] as const

function xml(context: string, index: number, uuid: string): string {
  const number = 100 + (index % 900)
  return (
    `<extension name="${number}" continue="false" uuid="${uuid}">\\n` +
    `  <condition field="destination_number" expression="^${number}$">\\n` +
    `    <action application="set" data="ringback=\${us-ring}" inline="true"/>\\n` +
    `    <action application="set" data="hangup_after_bridge=true" inline="true"/>\\n` +
    `    <action application="export" data="call_timeout=30" inline="true"/>\\n` +
    `    <action application="bridge" data="user/${number}@${context}"/>\\n` +
    `  </condition>\\n</extension>`
  )
}
