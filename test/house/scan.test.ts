import { expect, test } from "vitest"
import { codeOf } from "./scan.ts"

test("nothing is lost: what is not comment, string or pattern is kept, whatever the braces do", () => {
  const source = "a } b { \"c\" } } d `e${f({ g: `${h}` })}i${j}k` l / m / n // o\n(/p\"/) /* q */ r 's\\'t' u `v`"
  const { text, strings } = codeOf(source)
  expect(text.replace(/\s+/g, " ")).toBe('a } b { "§0" } } d (+ f({ g: (+ h}) })}+ j}) l / m / n ("§1") r "§2" u "§3"')
  expect(strings).toEqual(["c", 'p"', "s\\'t", "v"])
})

test("an unfinished literal ends the text instead of hanging", () => {
  for (const source of ['"a', "`a", "`a${", "`a${b", "/* a", "(/a", "// a", "'a\\"]) expect(codeOf(source).text.length).toBeLessThan(20)
})
