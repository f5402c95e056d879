/** A catalog of another version is put aside and rebuilt: it is a cache. */
export const schemaVersion = 5

export const schema = `
-- Who an account is to its platform, and the identity it is encrypted to. key_bytes is kept until the key object is registered. A row
-- is 2 KB: found by its number, it is read at once, and not by way of pages that overflow.
CREATE TABLE account (
  stable_id  TEXT NOT NULL,
  epoch      TEXT NOT NULL,
  account    TEXT NOT NULL,
  recipient  TEXT NOT NULL,
  key_name   TEXT NOT NULL,
  key_bytes  BLOB,
  registered INTEGER NOT NULL,
  PRIMARY KEY (stable_id, epoch, account)
) STRICT;
-- Whose an account is, and its recipient, are asked for each account of a run.
CREATE INDEX account_id ON account (account);

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
-- A whole's items have no day.
CREATE INDEX item_whole ON item (dataset, account, epoch, class, path) WHERE day = '';
-- Files of an archive by day: without the row itself, for what is asked of weeks at once.
CREATE INDEX item_day ON item (dataset, day, run) WHERE day <> '' AND type = 'file' AND missing IS NULL;
-- Few, and asked for at each commit.
CREATE INDEX item_missing ON item (dataset, path) WHERE missing IS NOT NULL;
CREATE INDEX item_pending ON item (dataset, state, account, epoch, class, day, path) WHERE state = 0;

-- Commits that items rest on, or did.
CREATE TABLE item_commit (
  dataset    TEXT NOT NULL,
  commit_sha TEXT NOT NULL,
  PRIMARY KEY (dataset, commit_sha)
) STRICT, WITHOUT ROWID;

-- Files of an archive that stand side by side, by the path of the first: all were found as their items say, and a seal over that tells it
-- the next time. It rests on their items.
CREATE TABLE stretch (
  dataset TEXT NOT NULL,
  path    BLOB NOT NULL,
  seal    BLOB NOT NULL,
  account TEXT NOT NULL,
  class   TEXT NOT NULL,
  PRIMARY KEY (dataset, path)
) STRICT, WITHOUT ROWID;
CREATE TRIGGER item_forgotten AFTER DELETE ON item WHEN OLD.missing IS NULL BEGIN
  DELETE FROM stretch WHERE dataset = OLD.dataset;
END;

-- Which packs an item's bytes are in, so that items of a lost pack can be found.
CREATE TABLE item_pack (
  pack    TEXT NOT NULL,
  dataset TEXT NOT NULL,
  path    BLOB NOT NULL,
  PRIMARY KEY (pack, dataset, path)
) STRICT, WITHOUT ROWID;

-- What archive sources remember, by their own keys: rows and ranges of files, each held by the item of a path.
CREATE TABLE memory (
  dataset    TEXT NOT NULL,
  collection TEXT NOT NULL,
  key        BLOB NOT NULL,
  value      BLOB NOT NULL,
  path       BLOB NOT NULL,
  day        TEXT NOT NULL,
  PRIMARY KEY (dataset, collection, key)
) STRICT, WITHOUT ROWID;

-- Which account a name stands for: what paths call it, and what its platform's database says. current is 0 where the name became
-- another account's.
CREATE TABLE account_name (
  name      TEXT NOT NULL,
  stable_id TEXT NOT NULL,
  current   INTEGER NOT NULL,
  PRIMARY KEY (name, stable_id)
) STRICT, WITHOUT ROWID;

-- Rows that point at media, until the job of the media has been held against them. files is the profile's name of where the medium is,
-- row_key what tells the row apart, empty where nothing does.
CREATE TABLE reference (
  dataset   TEXT NOT NULL,
  path      BLOB NOT NULL,
  files     TEXT NOT NULL,
  row_key   BLOB NOT NULL,
  stable_id TEXT NOT NULL,
  day       TEXT NOT NULL,
  ended     TEXT NOT NULL,
  PRIMARY KEY (dataset, path, files, row_key)
) STRICT, WITHOUT ROWID;
CREATE INDEX reference_row ON reference (dataset, row_key) WHERE row_key <> x'';

-- What runs found that may be damage. state: 0 in no log yet, 1 open, 2 lifted. numbers is a JSON object of integers.
CREATE TABLE anomaly (
  id      TEXT PRIMARY KEY,
  dataset TEXT NOT NULL,
  kind    TEXT NOT NULL,
  time    TEXT NOT NULL,
  numbers TEXT NOT NULL,
  state   INTEGER NOT NULL,
  lifted  TEXT
) STRICT, WITHOUT ROWID;

-- How many files of each recent day an archive's source held when it was last read whole.
CREATE TABLE presence (
  dataset TEXT NOT NULL,
  day     TEXT NOT NULL,
  files   INTEGER NOT NULL,
  PRIMARY KEY (dataset, day)
) STRICT, WITHOUT ROWID;

-- Of how many recent files of an archive's source how many went or changed since then.
CREATE TABLE upheaval (
  dataset TEXT PRIMARY KEY,
  since   TEXT NOT NULL,
  files   INTEGER NOT NULL,
  lost    INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Where the manifest of a partition of a whole lies, so that a run in which nothing of it changed lists it again.
CREATE TABLE manifest (
  dataset TEXT NOT NULL,
  account TEXT NOT NULL,
  epoch   TEXT NOT NULL,
  class   TEXT NOT NULL,
  line    TEXT NOT NULL,
  packs   TEXT NOT NULL,
  items   INTEGER NOT NULL,
  PRIMARY KEY (dataset, account, epoch, class)
) STRICT, WITHOUT ROWID;

-- What the inventories of an archive's commits say: zstd of JSON.
CREATE TABLE inventory (
  commit_sha TEXT PRIMARY KEY,
  dataset    TEXT NOT NULL,
  time       TEXT NOT NULL,
  lines      BLOB NOT NULL
) STRICT;
CREATE INDEX inventory_time ON inventory (dataset, time);

-- Where the members of meta packs lie: offset and length of each, four bytes little-endian.
CREATE TABLE meta_member (
  pack   TEXT PRIMARY KEY,
  places BLOB NOT NULL
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

-- Approvals that were found in the logs, and since when a site had them: so that a retired site is left out before it is asked.
-- Whoever reads one checks its signatures again.
CREATE TABLE approval (
  sha256     TEXT PRIMARY KEY,
  statement  TEXT NOT NULL,
  signatures TEXT NOT NULL,
  stored_at  TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- How far each verification went.
CREATE TABLE proof (
  dataset    TEXT NOT NULL,
  rung       TEXT NOT NULL,
  outcome    TEXT NOT NULL,
  time       TEXT NOT NULL,
  commit_sha TEXT NOT NULL
) STRICT;

-- What the last scrub of each site found. cursor is where in the space of hashes the next one begins to read, from 0 to 1.
CREATE TABLE scrub (
  site       TEXT PRIMARY KEY,
  started    TEXT NOT NULL,
  seconds    REAL NOT NULL,
  outcome    TEXT NOT NULL,
  objects    INTEGER NOT NULL,
  bytes      INTEGER NOT NULL,
  read       INTEGER NOT NULL,
  read_bytes INTEGER NOT NULL,
  missing    INTEGER NOT NULL,
  cut        INTEGER NOT NULL,
  rotten     INTEGER NOT NULL,
  unread     INTEGER NOT NULL,
  unreadable TEXT,
  cursor     REAL NOT NULL,
  round      TEXT NOT NULL,
  read_since TEXT
) STRICT, WITHOUT ROWID;

-- Copies that are not to be relied on: a scrub or a repair found them so, and no later one found them good.
CREATE TABLE flaw (
  site   TEXT NOT NULL,
  key    TEXT NOT NULL,
  kind   TEXT NOT NULL,
  detail TEXT NOT NULL,
  found  TEXT NOT NULL,
  PRIMARY KEY (site, key)
) STRICT, WITHOUT ROWID;

-- When a verification last read and hashed all that a site keeps of a dataset.
CREATE TABLE site_proof (
  site    TEXT NOT NULL,
  dataset TEXT NOT NULL,
  time    TEXT NOT NULL,
  PRIMARY KEY (site, dataset)
) STRICT, WITHOUT ROWID;

-- How fast each site delivered to the last restore that read enough from it to tell.
CREATE TABLE site_speed (
  site             TEXT PRIMARY KEY,
  bytes_per_second INTEGER NOT NULL,
  time             TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- How far sites were behind when the last run of a dataset ended; commits is NULL where a site could not say.
CREATE TABLE site_lag (
  site    TEXT NOT NULL,
  dataset TEXT NOT NULL,
  time    TEXT NOT NULL,
  commits INTEGER,
  since   TEXT,
  PRIMARY KEY (site, dataset)
) STRICT, WITHOUT ROWID;

-- How sites answered: who failed lately is left alone for a while, whichever process asks.
CREATE TABLE site_condition (
  site          TEXT PRIMARY KEY,
  failures      INTEGER NOT NULL,
  failing_since TEXT,
  reason        TEXT NOT NULL,
  rest_until    TEXT,
  rest_ms       INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE run (
  number  INTEGER PRIMARY KEY,
  id      TEXT NOT NULL UNIQUE,
  job     TEXT NOT NULL,
  started TEXT NOT NULL,
  ended   TEXT,
  outcome TEXT,
  report  TEXT,
  fence   INTEGER NOT NULL
) STRICT;
-- What is asked of each job: its newest runs.
CREATE INDEX run_job ON run (job, number);

-- How far the scheduler is with each job: every due time up to handled was run or is in missed. due is that of the run under way, begun
-- at that moment for the so manieth time. Of another schedule than this, the due times are others.
CREATE TABLE schedule (
  job      TEXT PRIMARY KEY,
  schedule TEXT NOT NULL,
  handled  TEXT NOT NULL,
  due      TEXT,
  begun    TEXT,
  attempts INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Due times that were not run, and why: those that follow one another for one reason as one row.
CREATE TABLE missed (
  job    TEXT NOT NULL,
  first  TEXT NOT NULL,
  last   TEXT NOT NULL,
  count  INTEGER,
  reason TEXT NOT NULL,
  PRIMARY KEY (job, first)
) STRICT, WITHOUT ROWID;
`
