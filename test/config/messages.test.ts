import { describe, expect, test } from "vitest"
import { configProblems, designArchiveJob, designConfig, designStateJob, jobProblems } from "./project.ts"

const missingClass = "the name of a class in the configuration"

/** [what is wrong, the plan's text, its replacement, every message] */
type Case = readonly [name: string, from: string | RegExp, to: string, messages: readonly string[]]

const configCases: readonly Case[] = [
  ["a misspelt key", "durable:", "durabel:", ['8:1: unknown key "durabel": did you mean "durable"?']],
  [
    "an unknown key",
    "agent: pbx-fra-1",
    "agent: pbx-fra-1\nhooks: {}",
    [
      '4:1: unknown key "hooks": expected "version", "agent", "state", "trust", "signingKey", "spool", "ledger", "durable", "classes", "retention", "sites", "databases", "notify", "listen" or "witness"',
    ],
  ],
  ["a misspelt key of a site", "zone: fra-2", "zoen: fra-2", ['14:76: unknown key "zoen": did you mean "zone"?']],
  [
    "a key of another kind of site",
    "zone: fra-2",
    "bucket: x12",
    ['14:76: unknown key "bucket": expected "kind", "path", "provider", "region", "zone", "egress", "bandwidth" or "sameDevice"'],
  ],
  ["a wrong type", "{copies: 2,", "{copies: two,", ["8:19: expected whole number from 1 to 16, found text"]],
  ["a fraction", "{copies: 2,", "{copies: 2.5,", ["8:19: expected whole number from 1 to 16, found a number"]],
  ["a list for a map", /classes:[\s\S]*?sites:/, "classes: []\nsites:", ["9:10: expected map by name, found a list"]],
  ["nothing for a value", "state: /var/lib/holdline ", "state:", ["4:1: expected path, found nothing"]],
  ["an empty text", "state: /var/lib/holdline", 'state: ""', ["4:8: expected a path"]],
  ["a home directory", "state: /var/lib/holdline", "state: ~/holdline", ['4:8: expected a path without "~": it is not expanded']],
  [
    "a missing key",
    "agent: pbx-fra-1\n",
    "",
    [
      '2:1: missing key "agent": expected name (the name of this host as an agent; it starts the name of every object it writes, so no two hosts share one)',
    ],
  ],
  [
    "a missing key of a map",
    "days: 90, ",
    "",
    [
      '10:3: missing key "days": expected whole number from 28 to 36500 (how many days a snapshot is kept after it was accepted; at least 28, the quarantine of the data bucket)',
    ],
  ],
  ["a missing kind", "kind: gcs, ", "", ['16:3: missing key "kind": expected "directory", "s3" or "gcs"']],
  ["an unknown kind", "kind: gcs", "kind: gsc", ['16:19: expected "directory", "s3" or "gcs": did you mean "gcs"?']],
  ["a later version", "version: 1", "version: 2", ["2:10: expected 1, found a whole number"]],
  ["a duplicate key", "agent: pbx-fra-1", "agent: pbx-fra-1\nagent: other", ['4:1: duplicate key "agent": it is already set on line 3']],
  ["a duplicate site", "  s3-dub: ", "  fra: ", ['15:3: duplicate key "fra": it is already set on line 14']],
  ["a tab", "  state-35: ", "\tstate-35: ", ["11:1: a tab is used for indentation: use spaces"]],
  [
    "a capital in a name",
    "agent: pbx-fra-1",
    "agent: PBX",
    ["3:8: expected a name of 1 to 63 lower-case letters, digits and dashes, such as fra-1"],
  ],
  [
    "a bad name of a class",
    "  state-35: ",
    "  state_35: ",
    ["11:3: expected a name of 1 to 63 lower-case letters, digits and dashes, such as fra-1"],
  ],
  ["a class too short", "days: 28", "days: 27", ["12:25: expected at least 28 days, the quarantine of the data bucket"]],
  ["more reuse than days", "reuseDays: 7", "reuseDays: 36", ["11:40: expected at most the class's days, 35"]],
  [
    "a tier that must be thawed",
    "s3: STANDARD_IA",
    "s3: DEEP_ARCHIVE",
    [
      "10:40: the tier DEEP_ARCHIVE is refused: its objects must be thawed for many hours before they can be read; expected STANDARD, STANDARD_IA, INTELLIGENT_TIERING, GLACIER_IR",
    ],
  ],
  [
    "a tier in one zone",
    "s3: STANDARD_IA",
    "s3: ONEZONE_IA",
    [
      "10:40: the tier ONEZONE_IA is refused: it keeps all bytes in one failure zone; expected STANDARD, STANDARD_IA, INTELLIGENT_TIERING, GLACIER_IR",
    ],
  ],
  [
    "an unknown tier",
    "gcs: NEARLINE",
    "gcs: NEARLIN",
    ['10:58: expected "STANDARD", "NEARLINE", "COLDLINE" or "ARCHIVE": did you mean "NEARLINE"?'],
  ],
  ["a size without unit", "20 GiB", "20", ["7:14: expected size, found a whole number"]],
  ["a bad size", "20 GiB", "20 gigs", ['7:14: expected a size such as "500 MiB" or "20 GiB"']],
  ["a small spool", "20 GiB", "1 MiB", ["7:14: expected at least 128 MiB"]],
  ["more providers than copies", "providers: 2}", "providers: 3}", ["8:33: 3 providers need at least as many copies, found 2"]],
  ["a short fingerprint", "SHA256:…", "SHA256:abc", ['5:47: expected a fingerprint: "SHA256:" and 43 characters']],
  ["no site", /sites:[\s\S]*/, "sites: {}\n", ["13:8: expected at least one site"]],
  ["a relative path of a site", "path: /mnt/vault", "path: vault", ["14:36: expected an absolute path"]],
  [
    "two sites in one directory",
    "  s3-dub: ",
    "  two: {kind: directory, path: /mnt/../mnt/vault, provider: b, region: b}\n  s3-dub: ",
    ['15:32: the site "fra" keeps its packs in the same path: expected a place of its own'],
  ],
  [
    "keys among packs",
    "keys: acme-vault-keys, provider: aws",
    "keys: acme-vault, provider: aws",
    ["15:49: expected a bucket of its own for keys: erasing an account needs other locks than keeping its data"],
  ],
  ["two ways to sign in", "{profile: holdline}", "{profile: holdline, file: /x}", ['15:131: expected one key: "profile" or "file"']],
  ["a misspelt way to sign in", "{profile: holdline}", "{profil: holdline}", ['15:132: unknown key "profil": did you mean "profile"?']],
  [
    "a literal secret",
    "{file: /etc/holdline/agent.key}",
    "hunter2hunter2",
    [
      "6:13: expected a reference to a secret, such as {file: /etc/holdline/agent.key}, {env: NAME} or {credential: NAME}; a secret itself is never written here",
    ],
  ],
  [
    "a literal secret in a map",
    "{file: /etc/holdline/agent.key}",
    "{value: hunter2}",
    ["6:13: expected exactly one of file, env and credential", '6:14: unknown key "value": expected "file", "env" or "credential"'],
  ],
  ["two references", "{file: /etc/holdline/agent.key}", "{file: /a, env: B}", ["6:13: expected exactly one of file, env and credential"]],
  ["an anchor", "agent: pbx-fra-1", "agent: &a pbx-fra-1", ["3:11: anchors are not allowed: write the value out where it is used"]],
  [
    "an alias",
    /^version: 1\nagent: pbx-fra-1/m,
    "version: &one 1\nagent: *one",
    [
      "2:15: anchors are not allowed: write the value out where it is used",
      '3:8: aliases are not allowed: write the value out, or put text that starts with "*" in quotes',
    ],
  ],
  [
    "an alias of nothing",
    "agent: pbx-fra-1",
    "agent: *pbx",
    ['3:8: aliases are not allowed: write the value out, or put text that starts with "*" in quotes'],
  ],
  [
    "a merge key",
    "  fra:  ",
    "  <<: {}\n  fra:  ",
    ["14:3: expected a name of 1 to 63 lower-case letters, digits and dashes, such as fra-1"],
  ],
  ["a tag", "agent: pbx-fra-1", "agent: !!str pbx-fra-1", ["3:14: tags are not allowed: write plain values"]],
  ["an unknown tag", "agent: pbx-fra-1", "agent: !env NAME", ["3:8: tags are not allowed: write plain values"]],
  ["a second document", "sites:\n", "---\nsites:\n", ['13:1: a second document starts here: remove the "---"']],
  ["a directive", /^/, "%YAML 1.1\n---\n", ["1:1: directives are not allowed"]],
  ["an open bracket", "providers: 2}", "providers: 2", ["9:1: the indentation does not fit the lines above, or a bracket is open"]],
  ["a prototype", "  fra:  ", "  __proto__: {}\n  fra:  ", ["14:3: a key must be plain text"]],
  ["a value for a key", "  fra:  ", "  ? [a]\n  : 1\n  fra:  ", ["14:5: a key must be plain text"]],
  [
    "several mistakes at once, in the order of lines",
    /agent: .*\n|kind: directory, /g,
    "",
    [
      '2:1: missing key "agent": expected name (the name of this host as an agent; it starts the name of every object it writes, so no two hosts share one)',
      '13:3: missing key "kind": expected "directory", "s3" or "gcs"',
    ],
  ],
]

