/** A PBX platform in little: customers, extensions by customer, lines by their device, shared dial plans, keys in circles. */
export const pbx = `
  CREATE EXTENSION IF NOT EXISTS pgcrypto;
  CREATE TYPE mood AS ENUM ('on', 'off');
  CREATE TABLE v_domains (domain_uuid uuid PRIMARY KEY, domain_parent_uuid uuid REFERENCES v_domains, domain_name text UNIQUE);
  CREATE TABLE v_dialplans (dialplan_uuid uuid PRIMARY KEY, domain_uuid uuid REFERENCES v_domains, xml text);
  CREATE TABLE v_extensions (extension_uuid uuid PRIMARY KEY, domain_uuid uuid NOT NULL REFERENCES v_domains,
    extension text, dialplan_uuid uuid REFERENCES v_dialplans, state mood DEFAULT 'on', settings jsonb, picture bytea,
    number_length int GENERATED ALWAYS AS (length(extension)) STORED, UNIQUE (domain_uuid, extension));
  CREATE TABLE v_devices (device_uuid uuid PRIMARY KEY, domain_uuid uuid NOT NULL REFERENCES v_domains, address text);
  CREATE TABLE v_device_lines (line int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, device_uuid uuid NOT NULL REFERENCES v_devices, label text);
  CREATE TABLE v_users (user_id serial PRIMARY KEY, domain_uuid uuid NOT NULL REFERENCES v_domains, contact_id int);
  CREATE TABLE v_contacts (contact_id serial PRIMARY KEY, domain_uuid uuid NOT NULL REFERENCES v_domains, user_id int NOT NULL REFERENCES v_users);
  ALTER TABLE v_users ADD FOREIGN KEY (contact_id) REFERENCES v_contacts;
  CREATE TABLE v_notes (domain_uuid uuid, note text);
  CREATE TABLE v_settings (name text PRIMARY KEY, value json);
  CREATE TABLE v_calls (at timestamptz NOT NULL, domain_uuid uuid NOT NULL, seconds numeric, PRIMARY KEY (at, domain_uuid)) PARTITION BY RANGE (at);
  CREATE TABLE v_calls_2026 PARTITION OF v_calls FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');
  CREATE TABLE v_calls_rest PARTITION OF v_calls DEFAULT;
  CREATE MATERIALIZED VIEW busy AS SELECT domain_uuid, count(*) AS n FROM v_extensions GROUP BY 1;
  CREATE FUNCTION shout() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO v_log VALUES (TG_TABLE_NAME); RETURN NEW; END $$;
  CREATE TABLE v_log (what text);
  CREATE TRIGGER shout AFTER INSERT ON v_devices FOR EACH ROW EXECUTE FUNCTION shout();
`

/** So many customers; uuids say what they are: d, e, … and their number. */
export function pbxRows(customers: number): string {
  const id = (letter: string, number: string): string => `('${letter.repeat(8)}-0000-0000-0000-' || lpad((${number})::text, 12, '0'))::uuid`
  return `
  INSERT INTO v_dialplans VALUES (${id("f", "0")}, NULL, '<shared/>'), (${id("f", "900")}, NULL, '<other/>');
  INSERT INTO v_domains SELECT ${id("d", "c")}, CASE WHEN c > 1 THEN ${id("d", "1")} END, 'c' || c || '.example.net' FROM generate_series(1, ${customers}) c;
  INSERT INTO v_dialplans SELECT ${id("f", "c")}, ${id("d", "c")}, E'tab\\tline\\nback\\\\slash é ' || c FROM generate_series(1, ${customers}) c;
  INSERT INTO v_extensions (extension_uuid, domain_uuid, extension, dialplan_uuid, settings, picture)
    SELECT ${id("e", "c * 100 + e")}, ${id("d", "c")}, (100 + e)::text, CASE e % 3 WHEN 0 THEN ${id("f", "0")} WHEN 1 THEN ${id("f", "c")} END,
      jsonb_build_object('n', e), decode('00ff5c', 'hex') FROM generate_series(1, ${customers}) c, generate_series(1, 20) e;
  INSERT INTO v_devices SELECT ${id("a", "c")}, ${id("d", "c")}, '00:00:' || c FROM generate_series(1, ${customers}) c;
  INSERT INTO v_device_lines (device_uuid, label) SELECT ${id("a", "c")}, 'line ' || n FROM generate_series(1, ${customers}) c, generate_series(1, 3) n;
  INSERT INTO v_users (domain_uuid) SELECT ${id("d", "c")} FROM generate_series(1, ${customers}) c;
  INSERT INTO v_contacts (domain_uuid, user_id) SELECT domain_uuid, user_id FROM v_users;
  UPDATE v_users u SET contact_id = c.contact_id FROM v_contacts c WHERE c.user_id = u.user_id;
  INSERT INTO v_notes SELECT ${id("d", "c")}, CASE n WHEN 1 THEN NULL WHEN 2 THEN '' ELSE 'again' END FROM generate_series(1, ${customers}) c, generate_series(1, 4) n;
  INSERT INTO v_settings VALUES ('a', '{"b":  1}'), ('null', NULL);
  INSERT INTO v_calls SELECT '2025-12-31 23:00+00'::timestamptz + c * interval '1 hour', ${id("d", "c")}, c / 3.0 FROM generate_series(1, ${customers}) c;
  REFRESH MATERIALIZED VIEW busy;
  SELECT setval('v_users_user_id_seq', 5000);
  ANALYZE`
}

const via = [{ column: "device_uuid", table: "public.v_devices", key: "device_uuid" }]
export const tenancy = {
  accounts: { table: "public.v_domains", id: "domain_uuid", name: "domain_name" },
  tables: {
    "public.v_domains": { account: "domain_uuid" },
    "public.v_dialplans": { account: "domain_uuid", null: "platform" },
    "public.v_extensions": { account: "domain_uuid" },
    "public.v_devices": { account: "domain_uuid" },
    "public.v_device_lines": { account: "domain_uuid", via },
    "public.v_users": { account: "domain_uuid" },
    "public.v_contacts": { account: "domain_uuid" },
    "public.v_notes": { account: "domain_uuid" },
    "public.v_settings": "shared",
    "public.v_calls": { account: "domain_uuid" },
    "public.v_log": { ignore: "a log of the platform's own" },
  },
}
