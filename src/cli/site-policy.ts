import { type Command, Option } from "commander"
import { z } from "zod"
import { ConfigError } from "../errors.ts"
import { type Role, roles } from "../site/policy.ts"
import { gcsCommands, gcsDocument, gcsTerraform } from "../site/policy-gcs.ts"
import { s3Commands, s3Document, s3Terraform } from "../site/policy-s3.ts"
import type { Bench } from "./bench.ts"
import { manual } from "./manual.ts"
import { siteSettingsOf } from "./site-check.ts"

const formats = ["iam", "cli", "terraform"] as const
const optionsSchema = z.object({ role: z.enum(roles).optional(), format: z.enum(formats) })
type PolicyOptions = z.infer<typeof optionsSchema>

export function addSitePolicyCommand(site: Command, bench: Bench): void {
  const command = site
    .command("policy")
    .summary("print the rights that a site's credentials need, and no more")
    .description(
      "Prints what agents, keepers and restorers must be allowed to do at a site's two buckets, and nothing else, for somebody who may set " +
        "it; as commands or for Terraform also the buckets, with versions and lock. An agent gets its own prefix: --agent names another " +
        "host's. What stands in capitals is yours to fill in.",
    )
    .argument("<site>", "the name of an S3 or GCS site")
    .addOption(new Option("--role <role>", "for whom; all three where it is not given").choices(roles))
    .addOption(new Option("--format <format>", "IAM's own JSON, commands of aws or gcloud, or Terraform").choices(formats).default("iam"))
    .action(async (name: string, options: unknown) => await print(name, optionsSchema.parse(options), bench))
  manual(command, {
    examples: [
      ["holdline site policy s3-dub --role agent", "the policy of this host's agent, as JSON"],
      ["holdline site policy s3-dub --format cli", "commands that make the buckets and three policies"],
      ["holdline site policy gcs-bru --format terraform", "the same for Terraform"],
      ["holdline --agent pbx-fra-2 site policy s3-dub --role agent", "for another host"],
    ],
    reads: "the configuration",
    writes: "nothing",
    exits: ["done", "usage", "notFound"],
  })
}

async function print(name: string, { role, format }: PolicyOptions, bench: Bench): Promise<void> {
  const { config } = await bench.load()
  const document = documentOf(name, { role, format }, siteSettingsOf(name, config), config.agent)
  bench.out(...document.split("\n"))
  bench.record("policy", { site: name, role: role ?? "all", format, agent: config.agent, document })
  bench.record("summary", { command: "site policy", exit: 0 })
}

function documentOf(name: string, { role, format }: PolicyOptions, settings: ReturnType<typeof siteSettingsOf>, agent: string): string {
  const request = { site: name, agent }
  const chosen: readonly Role[] = role === undefined ? roles : [role]
  switch (settings.kind) {
    case "directory":
      throw new ConfigError("config/usage", `${name}: is a directory, which has owners and modes, not policies`, {
        hint: "let the agent's user own it, and nobody else write there",
      })
    case "s3":
      if (format === "cli") return s3Commands(settings, chosen, request)
      return format === "terraform" ? s3Terraform(settings, chosen, request) : json(s3Document(settings, role, request))
    case "gcs":
      if (format === "cli") return gcsCommands(settings, chosen, request)
      return format === "terraform" ? gcsTerraform(settings, chosen, request) : json(gcsDocument(settings, role, request))
  }
}

function json(document: object): string {
  return JSON.stringify(document, null, 2)
}
