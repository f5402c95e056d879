import { readFile } from "node:fs/promises"
import { reasonOf, SiteError } from "../errors.ts"
import { secretBytesMax } from "../limits.ts"

export interface StaticCredentials {
  readonly accessKeyId: string
  readonly secretAccessKey: string
  readonly sessionToken?: string
}

/**
 * Reads a file in the form of ~/.aws/credentials: lines `aws_access_key_id = …` and `aws_secret_access_key = …` of its first
 * section, which may have no heading. Nothing of it appears in an error.
 */
export async function readCredentials(site: string, path: string): Promise<StaticCredentials> {
  const text = await readFile(path, "utf8").catch((cause: unknown) => {
    throw new SiteError(site, "site/denied", `credentials: ${reasonOf(cause)}`, { cause })
  })
  const values = text.length > secretBytesMax ? new Map<string, string>() : valuesOf(text)
  const [accessKeyId, secretAccessKey] = [values.get("aws_access_key_id"), values.get("aws_secret_access_key")]
  if (accessKeyId === undefined || secretAccessKey === undefined) {
    throw new SiteError(site, "site/denied", `credentials: ${path} does not say aws_access_key_id and aws_secret_access_key`, {
      hint: "write it as ~/.aws/credentials is written",
    })
  }
  const sessionToken = values.get("aws_session_token")
  return { accessKeyId, secretAccessKey, ...(sessionToken !== undefined && { sessionToken }) }
}

function valuesOf(text: string): Map<string, string> {
  const values = new Map<string, string>()
  let sections = 0
  for (const line of text.split(/\r?\n/)) {
    if (/^\s*\[/.test(line)) sections += 1
    if (sections > 1) break
    const [, name, value] = /^\s*([a-z_]+)\s*=\s*(\S+)\s*$/.exec(line) ?? []
    if (name !== undefined && value !== undefined) values.set(name, value)
  }
  return values
}