/** [what is wrong, the database, every message]; it stands in line 18. */
const databaseCases: readonly (readonly [name: string, database: string, messages: readonly string[]])[] = [
  [
    "a misspelt key",
    "kind: postgres, host: /run/postgresql, name: f, user: u, passwd: {file: /x}",
    ['18:66: unknown key "passwd": did you mean "password"?'],
  ],
  [
    "a password in clear",
    "kind: postgres, host: db.example.net, name: f, user: u, password: hunter2hunter2",
    [
      "18:75: expected a reference to a secret, such as {file: /etc/holdline/agent.key}, {env: NAME} or {credential: NAME}; a secret itself is never written here",
    ],
  ],
  [
    "a password in clear in a map",
    "kind: mariadb, host: h, name: f, user: u, password: {value: hunter2}",
    ["18:61: expected exactly one of file, env and credential", '18:62: unknown key "value": expected "file", "env" or "credential"'],
  ],
  ["an unknown kind", "kind: postgre, host: h, name: f, user: u", ['18:15: expected "postgres" or "mariadb": did you mean "postgres"?']],
  ["no kind", "host: h, name: f, user: u", ['18:3: missing key "kind": expected "postgres" or "mariadb"']],
  ["a port that cannot be", "kind: mariadb, host: h, name: f, user: u, port: 99999", ["18:57: expected at most 65535"]],
  [
    "TLS without a check",
    "kind: postgres, host: h, name: f, user: u, tls: {verify: false}",
    ['18:58: unknown key "verify": expected "ca", "serverName" or "off"'],
  ],
  ["no TLS to anywhere", "kind: mariadb, host: h, name: f, user: u, tls: {off: always}", ['18:62: expected "loopback"']],
]

