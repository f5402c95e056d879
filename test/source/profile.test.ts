import { mkdtempSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { describe, expect, test } from "vitest"
import type { Table } from "../../src/database/database.ts"
import { mediaPaths } from "../../src/source/medium.ts"
import { cdrTablesOf, mergeProfile, type Profile, profileOverrides, profileSchema, tenancyOf } from "../../src/source/profile.ts"
import { planTables } from "../../src/source/tables.ts"
import { parseTemplate } from "../../src/source/template.ts"
import { loadProfile, shippedProfiles } from "../../src/wiring/profiles.ts"
import { fusionpbxTables } from "../provider/fusionpbx-tables.ts"

const shipped = (name: string): Promise<Profile> => loadProfile(name, "/nowhere", "/nowhere")

function tableOf(schema: string, name: string, columns: readonly string[]): Table {
  const described = columns.map((column) => ({ name: column, type: "text", nullable: true, generated: false }))
  return { schema, name, columns: described, key: [], references: [], rowsEstimate: 0, bytesEstimate: 0, transactional: true }
}

const fusionpbx = fusionpbxTables.map(({ name, columns }) =>
  tableOf(
    "public",
    name,
    columns.map((column) => column.name),
  ),
)

describe("profiles that come with Holdline", () => {
  test("are the five platforms", async () => {
    expect(await shippedProfiles()).toEqual(["asterisk", "freepbx", "fusionpbx", "kamailio", "netsapiens"])
  })

  test("are all right, and say what they are for", async () => {
    for (const name of await shippedProfiles()) {
      const profile = await shipped(name)
      expect(profile.platform).toBe(name)
      expect(Object.keys(profile.databases ?? {}), name).not.toEqual([])
    }
  })

  test("leave no tree without an account: it stands in the template, or beside it", async () => {
    for (const name of await shippedProfiles()) {
      for (const { template, account } of Object.values((await shipped(name)).files ?? {})) {
        if (template !== undefined) expect(() => parseTemplate(template, account), name).not.toThrow()
        else expect(["mixed", "platform"], name).toContain(account)
      }
    }
  })

  test("fusionpbx files a recording under its domain and day, and leaves prompts to another job", async () => {
    const recordings = (await shipped("fusionpbx")).files?.recordings
    const match = parseTemplate(recordings?.template ?? "").match(Buffer.from("acme.example/archive/2026/Nov/02/0b0c.mp3"))
    expect(match).toEqual({ stableId: "acme.example", day: "2026-11-02" })
    expect(recordings?.exclude).toEqual(["*/!(archive)"])
  })
})

describe("the map of fusionpbx", () => {
  test("has a line for every table of the platform, and call records are left to their own job", async () => {
    const { captured, ignored, cdrs } = planTables(tenancyOf(await shipped("fusionpbx"), "fusionpbx"), fusionpbx, "fusionpbx")
    expect(captured.length + cdrs.length).toBe(fusionpbx.length)
    expect(ignored).toEqual([])
    expect(cdrs.toSorted()).toEqual(
      ["", "_extensions", "_flow", "_json", "_logs", "_transcripts"].map((satellite) => `public.v_xml_cdr${satellite}`),
    )
  })

  test("calls no table shared that has a domain's column", async () => {
    const { captured } = planTables(tenancyOf(await shipped("fusionpbx"), "fusionpbx"), fusionpbx, "fusionpbx")
    const platform = captured.filter(({ owner }) => owner.kind === "one")
    expect(platform.length).toBeGreaterThan(25)
    for (const { columns } of platform) expect(columns.map(({ name }) => name)).not.toContain("domain_uuid")
  })

  test("refuses a table it does not know, and says the line to add", async () => {
    const more = [...fusionpbx, tableOf("public", "v_hotel_rooms", ["hotel_room_uuid", "domain_uuid", "room"])]
    const tenancy = tenancyOf(await shipped("fusionpbx"), "fusionpbx")
    expect(() => planTables(tenancy, more, "fusionpbx")).toThrow(/public\.v_hotel_rooms is in no line/)
    const overrides = profileOverrides.parse({ databases: { fusionpbx: { tables: { v_hotel_rooms: { account: "domain_uuid" } } } } })
    expect(planTables(tenancyOf(await shipped("fusionpbx"), "fusionpbx", overrides), more, "fusionpbx").captured.length).toBe(
      fusionpbx.length - 6 + 1,
    )
  })

  test.each(["domain_uuid", "domain_name"])("refuses a shared table that gained the column %s", async (column) => {
    const tenancy = tenancyOf(await shipped("fusionpbx"), "fusionpbx")
    const changed = fusionpbx.map((table) => (table.name === "v_vars" ? tableOf("public", "v_vars", ["var_uuid", column]) : table))
    expect(() => planTables(tenancy, changed, "fusionpbx")).toThrow(/v_vars is said to be shared/)
  })

  test("names only columns that its tables of call records have", async () => {
    const tables = cdrTablesOf(
      await shipped("fusionpbx"),
      "fusionpbx",
      fusionpbx.map(({ name }) => `public.${name}`),
    )
    expect(tables).toHaveLength(6)
    for (const { table, rules } of tables) {
      const columns = fusionpbx.find(({ name }) => `public.${name}` === table)?.columns.map(({ name }) => name)
      const moments = [rules.day, rules.ended, rules.insert, rules.update].flatMap((moment) =>
        moment === undefined ? [] : [moment.column],
      )
      const inPaths = (rules.media ?? []).flatMap(({ path }) => [...path.matchAll(/\{(\w+)\}/g)].map(([, column]) => column))
      for (const column of [rules.account, ...moments, ...(rules.key ?? []), ...inPaths]) expect(columns, table).toContain(column)
    }
  })
})

describe("the other maps", () => {
  const cdrdb = ["cdr", "cel", "transient_cdr"].map((name) => tableOf("asteriskcdrdb", name, ["calldate"]))

  test("freepbx: what cannot be told apart is `mixed`, and all of it the customer's where there is one", async () => {
    const users = [tableOf("asterisk", "users", ["extension"])]
    const profile = await shipped("freepbx")
    const owner = (overrides: object): unknown =>
      planTables(tenancyOf(profile, "asterisk", profileOverrides.parse(overrides)), users, "asterisk").captured[0]?.owner
    expect(owner({})).toEqual({ kind: "one", stableId: "mixed" })
    expect(owner({ databases: { asterisk: { single: "acme" } } })).toEqual({ kind: "one", stableId: "acme" })
  })

  test("freepbx: the copy of the last months is not counted a second time", async () => {
    const profile = await shipped("freepbx")
    const { ignored, cdrs } = planTables(tenancyOf(profile, "asteriskcdrdb"), cdrdb, "asteriskcdrdb")
    expect(cdrs).toEqual(["asteriskcdrdb.cdr", "asteriskcdrdb.cel"])
    expect(ignored.map(({ name }) => name)).toEqual(["asteriskcdrdb.transient_cdr"])
    expect(cdrTablesOf(profile, "asteriskcdrdb", ["cdr", "transient_cdr"]).map(({ table, rules }) => [table, rules.key])).toEqual([
      ["cdr", []],
    ])
  })

  test("netsapiens: a month's raw records are call records, its other views are not, and both are covered", async () => {
    const profile = await shipped("netsapiens")
    const names = ["202611_r", "202612_r", "202613_r", "202611_d", "backup_r"]
    expect(cdrTablesOf(profile, "CdrDomain", names).map(({ table }) => table)).toEqual(["202611_r", "202612_r"])
    const tables = ["202611_r", "202611_d"].map((name) => tableOf("CdrDomain", name, ["orig_domain"]))
    const { captured, cdrs } = planTables(tenancyOf(profile, "CdrDomain"), tables, "CdrDomain")
    expect(cdrs).toEqual(["CdrDomain.202611_r"])
    expect(captured.map(({ name }) => name)).toEqual(["CdrDomain.202611_d"])
  })

  test.each([
    ["LiCfDomain", "recordings"],
    ["CdrDomain", "202613_r"],
  ])("netsapiens: %s.%s is refused, for nobody knows whose it is", async (database, name) => {
    const tables = [tableOf(database, name, ["orig_domain"])]
    const tenancy = tenancyOf(await shipped("netsapiens"), database)
    expect(() => planTables(tenancy, tables, database)).toThrow(/is in no line/)
  })

  test("kamailio: registrations are left out with a reason, subscribers are their domain's", async () => {
    const tables = [tableOf("public", "location", ["domain"]), tableOf("public", "subscriber", ["username", "domain"])]
    const { captured, ignored } = planTables(tenancyOf(await shipped("kamailio"), "kamailio"), tables, "kamailio")
    expect(ignored.map(({ why }) => why)).toEqual(["registrations of this moment; telephones renew them"])
    expect(captured[0]?.owner).toMatchObject({ kind: "column", lead: { column: "domain" } })
  })

  test("kamailio: a legal hold can ask for the traces of Homer", async () => {
    const traces = [tableOf("homer_data", "hep_proto_1_call", ["sid"])]
    const profile = await shipped("kamailio")
    expect(planTables(tenancyOf(profile, "homer_data"), traces, "homer_data").captured).toEqual([])
    const overrides = profileOverrides.parse({ databases: { homer_data: { patterns: [{ match: "hep_proto_*", rule: "mixed" }] } } })
    expect(planTables(tenancyOf(profile, "homer_data", overrides), traces, "homer_data").captured).toHaveLength(1)
  })
})

describe("what a job says differently", () => {
  const overrides = (changes: object): Parameters<typeof mergeProfile>[1] => profileOverrides.parse(changes)

  test("replaces one key of an entry and keeps the others", async () => {
    const changed = mergeProfile(
      await shipped("fusionpbx"),
      overrides({
        files: { recordings: { path: "/usr/local/freeswitch/recordings", settle: "10m" } },
        databases: { fusionpbx: { cdrs: { v_xml_cdr: { window: "40d" } } } },
      }),
    )
    expect(changed.files?.recordings).toMatchObject({
      path: "/usr/local/freeswitch/recordings",
      settle: 600_000,
      template: "{account}/archive/{yyyy}/{Mon}/{dd}/{name}",
    })
    expect(changed.databases?.fusionpbx?.cdrs?.v_xml_cdr).toMatchObject({ window: 40 * 86_400_000, account: "domain_uuid" })
    expect(changed.files?.voicemail?.mode).toBe("state")
  })

  test("replaces a table's whole rule: a table that is left out is no account's", async () => {
    const changed = tenancyOf(
      await shipped("fusionpbx"),
      "fusionpbx",
      overrides({
        databases: { fusionpbx: { tables: { v_user_logs: { ignore: "kept elsewhere" }, v_xml_cdr_json: { ignore: "too large" } } } },
      }),
    )
    expect(changed.tables.v_user_logs).toEqual({ ignore: "kept elsewhere" })
    expect(changed.tables.v_xml_cdr_json).toEqual({ ignore: "too large" })
    expect(changed.tables.v_xml_cdr).toEqual({ cdr: true })
  })

  test("takes a table of call records out of their job, too", async () => {
    const changed = mergeProfile(
      await shipped("fusionpbx"),
      overrides({ databases: { fusionpbx: { tables: { v_xml_cdr_json: { ignore: "too large" } } } } }),
    )
    expect(cdrTablesOf(changed, "fusionpbx", ["public.v_xml_cdr", "public.v_xml_cdr_json"]).map(({ table }) => table)).toEqual([
      "public.v_xml_cdr",
    ])
  })

  test("may add an entry, but no half of one", async () => {
    const profile = await shipped("kamailio")
    expect(
      mergeProfile(profile, overrides({ files: { tls: { mode: "state", path: "/etc/kamailio/tls", account: "platform" } } })).files,
    ).toHaveProperty("tls")
    expect(() => mergeProfile(profile, overrides({ files: { tls: { settle: "5m" } } }))).toThrow(
      /changes to the profile kamailio.*files\.tls/,
    )
  })

  test("cannot break a link between call records and files", async () => {
    const broken = overrides({
      databases: { fusionpbx: { cdrs: { v_xml_cdr: { media: [{ files: "elsewhere", path: "{record_name}" }] } } } },
    })
    expect(mergeProfile.bind(null, await shipped("fusionpbx"), broken)).toThrow(/expected a name in `files`/)
  })

  test("a database of another name is like the only one there is, and is refused where there are several", async () => {
    expect(tenancyOf(await shipped("fusionpbx"), "pbx_production").accounts?.table).toBe("v_domains")
    const netsapiens = await shipped("netsapiens")
    expect(() => tenancyOf(netsapiens, "Elsewhere")).toThrow(/knows no database Elsewhere/)
  })
})

describe("where a medium is", () => {
  const root = "/var/spool/recordings"
  const paths = (media: { path: string; days?: number; root?: string }, row: Readonly<Record<string, string | null>>): string[] =>
    mediaPaths({ files: "recordings", ...media }, root, { day: "2026-03-01", column: (name) => row[name] ?? null }).map((path) =>
      path.toString("latin1"),
    )

  test("is relative to the root, however the row says it", () => {
    const path = "{record_path}/{record_name}"
    expect(paths({ path }, { record_path: `${root}/acme/archive/2026/Mar/01`, record_name: "a.mp3" })).toEqual([
      "acme/archive/2026/Mar/01/a.mp3",
    ])
    expect(paths({ path }, { record_path: `${root}//acme/`, record_name: "a.mp3" })).toEqual(["acme/a.mp3"])
    expect(paths({ path, root: "/mnt/old" }, { record_path: "/mnt/old/acme", record_name: "a.mp3" })).toEqual(["acme/a.mp3"])
  })

  test("stays absolute outside the root, so that it counts as missing", () => {
    expect(paths({ path: "{record_path}/{record_name}" }, { record_path: `${root}-old/acme`, record_name: "a.mp3" })).toEqual([
      `${root}-old/acme/a.mp3`,
    ])
  })

  test.each([null, ""])("is nowhere where a column is %j", (value) => {
    expect(paths({ path: "{record_path}/{record_name}" }, { record_path: root, record_name: value })).toEqual([])
  })

  test("may be on a day beside the row's, across the end of a month", () => {
    expect(paths({ path: "{yyyy}/{MM}/{dd}/{recordingfile}", days: 1 }, { recordingfile: "q.wav" })).toEqual([
      "2026/03/01/q.wav",
      "2026/02/28/q.wav",
      "2026/03/02/q.wav",
    ])
  })

  test("is what an absolute column says, once", () => {
    expect(paths({ path: "{yyyy}/{MM}/{dd}/{recordingfile}", days: 1 }, { recordingfile: `${root}/2026/02/27/q.wav` })).toEqual([
      "2026/02/27/q.wav",
    ])
  })

  test("keeps bytes that are not UTF-8", () => {
    const [path] = mediaPaths({ files: "recordings", path: "{name}" }, root, { day: "2026-03-01", column: () => "caf\xe9.wav" })
    expect(path).toEqual(Buffer.from([0x63, 0x61, 0x66, 0xe9, 0x2e, 0x77, 0x61, 0x76]))
  })
})

describe("a profile of one's own", () => {
  const directory = mkdtempSync(join(tmpdir(), "profile-"))
  const own = async (text: string): Promise<Profile> => {
    writeFileSync(join(directory, "own.yaml"), text)
    return await loadProfile("own.yaml", directory, directory)
  }
  const head = "version: 1\nplatform: own\ndescription: Our own switch\n"

  test("is read by its path", async () => {
    expect(await own(`${head}databases:\n  pbx: {tables: {customers: {account: id}}}\n`)).toMatchObject({ platform: "own" })
  })

  test.each([
    ["an unknown key", "filez: {}\n", /^own\.yaml:4:1: unknown key "filez": did you mean "files"\?/],
    [
      "an archive without a template",
      "files:\n  calls: {mode: archive, path: /calls, account: mixed}\n",
      /^own\.yaml:5:10: archive mode needs a template/,
    ],
    [
      "a template that is none",
      'files:\n  calls: {mode: archive, path: /calls, template: "{account}/{yyyy}/{dd}"}\n',
      /^own\.yaml:5:50: template .*the month must stand there once/,
    ],
    [
      "files that are nobody's",
      'files:\n  calls: {mode: archive, path: /calls, template: "{yyyy}/{MM}/{dd}/{name}"}\n',
      /^own\.yaml:5:10: expected either \{account\} in the template or an account/,
    ],
    [
      "a link to files that are not there",
      'databases:\n  pbx:\n    cdrs:\n      cdr: {day: {column: start, stored: local}, media: [{files: calls, path: "{file}"}]}\n',
      /^own\.yaml:7:\d+: expected a name in `files`/,
    ],
    [
      "a pattern that is none",
      'databases:\n  pbx:\n    cdrs:\n      "{MONTH}_r": {day: {column: start, stored: local}}\n',
      /^own\.yaml:7:20: expected \{YYYYMM\}/,
    ],
    ["call records without a day", "databases:\n  pbx:\n    cdrs:\n      cdr: {account: customer}\n", /^own\.yaml:7:7: missing key "day"/],
  ])("is refused for %s, at its line", async (_, text, message) => {
    await expect(own(`${head}${text}`)).rejects.toThrow(message)
  })

  test("that does not exist is refused with the names that do", async () => {
    await expect(shipped("fusionpx")).rejects.toMatchObject({ code: "config/not-found", hint: "did you mean fusionpbx?" })
    await expect(shipped("cisco")).rejects.toMatchObject({ hint: expect.stringContaining("asterisk, freepbx") })
  })

  test("cannot be made by an empty file", () => {
    expect(profileSchema.safeParse({ version: 1, platform: "own" }).success).toBe(false)
  })
})
