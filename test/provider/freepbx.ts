import type { MariadbServer } from "../database/servers.ts"
import type { Call } from "../world/calls.ts"
import { Dice } from "../world/dice.ts"
import { localTime, stamp, two } from "../world/localtime.ts"
import { type ProviderAccount, providerAccounts } from "./accounts.ts"
import type { CdrEvent } from "./cdrs.ts"
import { feed, inPieces } from "./load.ts"
import { momentText } from "./values.ts"

/** Makes and fills the databases `asterisk` and `asteriskcdrdb` of an invented FreePBX, without calls; gives who has telephones there. */
export async function loadFreepbx(
  server: MariadbServer,
  options: { readonly accounts: number; readonly seed: string },
): Promise<readonly ProviderAccount[]> {
  const accounts = providerAccounts(options.accounts, new Dice(`${options.seed} accounts`))
  await server.createDatabase("asterisk", "DEFAULT CHARACTER SET utf8mb4")
  await server.createDatabase("asteriskcdrdb", "DEFAULT CHARACTER SET latin1")
  await server.sql(configuration, "asterisk")
  await server.sql(callRecords, "asteriskcdrdb")
  const dice = new Dice(`${options.seed} freepbx`)
  for (const [table, lines] of settingsOf(accounts, dice)) await loadIn(server, "asterisk", table, lines)
  return accounts
}

/** Rows into one table, as LOAD DATA reads them. */
async function loadIn(server: MariadbServer, database: string, table: string, lines: Iterable<string>): Promise<void> {
  const { host, user } = server.settings(database)
  const statement = `LOAD DATA LOCAL INFILE '/dev/stdin' INTO TABLE ${table} CHARACTER SET binary`
  const client = ["mariadb", "--no-defaults", "--local-infile=1", `--socket=${host}`, "-u", user, "-e", statement, database]
  // Node gives a program a socket as its standard input, and /dev/stdin opens pipes only.
  await feed(["sh", "-c", 'cat | "$@"', "sh", ...client], inPieces(lines), server.environment)
}

/** The calls whose rows are written between two moments, in `cdr` and, as events, in `cel`. */
export async function writeCalls(
  server: MariadbServer,
  events: readonly CdrEvent[],
  period: { readonly fromMs: number; readonly toMs: number; readonly timezone: string },
): Promise<void> {
  const written = events.filter(({ writtenMs }) => writtenMs >= period.fromMs && writtenMs < period.toMs)
  const rows = written.flatMap(({ call }) => cdrLines(call, period.timezone))
  await loadIn(server, "asteriskcdrdb", `cdr`, rows)
  await loadIn(
    server,
    "asteriskcdrdb",
    "cel",
    written.flatMap(({ call }) => celLines(call, period.timezone)),
  )
}

/** "out-5550100-101-20261101-093000-1793525400.12.wav", as FreePBX names a recording. */
function recordingFile(call: Call): string {
  if (call.recordName === "") return ""
  const { year, month, day, hour, minute, second } = call.start
  const when = `${String(year)}${two(month)}${two(day)}-${two(hour)}${two(minute)}${two(second)}`
  return `${call.caller.name === "" ? "in" : "out"}-${call.callee}-${call.caller.number}-${when}-${uniqueId(call)}.wav`
}

function uniqueId({ startMs, uuid }: Call): string {
  return `${String(Math.floor(startMs / 1000))}.${String(Number.parseInt(uuid.slice(0, 4), 16))}`
}

// A ring group writes a row for each telephone it rings; two of them can be equal to the letter.
function cdrLines(call: Call, timezone: string): string[] {
  const { account, caller, callee, answered } = call
  const start = stamp(localTime(call.startMs, timezone))
  const seconds = String(Math.round((call.endMs - call.startMs) / 1000))
  const row = (leg: string, disposition: string, billsec: string): string =>
    `${[
      ...[start, `"${caller.name}" <${caller.number}>`, caller.number, callee, "from-internal", `PJSIP/${callee}-${leg}`, "", "Dial", ""],
      ...[seconds, billsec, disposition, "3", account.domain.slice(0, 20), uniqueId(call), "", callee, recordingFile(call)],
      ...[caller.number, caller.name, "", "", "", uniqueId(call), "", "1"],
    ].join("\t")}\n`
  const legs = Number.parseInt(call.uuid.slice(-1), 16) < 4 ? 2 : 0
  const rung = Array.from({ length: legs }, () => row("0000000b", "NO ANSWER", "0"))
  return [...rung, row("0000000a", answered ? "ANSWERED" : "NO ANSWER", answered ? String(Math.round(call.seconds)) : "0")]
}

