import { describe, expect, test } from "vitest"
import { Complaint } from "../src/complaint.ts"

function said(text: string, { name = "pg_restore", environment = {}, chunk = 7 } = {}): string {
  const complaint = new Complaint(name, environment)
  const bytes = Buffer.from(text)
  for (let at = 0; at < bytes.length; at += chunk) complaint.add(bytes.subarray(at, at + chunk))
  return complaint.text
}

describe("why a program failed", () => {
  test("is its first errors, not the last line of many", () => {
    const lines = [
      "pg_restore: while PROCESSING TOC:",
      "pg_restore: from TOC entry 4211; 2606 16991 FK CONSTRAINT v_devices v_devices_fk holdline",
      'pg_restore: error: could not execute query: ERROR:  relation "v_domains" does not exist',
      "Command was: ALTER TABLE ONLY public.v_devices",
      "    ADD CONSTRAINT v_devices_fk FOREIGN KEY (domain_uuid) REFERENCES public.v_domains(domain_uuid);",
      "",
      ...Array.from({ length: 40 }, (_, n) => `pg_restore: error: could not execute query: ERROR:  role "r${String(n)}" does not exist`),
      "pg_restore: warning: errors ignored on restore: 41",
    ]
    expect(said(lines.join("\n"))).toBe(
      'could not execute query: ERROR:  relation "v_domains" does not exist; could not execute query: ERROR:  role "r0" does not exist; ' +
        'could not execute query: ERROR:  role "r1" does not exist; and 39 more',
    )
  })

  test("is its last line where none says an error, and nothing where it says nothing", () => {
    expect(said("reading\nline 17 looks strange\n\n")).toBe("line 17 looks strange")
    expect(said("\n \n")).toBe("")
    expect(said("x".repeat(100_000), { chunk: 1000 })).toBe("x".repeat(300))
    expect(said("\u001b[31mred\u0007\n")).toBe("[31mred")
  })

  test("has no value of a row and no statement in it", () => {
    const lines = [
      'pg_restore: error: COPY failed for table "v_users": ERROR:  duplicate key value violates unique constraint "v_users_pkey"',
      "DETAIL:  Key (username)=(bob@maple.example) already exists.",
      'CONTEXT:  COPY v_users, line 1: "bob@maple.example\tcleartext"',
      'pg_restore: error: COPY failed for table "v_extensions": ERROR:  invalid input syntax for type integer: "+493012345"',
      "DETAIL:  Failing row contains (bob, mailbox not found).",
      "ERROR 1062 (23000) at line 7: Duplicate entry '+493012345' for key 'PRIMARY'",
    ]
    const text = said(lines.join("\n"))
    expect(text).toContain('violates unique constraint "v_users_pkey"')
    expect(text).not.toMatch(/bob|cleartext|4930/)
    expect(said('NOTICE:  table "cdr"\nCONTEXT:  COPY cdr, line 1: "bob"\n')).toBe('NOTICE:  table "cdr"')
  })

  test("has no secret in it", () => {
    const environment = { PATH: "/usr/bin", API_TOKEN: "t0ps3cret", MYSQL_PWD: "pa55" }
    const lines = [
      "error: GET https://reader:hunter22@pbx.example.net/cdrs with t0ps3cret failed",
      "error: connection failed: host=db user=reader password=hunter22 sslmode=require",
      "error: --password='hunter 22' was denied, PASSWORD 'hunter22', pa55, /usr/bin",
    ]
    const text = said(lines.join("\n"), { environment })
    expect(text).toContain("https://reader:[secret]@pbx.example.net/cdrs with [secret] failed")
    expect(text).toContain("user=reader password=[secret] sslmode=require")
    expect(text).toContain("/usr/bin")
    expect(text).not.toMatch(/hunter|t0ps3cret|pa55/)
  })
})