describe("a database is refused, with the place and what was expected, for", () => {
  test.each(databaseCases)("%s", async (_, database, messages) => {
    const found = await configProblems(`${designConfig}databases:\n  pbx: {${database}}\n`)
    expect(found).toEqual(messages.map((message) => `config/holdline.yaml:${message}`))
    expect(found.join()).not.toContain("hunter2")
  })
})

describe("a configuration is refused, with the place and what was expected, for", () => {
  test.each(configCases)("%s", async (_, from, to, messages) => {
    const text = designConfig.replace(from, to)
    expect(text, "the case changes the plan's text").not.toBe(designConfig)
    expect(await configProblems(text)).toEqual(messages.map((message) => `config/holdline.yaml:${message}`))
  })

  test.each([
    ["an empty file", "", ["1:1: the file is empty"]],
    ["only comments", "# nothing\n", ["1:1: the file is empty"]],
    ["a list", "- a\n", ["1:1: expected map, found a list"]],
    ["bytes that are no text", new Uint8Array([0xff, 0xfe, 0x00]), ["1:1: the file is not UTF-8 text"]],
    ["deep nesting", `a: ${"[".repeat(100_000)}`, ["the file is nested too deeply"]],
    ["nesting of twenty", `a: ${"[".repeat(20)}${"]".repeat(20)}\n`, ["1:20: the file is nested too deeply"]],
  ])("%s", async (_, text, messages) => {
    const found = await configProblems(text)
    for (const message of messages) expect(found.join("\n")).toContain(message)
  })

  test("a file that is too large", async () => {
    const [message = ""] = await configProblems(`# ${"x".repeat(300 * 1024)}\n${designConfig}`)
    expect(message).toMatch(/holdline\.yaml: the file is larger than 256 KiB$/)
  })
})

