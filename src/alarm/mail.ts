import { createTransport } from "nodemailer"
import { AlarmError, reasonOf } from "../errors.ts"
import type { Secret } from "../secret.ts"
import { type Channel, sendTimeoutMs } from "./channel.ts"

export interface MailSettings {
  readonly name: string
  readonly host: string
  readonly port: number
  /** From the first byte (implicit), by STARTTLS, which is then required, or none: loopback only. */
  readonly tls: "implicit" | "starttls" | "none"
  /** Certificates of authorities, in PEM; absent: those of the system. */
  readonly ca?: string
  readonly login: { readonly user: string; readonly password: Secret } | null
  readonly from: string
  readonly to: readonly string[]
}

/** Plain text over SMTP. Taken over is taken over by the server that is configured, for every address. */
export function mailChannel({ name, host, port, tls, ca, login, from, to }: MailSettings): Channel {
  return {
    name,
    async send({ id, host: sender, subject, text, time }, { signal }) {
      signal.throwIfAborted()
      const transport = createTransport({
        ...{ host, port, secure: tls === "implicit", requireTLS: tls === "starttls", ignoreTLS: tls === "none" },
        ...{ connectionTimeout: sendTimeoutMs, greetingTimeout: sendTimeoutMs, socketTimeout: sendTimeoutMs },
        ...(ca !== undefined && { tls: { ca } }),
        ...(login !== null && { auth: { user: login.user, pass: login.password.reveal() } }),
        // Nothing is read from a file or fetched for a message.
        ...{ disableFileAccess: true, disableUrlAccess: true },
      })
      const stop = (): void => transport.close()
      signal.addEventListener("abort", stop)
      try {
        const { rejected } = await transport.sendMail({
          ...{ from, to: [...to], subject, text, date: time },
          messageId: `<${id}@${sender}.holdline.invalid>`,
          headers: { "Auto-Submitted": "auto-generated", "X-Holdline-Host": sender },
        })
        if (rejected.length > 0)
          throw new AlarmError(name, "alarm/refused", `the server refused ${String(rejected.length)} of ${String(to.length)} addresses`)
      } catch (error) {
        signal.throwIfAborted()
        throw error instanceof AlarmError ? error : refusalOf(name, error)
      } finally {
        signal.removeEventListener("abort", stop)
        transport.close()
      }
    },
  }
}

function refusalOf(name: string, error: unknown): AlarmError {
  const response = error instanceof Error && "responseCode" in error && typeof error.responseCode === "number" ? error.responseCode : null
  // RFC 5321 §4.2.1: 4yz may be tried again, 5yz may not.
  if (response !== null && response >= 500)
    return new AlarmError(name, "alarm/refused", `the server answered ${String(response)}`, {
      cause: error,
      hint: "check the sender, the addresses and the login",
    })
  return new AlarmError(name, "alarm/unreachable", `cannot be reached: ${firstLine(reasonOf(error))}`, {
    cause: error,
    hint: "check the server's name, port and certificate, and whether this host may connect to it",
  })
}

function firstLine(text: string): string {
  return text.split("\n")[0] ?? ""
}
