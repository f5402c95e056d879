import { expect, test } from "vitest"
import type { TargetTable } from "../../src/database/loader.ts"
import { mergeOrder } from "../../src/database/merge-order.ts"

interface Key {
  readonly to: string
  readonly nullable?: boolean
  readonly deferrable?: boolean
}

/** A table with a key column, and one more for each foreign key. */
function tableOf(name: string, keys: readonly Key[] = []): TargetTable {
  const column = (called: string, nullable: boolean) => ({ name: called, type: "int", nullable, required: false, generated: false })
  return {
    ...{ schema: "s", name, key: ["id"], uniques: [], triggers: [] },
    columns: [column("id", false), ...keys.map(({ to, nullable = false }) => column(to, nullable))],
    references: keys.map(({ to, deferrable = false }) => ({
      name: `(${to})`,
      columns: [to],
      schema: "s",
      table: to,
      toColumns: ["id"],
      deferrable,
    })),
  }
}

const namesOf = (tables: readonly TargetTable[]): string => tables.map(({ name }) => name).join(" ")
const lateOf = (late: ReadonlyMap<TargetTable, readonly string[]>): string[] =>
  [...late].map(([{ name }, columns]) => `${name}.${columns.join()}`)

test("parents come before children, whatever order they are named in", () => {
  const tables = [tableOf("c", [{ to: "b" }, { to: "a" }]), tableOf("b", [{ to: "a" }, { to: "elsewhere" }]), tableOf("a")]
  const { tables: ordered, late } = mergeOrder(tables, true)
  expect(namesOf(ordered)).toBe("a b c")
  expect(late.size).toBe(0)
})

test("a circle is opened where a column may be empty until all rows are there", () => {
  const tables = [
    tableOf("a", [{ to: "b" }]),
    tableOf("b", [{ to: "c" }]),
    tableOf("c", [{ to: "a", nullable: true }]),
    tableOf("d", [{ to: "a" }]),
  ]
  const { tables: ordered, late } = mergeOrder(tables, true)
  expect(namesOf(ordered)).toBe("c b a d")
  expect(lateOf(late)).toEqual(["c.a"])
})

test("a circle is opened sooner where a key can wait for the end, and nothing is late then", () => {
  const tables = [tableOf("a", [{ to: "b", nullable: true }]), tableOf("b", [{ to: "a", deferrable: true }])]
  const { tables: ordered, late } = mergeOrder(tables, true)
  expect(namesOf(ordered)).toBe("b a")
  expect(late.size).toBe(0)
})

test("a circle that can neither wait nor be empty is refused by the names of its keys", () => {
  expect(() => mergeOrder([tableOf("a", [{ to: "b" }]), tableOf("b", [{ to: "a" }])], true)).toThrow(
    "foreign keys that lead in a circle and can neither wait nor be empty: s.a (b), s.b (a)",
  )
})

test("rows that refer to rows of their own table come at once where keys are checked after, and late where they are not", () => {
  const own = tableOf("a", [{ to: "a", nullable: true }])
  expect(mergeOrder([own], true).late.size).toBe(0)
  expect(lateOf(mergeOrder([own], false).late)).toEqual(["a.a"])
  expect(() => mergeOrder([tableOf("a", [{ to: "a" }])], false)).toThrow("s.a (a)")
})