const archiveCases: readonly Case[] = [
  [
    "a misspelt key",
    "template:",
    "tempalte:",
    [
      '4:1: missing key "template": archive mode needs a template with {account} and a date, such as "{account}/archive/{yyyy}/{Mon}/{dd}/{name}"',
      '7:3: unknown key "tempalte": did you mean "template"?',
    ],
  ],
  [
    "no template",
    / {2}template: .*\n/,
    "",
    [
      '4:1: missing key "template": archive mode needs a template with {account} and a date, such as "{account}/archive/{yyyy}/{Mon}/{dd}/{name}"',
    ],
  ],
  [
    "a template without account",
    "{account}",
    "x",
    ['7:13: expected a template with {account} and a date, such as "{account}/{yyyy}/{MM}/{dd}/{name}": {account} is missing'],
  ],
  [
    "a template without day",
    "{dd}/",
    "",
    ['7:13: expected a template with {account} and a date, such as "{account}/{yyyy}/{MM}/{dd}/{name}": {dd} is missing'],
  ],
  [
    "an account beside the template",
    "  settle: 5m",
    "  account: a",
    ["9:12: the template says whose a file is: remove `account`, or {account} from the template"],
  ],
  ["a relative path", "/var/lib/freeswitch/recordings", "recordings", ["6:9: expected an absolute path"]],
  ["a bad duration", "settle: 5m", "settle: five", ['9:11: expected a duration such as "5m", "6h" or "35d"']],
  ["a duration without unit", "rpo: 6h", "rpo: 6", ["13:18: expected duration, found a whole number"]],
  ["a duration of nothing", "rpo: 6h", "rpo: 0h", ["13:18: expected a duration above zero"]],
  ["a bad time zone", "Europe/Berlin", "Europe/Frankfurt", ["8:13: expected a time zone such as Europe/Berlin or UTC"]],
  [
    "a bad time zone of the schedule",
    "afterExpiry:",
    "timezone: CEST\nafterExpiry:",
    ["14:11: expected a time zone such as Europe/Berlin or UTC"],
  ],
  [
    "a bad cron minute",
    "*/30 * * * *",
    "61 * * * *",
    ['12:11: expected five cron fields (minute, hour, day of month, month, day of week) such as "*/30 * * * *"; the minute cannot be'],
  ],
  [
    "six cron fields",
    "*/30 * * * *",
    "0 */30 * * * *",
    ['12:11: expected five cron fields (minute, hour, day of month, month, day of week) such as "*/30 * * * *"'],
  ],
  [
    "a cron nickname",
    "*/30 * * * *",
    "@daily",
    ['12:11: expected five cron fields (minute, hour, day of month, month, day of week) such as "*/30 * * * *"'],
  ],
  ["a day that never comes", "*/30 * * * *", "0 0 30 2 *", ["12:11: this schedule never comes: expected one that does"]],
  ["an unknown class", "recordings-90", "recording-90", ['10:8: unknown class: did you mean "recordings-90"?']],
  ["a class far from all", "recordings-90", "gold", ['10:8: unknown class: expected "recordings-90", "state-35" or "mixed-28"']],
  ["a missing class", "class: recordings-90\n", "", [`2:1: missing key "class": expected name (how long it is kept: ${missingClass})`]],
  ["an unknown site", "\nsites: [fra, s3-dub", "\nsites: [fra, s3-dbu", ['11:14: unknown site: did you mean "s3-dub"?']],
  ["a site twice", "\nsites: [fra, s3-dub", "\nsites: [fra, fra", ["11:8: expected each site once"]],
  ["no site", "\nsites: [fra, s3-dub, gcs-bru]", "\nsites: []", ["11:8: expected at least one item"]],
  [
    "too few sites",
    "\nsites: [fra, s3-dub, gcs-bru]",
    "\nsites: [fra]",
    [
      "11:8: can never be durable: 2 copies are asked for, but the job has 1 site",
      "11:8: can never be durable: 2 providers are asked for, but the job's sites are of 1 provider: own",
    ],
  ],
  [
    "more copies than sites",
    "afterExpiry:",
    "durable: {copies: 4}\nafterExpiry:",
    ["14:19: can never be durable: 4 copies are asked for, but the job has 3 sites"],
  ],
  [
    "fewer copies than the configuration's",
    "afterExpiry:",
    "durable: {copies: 1, providers: 1}\nafterExpiry:",
    [
      "14:19: a job may ask for more, never for less: expected at least the configuration's 2",
      "14:33: a job may ask for more, never for less: expected at least the configuration's 2",
    ],
  ],
  [
    "more providers than copies",
    "afterExpiry:",
    "durable: {providers: 3}\nafterExpiry:",
    ["14:22: 3 providers need at least as many copies, found 2"],
  ],
  ["an unknown mode", "mode: archive", "mode: archived", ['3:7: expected "archive" or "state": did you mean "archive"?']],
  [
    "a source that cannot be archived",
    /source:[\s\S]*settle: 5m\n/,
    "source: {kind: sqlite, path: /x.db, account: mixed}\n",
    ['3:7: a sqlite source is captured whole: expected "state"'],
  ],
  ["an unknown choice", "let-go", "letgo", ['14:14: expected "recapture" or "let-go": did you mean "let-go"?']],
]

