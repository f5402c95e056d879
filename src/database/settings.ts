import { z } from "zod"

const host = z
  .string()
  .min(1)
  .max(255)
  .meta({
    description:
      "name or address of the server; a path that starts with / is the directory of its socket (Postgres) or the socket (MariaDB)",
    examples: ["/run/postgresql", "db.example.net"],
  })

const tls = z
  .strictObject({
    ca: z
      .string()
      .min(1)
      .optional()
      .meta({
        description: "file of the certificates that sign the server's; default: those the system trusts",
        examples: ["/etc/holdline/db-ca.pem"],
      }),
    serverName: z.string().min(1).optional().meta({ description: "the name in the server's certificate, where it is not `host`" }),
    off: z
      .literal("loopback")
      .optional()
      .meta({ description: "`loopback`: no TLS to a server on this machine; anywhere else a connection without TLS is refused" }),
  })
  .meta({ description: "TLS is required, except over a socket; the server's certificate and name are always checked" })

const common = {
  host,
  port: z.int().min(1).max(65_535).optional().meta({ description: "default 5432 or 3306" }),
  name: z
    .string()
    .min(1)
    .max(64)
    .meta({ description: "the database on that server", examples: ["fusionpbx"] }),
  user: z
    .string()
    .min(1)
    .max(64)
    .meta({ description: "the role that Holdline reads as; `holdline source check` prints the SQL that makes it", examples: ["holdline"] }),
  tls: tls.prefault({}),
}

/** Where a database is and who asks; the password is a reference that `wiring` follows. */
export const postgresSettings = z.strictObject({ kind: z.literal("postgres"), ...common })
export const mariadbSettings = z.strictObject({ kind: z.literal("mariadb"), ...common })

export type DatabaseKind = "postgres" | "mariadb"
export type DatabaseSettings = z.infer<typeof postgresSettings> | z.infer<typeof mariadbSettings>
