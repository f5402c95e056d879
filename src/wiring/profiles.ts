import { readdir } from "node:fs/promises"
import { basename, dirname, join, resolve } from "node:path"
import { z } from "zod"
import { ConfigError } from "../errors.ts"
import { type Profile, profileSchema } from "../source/profile.ts"
import type { Schema } from "./fields.ts"
import { readConfigFile, shown } from "./locate.ts"
import { problemsError } from "./origin.ts"
import { nearest } from "./suggest.ts"
import { originAt, validate } from "./validate.ts"
import { readYaml } from "./yaml.ts"

const shippedFolder = join(import.meta.dirname, "../source/profiles")

/** The names of the profiles that come with Holdline, sorted. */
export async function shippedProfiles(): Promise<string[]> {
  const files = await readdir(shippedFolder)
  return files
    .filter((file) => file.endsWith(".yaml"))
    .map((file) => basename(file, ".yaml"))
    .sort()
}

/**
 * Reads a profile: one that comes with Holdline by its name, such as "fusionpbx", any other by its path, which has a "/" or ends in
 * ".yaml" and starts at `directory`. Rejects with one ConfigError that lists every problem with its file, line and column.
 */
export async function loadProfile(reference: string, directory: string, cwd: string): Promise<Profile> {
  if (reference.includes("/") || /\.ya?ml$/i.test(reference)) return await readProfile(resolve(directory, reference), cwd)
  const names = await shippedProfiles()
  if (names.includes(reference)) return await readProfile(join(shippedFolder, `${reference}.yaml`), cwd)
  const meant = nearest(reference, names)
  throw new ConfigError("config/not-found", "no such profile comes with Holdline", {
    hint: meant === undefined ? `there are ${names.join(", ")}; name a file of your own by its path` : `did you mean ${meant}?`,
  })
}

async function readProfile(path: string, cwd: string): Promise<Profile> {
  const tree = readYaml(await readConfigFile(path), shown(path, cwd))
  const { value, problems } = validate(tree, profileSchema, profileJsonSchema())
  if (value === undefined) throw problemsError(problems)
  // What a file says and what it is called must not be two platforms: reports name the one, jobs the other.
  if (dirname(path) === shippedFolder && value.platform !== basename(path, ".yaml")) {
    throw problemsError([{ origin: originAt(tree, ["platform"], "value"), sentence: "expected the file's own name" }])
  }
  return value
}

// What messages about a profile take descriptions and known keys from.
function profileJsonSchema(): Schema {
  built ??= z.toJSONSchema(profileSchema, { io: "input", target: "draft-7" })
  return built
}

let built: Schema | undefined