function celLines(call: Call, timezone: string): string[] {
  const at = (ms: number): string => `${stamp(localTime(ms, timezone))}`
  return (
    [
      ["CHAN_START", call.startMs],
      ["HANGUP", call.endMs],
      ["LINKEDID_END", call.endMs],
    ] as const
  ).map(
    ([type, ms]) =>
      `\\N\t${type}\t${at(ms)}\t${call.caller.name}\t${call.caller.number}\t${call.caller.number}\t\t\t${call.callee}\tfrom-internal\tPJSIP/${call.callee}-0000000a\tDial\t\t3\t\t${uniqueId(call)}\t${uniqueId(call)}\t\t\t\n`,
  )
}

function settingsOf(accounts: readonly ProviderAccount[], dice: Dice): [table: string, lines: string[]][] {
  const extensions = accounts.flatMap(({ extensions: own }, account) =>
    own.map(({ name }, index) => ({ number: String(10_000 + account * 100 + index), name, secret: dice.bytes(12).toString("base64url") })),
  )
  const keywords = ["account", "callerid", "context", "dial", "secret", "transport", "max_contacts", "media_encryption"] as const
  return [
    ["users", extensions.map(({ number, name }) => `${number}\t\t${name}\t\t\tdefault\t0\t\t\t\n`)],
    ["devices", extensions.map(({ number, name }) => `${number}\tpjsip\tPJSIP/${number}\tfixed\t${number}\t${name}\t\n`)],
    [
      "sip",
      extensions.flatMap(({ number, secret }) =>
        keywords.map((keyword, flags) => `${number}\t${keyword}\t${keyword === "secret" ? secret : keyword}\t${flags + 2}\n`),
      ),
    ],
    ["incoming", extensions.slice(0, 200).map(({ number }) => `\t+1202555${number}\t\tfrom-did-direct,${number},1\t${momentText(0)}\n`)],
    ["kvstore_FreePBX", extensions.map(({ number }) => `${number}\t{"voicemail": "default"}\tjson-arr\tnoid\n`)],
    ["trunks", ["1\tcarrier\tpjsip\t+12025550100\t10\t\toff\n"]],
    ["freepbx_settings", ["ASTETCDIR\t/etc/asterisk\tDirectories\n", "MIXMON_DIR\t\tDirectories\n"]],
  ]
}

const configuration = `
CREATE TABLE users (extension varchar(20) NOT NULL PRIMARY KEY, password varchar(20), name varchar(50), voicemail varchar(50),
  ringtimer varchar(50), noanswer varchar(100), recording varchar(50), outboundcid varchar(50), sipname varchar(50), mohclass varchar(80));
CREATE TABLE devices (id varchar(20) NOT NULL PRIMARY KEY, tech varchar(10) NOT NULL DEFAULT '', dial varchar(255) NOT NULL DEFAULT '',
  devicetype varchar(5) NOT NULL DEFAULT '', user varchar(50), description varchar(50), emergency_cid varchar(100));
CREATE TABLE sip (id varchar(20) NOT NULL DEFAULT '-1', keyword varchar(30) NOT NULL DEFAULT '', data varchar(255) NOT NULL,
  flags int(1) NOT NULL DEFAULT 0, PRIMARY KEY (id, keyword));
CREATE TABLE incoming (cidnum varchar(50) NOT NULL DEFAULT '', extension varchar(50) NOT NULL DEFAULT '', destination varchar(50),
  description varchar(100), created varchar(40), PRIMARY KEY (cidnum, extension));
CREATE TABLE trunks (trunkid int(11) NOT NULL DEFAULT 0, name varchar(50) NOT NULL DEFAULT '', tech varchar(20) NOT NULL,
  outcid varchar(40) NOT NULL DEFAULT '', maxchans varchar(6), failscript varchar(255) NOT NULL DEFAULT '',
  disabled varchar(4) DEFAULT 'off', PRIMARY KEY (trunkid, tech));
CREATE TABLE kvstore_FreePBX (\`key\` char(190) NOT NULL, val varchar(4096), type char(16), id char(190),
  UNIQUE KEY uniqueindex (\`key\`, id), KEY keyindex (\`key\`), KEY idindex (id));
CREATE TABLE freepbx_settings (keyword varchar(50) NOT NULL DEFAULT '' PRIMARY KEY, value varchar(255), category varchar(50));
CREATE TABLE outbound_routes (route_id int(11) NOT NULL AUTO_INCREMENT PRIMARY KEY, name varchar(40), outcid varchar(40), password varchar(30));
CREATE TABLE voicemail_admin (variable varchar(30) NOT NULL PRIMARY KEY, value varchar(80));
CREATE TABLE queues_config (extension varchar(20) NOT NULL DEFAULT '' PRIMARY KEY, descr varchar(35) NOT NULL DEFAULT '');
CREATE TABLE queues_details (id varchar(45) NOT NULL DEFAULT '-1', keyword varchar(30) NOT NULL DEFAULT '', data varchar(150) NOT NULL DEFAULT '',
  flags int(1) NOT NULL DEFAULT 0, PRIMARY KEY (id, keyword, data));`

