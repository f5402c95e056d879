import type { Command } from "commander"
import { testNotice } from "../alarm/notice.ts"
import { AlarmError } from "../errors.ts"
import { randomId } from "../random.ts"
import { notifySettings, openChannels, pingDeadman } from "../wiring/notify.ts"
import type { Bench } from "./bench.ts"
import { sayFailure } from "./failure.ts"
import { manual } from "./manual.ts"

export function addNotifyCommands(notify: Command, bench: Bench): void {
  notify.description("Whom this host tells when something is wrong, as `notify` in the configuration says.")
  const command = notify
    .command("test")
    .summary("send a test by every channel")
    .description(
      "Sends a test by every channel, or by those that are named, and asks the dead man's switch. It fails where one does not take it.",
    )
    .argument("[channel...]", "names of channels in `notify.channels`")
    .action((names: readonly string[]) => test(names, bench))
  manual(command, {
    examples: [
      ["holdline notify test", "after every change of `notify`, and once a quarter"],
      ["holdline notify test pager", "one channel"],
    ],
    reads: "the configuration and its secrets",
    writes: "one message by each channel",
    exits: ["done", "failed", "usage", "notFound"],
  })
}

async function test(names: readonly string[], bench: Bench): Promise<void> {
  const loaded = await bench.load()
  const { deadman } = notifySettings(loaded)
  const io = bench.io({ tell: () => undefined })
  const channels = await openChannels(loaded, io, names.length === 0 ? undefined : names)
  const notice = testNotice({ id: randomId(bench.random), host: loaded.config.agent, time: bench.clock.now() })
  let taken = 0
  for (const channel of channels) taken += await tried(channel.name, () => channel.send(notice, { signal: bench.signal }), bench)
  const asksSwitch = deadman !== undefined && names.length === 0
  if (asksSwitch) taken += await tried("deadman", () => pingDeadman(loaded, io), bench)
  bench.record("summary", { command: "notify test", channels: channels.length + (asksSwitch ? 1 : 0), taken })
}

/** 1 where the other side took it. */
async function tried(name: string, send: () => Promise<void>, bench: Bench): Promise<0 | 1> {
  try {
    await send()
    bench.out(`${bench.paint.status("good", "taken")}  ${name}`)
    bench.record("channel", { name, taken: true })
    return 1
  } catch (error) {
    if (!(error instanceof AlarmError)) throw error
    bench.ends(sayFailure(error, bench, bench.flags))
    return 0
  }
}
