import type { Command } from "commander"
import type { Alarm } from "../alarm/alarm.ts"
import { table } from "../report/table.ts"
import { visible } from "../report/visible.ts"
import { count } from "../units.ts"
import { lookOnce, pingDeadman, readAlarms, takeAlarm } from "../wiring/notify.ts"
import type { Bench } from "./bench.ts"
import { manual } from "./manual.ts"
import { personFrom } from "./person.ts"
import { rendererFor } from "./progress.ts"

export function addAlarmCommands(alarm: Command, bench: Bench): void {
  alarm.description("What is wrong on this host, who was told of it, and who takes care of it.")
  addList(alarm, bench)
  addLook(alarm, bench)
  addTake(alarm, bench)
}

function addList(alarm: Command, bench: Bench): void {
  const command = alarm
    .command("list")
    .summary("list what is open")
    .description("Lists the alarms that the last look left open, oldest first.")
    .action(async () => {
      const { memory, outbox } = await readAlarms(await bench.load())
      show(memory.alarms, bench)
      for (const { channel, why } of outbox.failing) bench.out(`${bench.paint.status("bad", "silent")}  ${channel}: ${visible(why)}`)
      bench.record("summary", { command: "alarm list", open: memory.alarms.length, failing: outbox.failing })
    })
  manual(command, {
    examples: [["holdline alarm list", "what somebody was told of and is not over"]],
    reads: "what this host remembers of its last look",
    writes: "nothing",
    exits: ["done", "failed", "usage"],
  })
}

function addLook(alarm: Command, bench: Bench): void {
  const command = alarm
    .command("look")
    .summary("look once what is wrong, and tell whom it concerns")
    .description(
      "Looks once at every job and site, as this host remembers them, and tells by the channels of `notify` what began, became worse, was " +
        "taken by nobody, or is over; each once. `holdline serve` does it every minute; without it, cron does.",
    )
    .action(() => look(bench))
  manual(command, {
    examples: [["holdline alarm look", "from cron, every five minutes"]],
    reads: "the configuration, and what this host remembers; no site",
    writes: "messages by the channels of `notify`; what was told of",
    exits: ["done", "failed", "usage", "busy", "findings"],
  })
}

async function look(bench: Bench): Promise<void> {
  const loaded = await bench.load()
  const renderer = rendererFor(bench, "alarm look")
  const io = bench.io(renderer)
  using catalog = await bench.openCatalog()
  const alarms = await lookOnce(loaded, catalog, io)
  await pingDeadman(loaded, io)
  renderer.end()
  show(alarms, bench)
  if (alarms.length > 0) bench.ends("findings")
  bench.record("summary", { command: "alarm look", open: alarms.length })
}

function addTake(alarm: Command, bench: Bench): void {
  const command = alarm
    .command("take")
    .summary("take care of an alarm, so that it escalates no further")
    .description("Says that somebody takes care of an alarm: it is still open, is told of when it is over, and goes to nobody else.")
    .argument("<alarm>", "its id, or the beginning of it")
    .option("--by <name>", "who takes it (default: the user's name on this host)")
    .action(async (id: string, options: { readonly by?: string }) => {
      const by = personFrom(options, bench)
      const taken = await takeAlarm(await bench.load(), { id, by }, bench.io({ tell: () => undefined }))
      bench.out(`${bench.paint.status("good", "taken")}  by ${visible(by)}: ${visible(taken.text)}`)
      bench.record("summary", { command: "alarm take", alarm: taken.id, by })
    })
  manual(command, {
    examples: [['holdline alarm take "job-late cdrs"', "somebody looks at it now"]],
    reads: "what this host remembers of its last look",
    writes: "who takes it",
    exits: ["done", "failed", "usage", "notFound", "busy"],
  })
}

function show(alarms: readonly Alarm[], bench: Bench): void {
  if (alarms.length === 0) bench.note("nothing is open")
  else
    bench.out(
      ...table(
        ["ALARM", "SINCE", "TAKEN", "WHAT"],
        alarms.map((alarm) => [
          alarm.id,
          bench.moment(new Date(alarm.sinceMs)),
          alarm.taken === null ? "" : visible(alarm.taken),
          bench.paint.status(alarm.severity === "critical" ? "bad" : "attention", visible(alarm.text)),
        ]),
      ),
    )
  const open = alarms.filter(({ taken, severity }) => taken === null && severity === "critical")
  const [first] = open
  if (first !== undefined)
    bench.note("", bench.notePaint.next(`holdline alarm take "${first.id}"   ${count(open.length, "critical alarm")} nobody has taken`))
  for (const alarm of alarms) bench.record("alarm", alarm)
}
