import { expect, test } from "vitest"
import { parse } from "yaml"
import { z } from "zod"
import { siteSettings } from "../../src/site/settings.ts"
import { pages, read } from "./pages.ts"

const sitesSchema = z.strictObject({ sites: z.record(z.string(), siteSettings) })

test.each(pages.filter((page) => /^docs\/(?:vendor|site)-/.test(page)))("%s shows settings that are taken as they stand", (page) => {
  const shown = [...read(page).matchAll(/^```yaml\n([\s\S]*?)^```$/gm)]
    .map(([, text = ""]) => text)
    .filter((text) => text.startsWith("sites:"))
  expect(shown.length).toBeGreaterThan(0)
  for (const text of shown) {
    const parsed = sitesSchema.safeParse(parse(text))
    expect(parsed.error, text).toBeUndefined()
  }
})
