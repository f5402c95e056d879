import type { WorldAccount } from "./accounts.ts"
import type { Dice } from "./dice.ts"
import type { Disk } from "./disk.ts"

/** A switch's configuration: secrets in clear text, as switches keep them, odd modes, links, an empty directory. */
export function writeConfiguration(disk: Disk, accounts: readonly WorldAccount[], nowMs: number, dice: Dice): void {
  const mtimeMs = nowMs - 40 * 86_400_000
  const write = (path: string, text: string, mode = 0o640): void => {
    disk.write("config", path, Buffer.from(text), { mode, mtimeMs: mtimeMs - dice.between(0, 10_000_000) })
  }
  write("freeswitch.xml", `<document type="freeswitch/xml">\n  <X-PRE-PROCESS cmd="include" data="vars.xml"/>\n</document>\n`)
  write("vars.xml", `<include>\n  <X-PRE-PROCESS cmd="set" data="default_password=${secret(dice)}"/>\n</include>\n`)
  write("sip_profiles/internal.xml", `<profile name="internal">\n  <param name="rtp-timeout-sec" value="300"/>\n</profile>\n`)
  write("sip_profiles/external/carrier-a.xml", gateway("carrier-a", dice))
  write("sip_profiles/external/carrier-b.xml", gateway("carrier-b", dice))
  for (const module of ["switch", "sofia", "voicemail", "event_socket", "xml_cdr", "conference", "acl"]) {
    write(`autoload_configs/${module}.conf.xml`, moduleSettings(module, dice))
  }
  write("tls/wss.pem", `${dice.bytes(600).toString("base64")}\n`, 0o600)
  write("scripts/on-hangup.sh", "#!/bin/sh\nlogger hangup\n", 0o750)
  write("README", "Do not edit by hand.\n", 0o444)
  for (const account of accounts) {
    write(`dialplan/${account.domain}.xml`, dialplan(account))
    for (const extension of account.extensions) write(extensionPath(account, extension.number), extensionXml(extension.number, dice))
  }
  disk.directory("config", "chatplan", 0o2770)
  disk.link("config", "sip_profiles/default.xml", "internal.xml")
  disk.link("config", "timezone", "/usr/share/zoneinfo/Europe/Berlin")
  disk.link("config", "sip_profiles/retired.xml", "gone/retired.xml")
}

export function extensionPath(account: WorldAccount, number: string): string {
  return `directory/${account.domain}/${number}.xml`
}

export function extensionXml(number: string, dice: Dice): string {
  return `<include>
  <user id="${number}">
    <params>
      <param name="password" value="${secret(dice)}"/>
      <param name="vm-password" value="${String(dice.between(1000, 9999))}"/>
    </params>
    <variables>
      <variable name="user_context" value="default"/>
      <variable name="emergency_caller_id_number" value="+120255501${String(dice.between(10, 99))}"/>
    </variables>
  </user>
</include>
`
}

export function secret(dice: Dice): string {
  return dice.bytes(12).toString("base64url")
}

function gateway(name: string, dice: Dice): string {
  return `<include>
  <gateway name="${name}">
    <param name="username" value="${name}-user"/>
    <param name="password" value="${secret(dice)}"/>
    <param name="proxy" value="sip.${name}.example"/>
  </gateway>
</include>
`
}

function moduleSettings(module: string, dice: Dice): string {
  const lines = Array.from(
    { length: dice.between(5, 60) },
    (_, n) => `    <param name="${module}-${String(n)}" value="${String(dice.between(0, 9999))}"/>`,
  )
  return `<configuration name="${module}.conf">\n  <settings>\n${lines.join("\n")}\n  </settings>\n</configuration>\n`
}

function dialplan(account: WorldAccount): string {
  const entries = account.extensions.map(
    ({ number }) => `  <extension name="${number}">\n    <condition field="destination_number" expression="^${number}$"/>\n  </extension>`,
  )
  return `<context name="${account.domain}">\n${entries.join("\n")}\n</context>\n`
}
