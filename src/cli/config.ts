import { Argument, type Command } from "commander"
import { ConfigError } from "../errors.ts"
import { count } from "../units.ts"
import { explain, explanationText } from "../wiring/explain.ts"
import { jsonSchemas } from "../wiring/fields.ts"
import { schemaText } from "../wiring/reference.ts"
import { show } from "../wiring/show.ts"
import type { Bench } from "./bench.ts"
import { manual } from "./manual.ts"

export function addConfigCommands(config: Command, bench: Bench): void {
  config.description("Checks, shows and explains the configuration and the job files.")
  addValidate(config, bench)
  addShow(config, bench)
  addExplain(config, bench)
  addSchema(config, bench)
}

function addValidate(config: Command, bench: Bench): void {
  const command = config
    .command("validate")
    .summary("check the configuration and every job")
    .description("Checks the configuration and every job file, and reports all mistakes at once as file:line:column.")
    .action(() => validate(bench))
  manual(command, {
    examples: [
      ["holdline config validate", "what this host would use"],
      ["holdline --config new/holdline.yaml config validate", "a configuration before it is put in place"],
    ],
    reads: "the configuration and the job files; no secret and no site",
    writes: "nothing",
    exits: ["done", "usage", "notFound"],
  })
}

async function validate(bench: Bench): Promise<void> {
  const { path, jobs, invalidJobs } = await bench.load()
  if (invalidJobs.size > 0) {
    const message = [...invalidJobs.values()].map((error) => error.message).join("\n")
    throw new ConfigError("config/invalid", message, { hint: "`holdline config explain KEY` says what a key means, such as job.source" })
  }
  bench.out(`${bench.paint.status("good", "valid")}  ${path}, ${count(jobs.size, "job")}`)
  bench.record("summary", { command: "config validate", config: path, jobs: jobs.size })
}

function addShow(config: Command, bench: Bench): void {
  const command = config
    .command("show")
    .summary("print the configuration as it is used")
    .description("Prints the configuration with its fragments, defaults and overrides, as YAML. Secrets appear as the references they are.")
    .option("--origin", "say at each value which line, variable, flag or default set it")
    .action(async ({ origin = false }: { origin?: boolean }) => {
      const loaded = await bench.load()
      for (const line of show(loaded, { origin }).trimEnd().split("\n")) bench.out(line)
      bench.record("config", { config: loaded.effective })
      bench.record("summary", { command: "config show", config: loaded.path })
    })
  manual(command, {
    examples: [
      ["holdline config show", "what is in force"],
      ["holdline config show --origin", "and which line says so"],
    ],
    reads: "the configuration",
    writes: "nothing",
    exits: ["done", "usage", "notFound"],
  })
}

function addExplain(config: Command, bench: Bench): void {
  const command = config
    .command("explain")
    .summary("say what a key means")
    .description("Says what a key of the configuration or of a job means, what it must be, and its default.")
    .argument("<key>", "a key such as durable.copies, sites.*.provider or job.source.template")
    .action((key: string) => {
      const explanation = explain(key)
      bench.out(...explanationText(explanation).split("\n"))
      bench.record("key", explanation)
      bench.record("summary", { command: "config explain" })
    })
  manual(command, {
    examples: [
      ["holdline config explain durable", "when a run is durable"],
      ["holdline config explain job.source.template", "how recordings are told apart by their path"],
    ],
    reads: "nothing",
    writes: "nothing",
    exits: ["done", "notFound"],
  })
}

function addSchema(config: Command, bench: Bench): void {
  const command = config
    .command("schema")
    .summary("print the JSON Schema, for editors")
    .description("Prints the JSON Schema of the configuration or of a job, for editors that complete and check YAML.")
    .addArgument(new Argument("<what>", "which of the two").choices(["config", "job"]))
    .action((what: "config" | "job") => {
      bench.stdout.write(schemaText(jsonSchemas()[what]))
    })
  manual(command, {
    examples: [["holdline config schema job > job.schema.json", "then in a job: # yaml-language-server: $schema=…"]],
    reads: "nothing",
    writes: "nothing",
    exits: ["done", "usage"],
  })
}
