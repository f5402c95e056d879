import { execFileSync } from "node:child_process"
import { chmod, mkdir, writeFile } from "node:fs/promises"
import { describe, expect, test } from "vitest"
import { extendedAttributes } from "../../src/source/attributes.ts"
import { directorySource } from "../../src/source/directory.ts"
import type { SourceNote } from "../../src/source/source.ts"
import { requireTool } from "../requires.ts"
import { captured, environment, scratchDirectories, signal, text } from "./captured.ts"

const directory = scratchDirectories()

async function notes(root: string, path: string): Promise<SourceNote[]> {
  return await Array.fromAsync(extendedAttributes(Buffer.from(root), { PATH: path }, signal))
}

/** A folder with a program called getfattr that does what a script says. */
async function standIn(script: string): Promise<string> {
  const folder = await directory()
  await writeFile(`${folder}/getfattr`, `#!/bin/sh\n${script}\n`)
  await chmod(`${folder}/getfattr`, 0o755)
  return `${folder}:${environment.PATH}`
}

test("attributes and access lists are named for each file", async (context) => {
  const lacking = requireTool("getfattr") ?? requireTool("setfattr")
  if (lacking !== null) return context.skip(lacking)
  const root = await directory()
  await mkdir(`${root}/sub`)
  const names = ["plain", "with attribute", "sub/line\nbreak", "sub/back\\slash é"]
  for (const name of names) await writeFile(`${root}/${name}`, "")
  for (const name of names.slice(1)) execFileSync("setfattr", ["-n", "user.owner", "-v", "x", `${root}/${name}`])
  execFileSync("setfattr", ["-n", "user.top", "-v", "x", root])

  const found = await notes(root, environment.PATH)

  expect(found.map((note) => [note.path.toString(), note.kind, note.detail]).toSorted()).toEqual([
    ["", "extended-attributes", "user.top"],
    ["sub/back\\slash é", "extended-attributes", "user.owner"],
    ["sub/line\nbreak", "extended-attributes", "user.owner"],
    ["with attribute", "extended-attributes", "user.owner"],
  ])
})

test("labels that belong to this host are no loss, what a program may need is", async () => {
  const root = await directory()
  const path = await standIn(`cat <<'END'
# file: ${root}/a
security.selinux

# file: ${root}/b\\134c\\012d
security.capability
security.selinux
system.posix_acl_access
user.x

END`)
  expect(await notes(root, path)).toEqual([
    { kind: "extended-attributes", path: Buffer.from("b\\c\nd"), detail: "security.capability, system.posix_acl_access, user.x" },
  ])
})

describe("that nobody looked is said", () => {
  test("where the program is missing", async () => {
    expect(await notes(await directory(), await directory())).toEqual([
      { kind: "attributes-not-examined", path: Buffer.alloc(0), detail: "getfattr is not installed" },
    ])
  })

  test("where it fails, with what it had found", async () => {
    const root = await directory()
    const path = await standIn(`printf '# file: ${root}/a\\nuser.x\\n\\n'; echo 'a: Input/output error' >&2; exit 1`)
    expect(await notes(root, path)).toMatchObject([
      { kind: "extended-attributes", path: Buffer.from("a") },
      { kind: "attributes-not-examined", detail: expect.stringContaining("Input/output error") },
    ])
  })
})

test("what a run leaves out, or cannot keep, has no attributes to lose", async () => {
  const root = await directory()
  await mkdir(`${root}/cache`)
  for (const name of ["cache/x", "kept"]) await writeFile(`${root}/${name}`, "")
  const path = await standIn(`for name in cache cache/x kept; do printf '# file: ${root}/%s\\nuser.x\\n\\n' $name; done`)
  const source = directorySource({ kind: "directory", path: root, account: "platform", exclude: ["cache/"] }, "state", { PATH: path })

  const found = await captured(source, { now: new Date(), scratch: "", signal })

  expect(found.notes.map((note) => [note.kind, text(note.path)])).toEqual([
    ["excluded", "cache"],
    ["extended-attributes", "kept"],
  ])
})