const cdrTable = `calldate datetime NOT NULL DEFAULT '2000-01-01 00:00:00', clid varchar(80) NOT NULL DEFAULT '', src varchar(80) NOT NULL DEFAULT '',
  dst varchar(80) NOT NULL DEFAULT '', dcontext varchar(80) NOT NULL DEFAULT '', channel varchar(80) NOT NULL DEFAULT '',
  dstchannel varchar(80) NOT NULL DEFAULT '', lastapp varchar(80) NOT NULL DEFAULT '', lastdata varchar(80) NOT NULL DEFAULT '',
  duration int(11) NOT NULL DEFAULT 0, billsec int(11) NOT NULL DEFAULT 0, disposition varchar(45) NOT NULL DEFAULT '',
  amaflags int(11) NOT NULL DEFAULT 0, accountcode varchar(20) NOT NULL DEFAULT '', uniqueid varchar(32) NOT NULL DEFAULT '',
  userfield varchar(255) NOT NULL DEFAULT '', did varchar(50) NOT NULL DEFAULT '', recordingfile varchar(255) NOT NULL DEFAULT '',
  cnum varchar(80) NOT NULL DEFAULT '', cnam varchar(80) NOT NULL DEFAULT '', outbound_cnum varchar(80) NOT NULL DEFAULT '',
  outbound_cnam varchar(80) NOT NULL DEFAULT '', dst_cnam varchar(80) NOT NULL DEFAULT '', linkedid varchar(32) NOT NULL DEFAULT '',
  peeraccount varchar(80) NOT NULL DEFAULT '', sequence int(11) NOT NULL DEFAULT 0,
  KEY calldate (calldate), KEY dst (dst), KEY accountcode (accountcode), KEY uniqueid (uniqueid), KEY did (did), KEY recordingfile (recordingfile)`

const callRecords = `
CREATE TABLE cdr (${cdrTable}) ENGINE=MyISAM DEFAULT CHARSET=latin1;
CREATE TABLE transient_cdr (${cdrTable}) ENGINE=MyISAM DEFAULT CHARSET=latin1;
CREATE TRIGGER cdr_copy AFTER INSERT ON cdr FOR EACH ROW INSERT INTO transient_cdr (calldate, src, dst, uniqueid)
  VALUES (NEW.calldate, NEW.src, NEW.dst, NEW.uniqueid);
CREATE TABLE cel (id int(11) NOT NULL AUTO_INCREMENT PRIMARY KEY, eventtype varchar(30) NOT NULL, eventtime datetime NOT NULL,
  cid_name varchar(80) NOT NULL, cid_num varchar(80) NOT NULL, cid_ani varchar(80) NOT NULL, cid_rdnis varchar(80) NOT NULL,
  cid_dnid varchar(80) NOT NULL, exten varchar(80) NOT NULL, context varchar(80) NOT NULL, channame varchar(80) NOT NULL,
  appname varchar(80) NOT NULL, appdata varchar(1024) NOT NULL, amaflags int(11) NOT NULL, accountcode varchar(20) NOT NULL,
  uniqueid varchar(32) NOT NULL, linkedid varchar(32) NOT NULL, peer varchar(80) NOT NULL, userdeftype varchar(255) NOT NULL,
  extra varchar(512) NOT NULL, KEY uniqueid_index (uniqueid), KEY linkedid_index (linkedid)) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4;`