const stateCases: readonly Case[] = [
  [
    "no account",
    ", account: platform",
    "",
    ['3:1: missing key "account": state mode needs the account everything belongs to, such as "platform"'],
  ],
  [
    "the reserved account",
    "platform",
    "catalog",
    ['3:59: the account "catalog" is reserved: expected the customer\'s id, "platform" or "mixed"'],
  ],
  ["a template", "account: platform", 'account: platform, template: "{account}"', ["3:79: `template` is for archive mode: remove it"]],
  ["afterExpiry", "class:", "afterExpiry: let-go\nclass:", ["4:14: state mode captures everything in every run: remove `afterExpiry`"]],
  [
    "a command as text",
    /source: .*/,
    "source: {kind: command, command: ls -l, account: platform, name: x}",
    ["3:34: expected list of text, found text"],
  ],
  ["no command", /source: .*/, "source: {kind: command, command: [], account: platform, name: x}", ["3:25: expected at least one item"]],
]

/** [what is wrong, the mode, the lines of the source from line 4 on, every message] */
const sourceCases: readonly (readonly [name: string, mode: string, source: readonly string[], messages: readonly string[]])[] = [
  [
    "a database in archive mode",
    "archive",
    ["kind: database", "database: pbx", "profile: fusionpbx"],
    ['2:7: a database source is captured whole: expected "state"'],
  ],
  [
    "call detail records in state mode",
    "state",
    ["kind: cdrs", "database: pbx", "profile: fusionpbx"],
    ['2:7: call detail records only ever grow: expected "archive"'],
  ],
  [
    "CSV files in state mode",
    "state",
    ["kind: csv", "profile: asterisk", "files: cdr-csv"],
    ['2:7: call detail records only ever grow: expected "archive"'],
  ],
  [
    "a database that is not configured",
    "state",
    ["kind: database", "database: pxb", "profile: fusionpbx"],
    ['5:13: unknown database: did you mean "pbx"?'],
  ],
  [
    "a misspelt key",
    "state",
    ["kind: database", "database: pbx", "profile: fusionpbx", "reader: 3"],
    ['7:3: unknown key "reader": did you mean "readers"?'],
  ],
  [
    "a password in the job",
    "archive",
    ["kind: cdrs", "database: pbx", "profile: fusionpbx", "password: hunter2hunter2"],
    ['7:3: unknown key "password": expected "kind", "database", "like", "profile", "overrides" or "timezone"'],
  ],
  [
    "no profile",
    "state",
    ["kind: database", "database: pbx"],
    [
      '3:1: missing key "profile": expected text (the telephony platform: `fusionpbx`, `freepbx`, `asterisk`, `netsapiens`, `kamailio`, or the path of a profile of your own)',
    ],
  ],
  [
    "a misspelt profile",
    "state",
    ["kind: database", "database: pbx", "profile: fusionpxb"],
    ["6:12: no such profile comes with Holdline: did you mean fusionpbx?"],
  ],
  [
    "a profile of one's own that is not there",
    "state",
    ["kind: database", "database: pbx", "profile: ./hunter2.yaml"],
    ["6:12: the profile's file cannot be read: ENOENT"],
  ],
  [
    "one of many databases of a platform, and nothing says which",
    "state",
    ["kind: database", "database: pbx", "profile: freepbx"],
    ["5:13: the profile freepbx knows no such database: say with `like` which of its own this is; it knows asterisk, asteriskcdrdb"],
  ],
  [
    "a misspelt database of the profile",
    "state",
    ["kind: database", "database: pbx", "like: CdrDomian", "profile: netsapiens"],
    ['6:9: the profile netsapiens knows no such database: say with `like` which of its own this is: did you mean "CdrDomain"?'],
  ],
  [
    "a database without call detail records",
    "archive",
    ["kind: cdrs", "database: pbx", "like: NcsDomain", "profile: netsapiens"],
    ["7:12: the profile netsapiens knows no call detail records in that database"],
  ],
  [
    "CSV files that the profile does not know",
    "archive",
    ["kind: csv", "profile: asterisk", "files: cdr-scv"],
    ['6:10: the profile asterisk knows no such CSV files: did you mean "cdr-csv"?'],
  ],
  [
    "a misspelt key of a table's rule",
    "state",
    ["kind: database", "database: pbx", "profile: fusionpbx", "overrides: {databases: {fusionpbx: {tables: {v_x: {acount: id}}}}}"],
    ['7:54: unknown key "acount": did you mean "account"?'],
  ],
  [
    "a table's rule that does not exist",
    "state",
    ["kind: database", "database: pbx", "profile: fusionpbx", "overrides: {databases: {fusionpbx: {tables: {v_x: shard}}}}"],
    ['7:53: expected "shared" or "mixed", or a map with "ignore", "cdr", "account", "via" or "null": did you mean "shared"?'],
  ],
  [
    "a directory that the profile does not know",
    "archive",
    ["kind: directory", "profile: fusionpbx", "files: recording"],
    ['6:10: the profile fusionpbx knows no such directory: did you mean "recordings"?'],
  ],
  [
    "none of the profile's directories",
    "archive",
    ["kind: directory", "profile: fusionpbx"],
    ['3:1: missing key "files": expected the name of one of the profile\'s directories, such as recordings'],
  ],
  [
    "a directory of no profile",
    "archive",
    ["kind: directory", "files: recordings"],
    ["5:10: `files` is of a profile: name the `profile` too, or remove it"],
  ],
  [
    "a directory without path",
    "state",
    ["kind: directory", "account: platform"],
    ['3:1: missing key "path": expected the directory, or a `profile` that knows it'],
  ],
  [
    "a profile's archive as a state",
    "state",
    ["kind: directory", "profile: fusionpbx", "files: recordings"],
    ["2:7: the profile's directory only gains files: expected \"archive\", or an account of the job's own"],
  ],
  [
    "a profile's state as an archive",
    "archive",
    ["kind: directory", "profile: fusionpbx", "files: voicemail"],
    ["2:7: the profile's directory changes as a whole: expected \"state\", or a template of the job's own"],
  ],
  [
    "an account beside the profile's template that names one",
    "archive",
    ["kind: directory", "profile: fusionpbx", "files: recordings", "account: acme"],
    ["7:12: the template says whose a file is: remove `account`, or {account} from the template"],
  ],
  [
    "a template of its own that names nobody",
    "archive",
    ["kind: directory", "profile: fusionpbx", "files: recordings", 'template: "{yyyy}{MM}{dd}/{name}"'],
    ['7:13: expected a template with {account} and a date, such as "{account}/{yyyy}/{MM}/{dd}/{name}": {account} is missing'],
  ],
  [
    "one account's template without a month",
    "archive",
    ["kind: directory", "path: /x", "account: acme", 'template: "{yyyy}/{dd}/{name}"'],
    ['7:13: expected a template with a date, such as "{yyyy}/{MM}/{dd}/{name}": the month must stand there once, as {MM} or as {Mon}'],
  ],
  [
    "settling in state mode",
    "state",
    ["kind: directory", "profile: fusionpbx", "files: voicemail", "settle: 1m"],
    ["7:11: `settle` is for archive mode: remove it"],
  ],
]

test.each(sourceCases)("a source is refused, with the place and what was expected, for %s", async (_, mode, source, messages) => {
  const config = `${designConfig}databases:\n  pbx: {kind: postgres, host: /run/postgresql, name: fusionpbx, user: holdline}\n`
  const text = `version: 1\nmode: ${mode}\nsource:\n  ${source.join("\n  ")}\nclass: state-35\nsites: [fra, s3-dub]\n`
  const found = await jobProblems(text, config)
  expect(found).toEqual(messages.map((message) => `jobs/job.yaml:${message}`))
  expect(found.join()).not.toContain("hunter2")
})

describe("a job is refused, with the place and what was expected, for", () => {
  test.each(archiveCases)("archive: %s", async (_, from, to, messages) => {
    expect(await jobProblems(designArchiveJob.replace(from, to))).toEqual(messages.map((message) => `jobs/job.yaml:${message}`))
  })

  test.each(stateCases)("state: %s", async (_, from, to, messages) => {
    expect(await jobProblems(designStateJob.replace(from, to))).toEqual(messages.map((message) => `jobs/job.yaml:${message}`))
  })
})
