import { existsSync } from "node:fs"
import { resolve } from "node:path"
import type { Command } from "commander"
import { visible } from "../report/visible.ts"
import type { Loaded } from "../wiring/config.ts"
import {
  environmentFile,
  installUnit,
  launcherHere,
  removeUnit,
  type Service,
  type ServiceOptions,
  serviceOf,
  unitName,
} from "../wiring/service.ts"
import type { Bench } from "./bench.ts"
import { manual } from "./manual.ts"

export function addServiceCommands(service: Command, bench: Bench): void {
  service.description("The systemd service that keeps `holdline serve` running on this host.")
  addShow(service, bench)
  addInstall(service, bench)
  addUninstall(service, bench)
}

interface UnitFlags {
  readonly user: string
  readonly group?: string
  readonly readAll?: boolean
  readonly credentials: string
}

function withUnitOptions(command: Command): Command {
  return command
    .option("--user <name>", "whom it runs as; root only where this says so", "holdline")
    .option("--group <name>", "default: the user's own")
    .option("--read-all", "let it read files of all users, such as recordings of the switch (CAP_DAC_READ_SEARCH)")
    .option("--credentials <directory>", "where the secrets are that the configuration calls credentials", "/etc/credstore")
}

function addShow(service: Command, bench: Bench): void {
  const command = withUnitOptions(service.command("show"))
    .summary("print the unit, and write nothing")
    .description("Prints the unit that `service install` writes, for this configuration.")
    .action(async (flags: UnitFlags) => {
      const { unit } = serviceOf(await bench.load(), optionsOf(flags, bench))
      bench.stdout.write(bench.flags.json ? `${JSON.stringify({ type: "unit", name: unitName, text: unit })}\n` : unit)
    })
  manual(command, {
    examples: [["holdline service show", "see what it may do before it is installed"]],
    reads: "the configuration and the jobs",
    writes: "nothing",
    exits: ["done", "usage", "notFound"],
  })
}

function addInstall(service: Command, bench: Bench): void {
  const command = withUnitOptions(service.command("install"))
    .summary("write the unit, and say what to do next")
    .description(
      "Writes the unit for this configuration and says what comes next; it starts nothing. The configuration is named by its path: once " +
        "sites, secrets or the state directory are others, install it again.",
    )
    .option("--directory <directory>", "where units are", unitDirectory)
    .option("--force", "replace a unit that says something else")
    .action((flags: UnitFlags & { readonly directory: string; readonly force?: boolean }) => install(flags, bench))
  manual(command, {
    examples: [
      ["holdline --config /etc/holdline/holdline.yaml service install", "as root, with the configuration it is to use"],
      ["holdline service install --read-all", "where recordings belong to the switch's user"],
    ],
    reads: "the configuration and the jobs",
    writes: `${unitName} in the directory of units`,
    exits: ["done", "failed", "usage", "notFound"],
  })
}

const unitDirectory = "/etc/systemd/system"

async function install(flags: UnitFlags & { readonly directory: string; readonly force?: boolean }, bench: Bench): Promise<void> {
  const loaded = await bench.load()
  const options = optionsOf(flags, bench)
  const service = serviceOf(loaded, options)
  const directory = resolve(bench.cwd, flags.directory)
  const written = await installUnit(directory, service.unit, { replace: flags.force === true, random: bench.random })
  bench.out(`${bench.paint.status("good", written ? "written" : "unchanged")}  ${visible(`${directory}/${unitName}`)}`)
  for (const [name, { message }] of loaded.invalidJobs)
    bench.note(`${name}: cannot be followed, so its secrets are not counted: ${message}`)
  bench.note(...stepsBefore(loaded, options, service).flatMap((step) => ["", step]))
  bench.note("", bench.notePaint.next("systemctl daemon-reload && systemctl enable --now holdline"))
  bench.record("summary", {
    command: "service install",
    path: `${directory}/${unitName}`,
    written,
    credentialFiles: service.credentialFiles,
  })
}

/** What this host lacks for a start, as far as it can be seen. */
function stepsBefore({ config }: Loaded, { user, launcher }: ServiceOptions, service: Service): string[] {
  const missing = service.credentialFiles.filter((path) => !existsSync(path))
  const steps: string[] = []
  if (user !== "root")
    steps.push(
      `where there is no user ${user} yet: useradd --system --user-group --home-dir ${config.state} --shell /usr/sbin/nologin ${user}`,
      `its key and secrets have to be its own: chown ${user} the files that the configuration names, mode 0600`,
    )
  const personal = [launcher.node, launcher.bin].filter((path) => user !== "root" && /^\/(?:root|home)\//.test(path))
  if (personal.length > 0) steps.push(`${user} has to be able to read: ${personal.join(", ")}`)
  if (!service.makesState && !existsSync(config.state))
    steps.push(`the state directory has to be there: install -d -o ${user} -m 0700 ${config.state}`)
  if (missing.length > 0) steps.push(`not there yet, and needed by the start, owned by root, mode 0600: ${missing.join(", ")}`)
  if (service.variables.length > 0) steps.push(`to be set in ${environmentFile}, owned by root, mode 0600: ${service.variables.join(", ")}`)
  return steps.map(visible)
}

function addUninstall(service: Command, bench: Bench): void {
  const command = service
    .command("uninstall")
    .summary("remove the unit")
    .description("Removes the unit once it is disabled. What is kept, the configuration and the keys stay where they are.")
    .option("--directory <directory>", "where units are", unitDirectory)
    .option("--force", "remove a unit that was written by somebody else")
    .action(async ({ directory: given, force = false }: { readonly directory: string; readonly force?: boolean }) => {
      const directory = resolve(bench.cwd, given)
      const removed = await removeUnit(directory, { force })
      bench.out(`${bench.paint.status("good", removed ? "removed" : "not there")}  ${visible(`${directory}/${unitName}`)}`)
      if (removed) bench.note("", bench.notePaint.next("systemctl daemon-reload"))
      bench.record("summary", { command: "service uninstall", path: `${directory}/${unitName}`, removed })
    })
  manual(command, {
    examples: [["holdline service uninstall", "after: systemctl disable --now holdline"]],
    reads: "the unit",
    writes: `removes ${unitName} from the directory of units`,
    exits: ["done", "failed", "usage"],
  })
}

function optionsOf({ user, group, readAll = false, credentials }: UnitFlags, bench: Bench): ServiceOptions {
  return { user, group, readsAll: readAll, credentials: resolve(bench.cwd, credentials), launcher: launcherHere() }
}
