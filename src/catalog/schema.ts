/** A catalog of another version is put aside and rebuilt: it is a cache. */
export const schemaVersion = 1

export const schema = `
-- Who an account is to its platform, and the identity it is encrypted to. key_bytes is kept until the key object is registered.
CREATE TABLE account (
  stable_id  TEXT NOT NULL,
  epoch      TEXT NOT NULL,
  account    TEXT NOT NULL,
  recipient  TEXT NOT NULL,
  key_name   TEXT NOT NULL,
  key_bytes  BLOB,
  registered INTEGER NOT NULL,
  PRIMARY KEY (stable_id, epoch, account)
) STRICT, WITHOUT ROWID;

-- Packs of this agent. listed is 0 while no commit lists them.
CREATE TABLE pack (
  sha256 TEXT PRIMARY KEY,
  agent  TEXT NOT NULL,
  class  TEXT NOT NULL,
  kind   TEXT NOT NULL,
  date   TEXT NOT NULL,
  bytes  INTEGER NOT NULL,
  listed INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- What the last runs captured: one row an item. state: 0 pending (in a pack that no commit lists yet), 1 committed.
CREATE TABLE item (
  dataset  TEXT NOT NULL,
  path     BLOB NOT NULL,
  account  TEXT NOT NULL,
  epoch    TEXT NOT NULL,
  day      TEXT NOT NULL,
  class    TEXT NOT NULL,
  type     TEXT NOT NULL,
  size     INTEGER NOT NULL,
  mtime_ns INTEGER NOT NULL,
  ctime_ns INTEGER,
  inode    INTEGER,
  mode     INTEGER NOT NULL,
  uid      INTEGER NOT NULL,
  gid      INTEGER NOT NULL,
  link     BLOB,
  sha256   TEXT,
  extents  TEXT NOT NULL,
  flags    TEXT NOT NULL,
  missing  TEXT,
  state    INTEGER NOT NULL,
  run      INTEGER NOT NULL,
  commit_sha TEXT,
  PRIMARY KEY (dataset, path)
) STRICT, WITHOUT ROWID;
CREATE INDEX item_pending ON item (dataset, state, account, epoch, class, day, path) WHERE state = 0;

-- Which packs an item's bytes are in, so that items of a lost pack can be found.
CREATE TABLE item_pack (
  pack    TEXT NOT NULL,
  dataset TEXT NOT NULL,
  path    BLOB NOT NULL,
  PRIMARY KEY (pack, dataset, path)
) STRICT, WITHOUT ROWID;

-- Commits whose signature was checked: their bytes are the same at every site, for ever.
CREATE TABLE commit_object (
  sha256 TEXT PRIMARY KEY,
  key    TEXT NOT NULL UNIQUE,
  agent  TEXT NOT NULL,
  seq    INTEGER NOT NULL,
  time   TEXT NOT NULL,
  bytes  BLOB NOT NULL
) STRICT;

-- Trust lists newer than the configured file, found at the sites and signed by the root.
CREATE TABLE trust_list (
  n     INTEGER PRIMARY KEY,
  bytes BLOB NOT NULL
) STRICT;

-- How far each verification went.
CREATE TABLE proof (
  dataset    TEXT NOT NULL,
  rung       TEXT NOT NULL,
  outcome    TEXT NOT NULL,
  time       TEXT NOT NULL,
  commit_sha TEXT NOT NULL
) STRICT;

CREATE TABLE run (
  number  INTEGER PRIMARY KEY,
  id      TEXT NOT NULL UNIQUE,
  job     TEXT NOT NULL,
  started TEXT NOT NULL,
  ended   TEXT,
  outcome TEXT,
  report  TEXT
) STRICT;
`
