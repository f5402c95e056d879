import { z } from "zod"

/** Names of agents, classes, sites and jobs: they become parts of object names and file names. */
export const nameSchema = z
  .string()
  .regex(/^[a-z0-9][a-z0-9-]{0,62}$/, "expected a name of 1 to 63 lower-case letters, digits and dashes, such as fra-1")
  .meta({ title: "name" })

/** A file or directory of this host. */
export const path = z
  .string()
  .regex(/^[^\0]{1,4095}$/, "expected a path")
  .regex(/^(?!~)/, 'expected a path without "~": it is not expanded')
  .meta({ title: "path" })

/** `{file}`, `{env}` or `{credential}`: a secret itself can never be written in a configuration. */
export const secretReference = z
  .strictObject(
    {
      file: path.optional().meta({
        description: "a file that only its owner can read (mode 0600 or 0400); relative to the project directory",
        examples: ["/etc/holdline/agent.key"],
      }),
      env: z
        .string()
        .regex(/^[A-Za-z_][A-Za-z0-9_]*$/, "expected the name of an environment variable")
        .optional()
        .meta({ description: "an environment variable that holds the secret", examples: ["HOLDLINE_AGENT_KEY"] }),
      credential: z
        .string()
        .regex(/^[A-Za-z0-9_-][A-Za-z0-9._-]{0,254}$/, "expected the name of a systemd credential")
        .optional()
        .meta({ description: "a systemd credential (LoadCredential=), read from $CREDENTIALS_DIRECTORY", examples: ["agent.key"] }),
    },
    {
      error: (issue) =>
        issue.code === "invalid_type" && issue.input !== undefined
          ? "expected a reference to a secret, such as {file: /etc/holdline/agent.key}, {env: NAME} or {credential: NAME}; a secret itself is never written here"
          : undefined,
    },
  )
  .refine((reference) => Object.keys(reference).length === 1, { error: "expected exactly one of file, env and credential" })
  .meta({ title: "secret reference", minProperties: 1, maxProperties: 1 })

export type SecretReference = z.output<typeof secretReference>
