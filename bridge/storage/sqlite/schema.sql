-- One row an attempt of a session that this bridge has seen, as it stood when the journal's group `through`
-- had been applied. The highest attempt is what the session is now; the others are over.
CREATE TABLE IF NOT EXISTS sessions (
  session_id    TEXT    NOT NULL,
  attempt       INTEGER NOT NULL,
  registered_ms INTEGER NOT NULL,
  updated_ms    INTEGER NOT NULL,
  ended_ms      INTEGER NOT NULL,  -- 0 while it lives
  through       INTEGER NOT NULL,
  state         BLOB    NOT NULL,  -- MessagePack of what each part of the bridge knows of it
  PRIMARY KEY (session_id, attempt)
);
CREATE INDEX IF NOT EXISTS sessions_by_time ON sessions (registered_ms);
CREATE INDEX IF NOT EXISTS sessions_by_end ON sessions (ended_ms);

-- One row a commit: what has been accepted since the commit before, in order.
CREATE TABLE IF NOT EXISTS journal (
  number  INTEGER PRIMARY KEY,
  entries BLOB    NOT NULL          -- MessagePack, see bridge/sinks/journal/records.py
);

-- One row a shard: a tar file in the spool until `stored`, in the object store from then on.
CREATE TABLE IF NOT EXISTS shards (
  shard_id      INTEGER PRIMARY KEY,
  session_id    TEXT    NOT NULL,
  key           TEXT    NOT NULL UNIQUE,
  stored        INTEGER NOT NULL DEFAULT 0,
  closed        INTEGER NOT NULL DEFAULT 0,  -- its index has been written
  size_bytes    INTEGER NOT NULL DEFAULT 0,  -- everything up to it has been committed
  attempt       INTEGER NOT NULL DEFAULT 1   -- all its images are of this attempt
);

-- One row a batch that has images; attempts may come past the same epoch and batch.
CREATE TABLE IF NOT EXISTS batches (
  session_id    TEXT    NOT NULL,
  attempt       INTEGER NOT NULL,
  epoch         INTEGER NOT NULL,
  batch         INTEGER NOT NULL,
  received_ms   INTEGER NOT NULL,
  loss          REAL,              -- NULL: not finite; -Infinity: not reported
  images        INTEGER NOT NULL,
  PRIMARY KEY (session_id, attempt, epoch, batch)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS batches_by_place ON batches (session_id, epoch, batch, attempt);
CREATE INDEX IF NOT EXISTS batches_by_time ON batches (session_id, received_ms);
CREATE INDEX IF NOT EXISTS batches_by_loss ON batches (session_id, (loss IS NULL) DESC, loss DESC);

-- One row an image, and where its bytes are.
CREATE TABLE IF NOT EXISTS images (
  session_id      TEXT    NOT NULL,
  attempt         INTEGER NOT NULL,
  epoch           INTEGER NOT NULL,
  batch           INTEGER NOT NULL,
  position        INTEGER NOT NULL,
  shard_id        INTEGER NOT NULL,
  offset          INTEGER NOT NULL,
  length          INTEGER NOT NULL,
  predicted_class INTEGER,
  confidence      REAL,
  true_class      INTEGER,
  received_ms     INTEGER NOT NULL,
  PRIMARY KEY (session_id, attempt, epoch, batch, position)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS images_by_class ON images (session_id, true_class, predicted_class, received_ms);

-- One row a span that the OTLP backend has not confirmed yet.
CREATE TABLE IF NOT EXISTS spans (
  number  INTEGER PRIMARY KEY AUTOINCREMENT,
  span_id TEXT    NOT NULL UNIQUE,
  span    TEXT    NOT NULL          -- JSON of Span
);

-- How many images of a session attempt came to what.
CREATE TABLE IF NOT EXISTS tallies (
  session_id TEXT    NOT NULL,
  attempt    INTEGER NOT NULL,
  result     TEXT    NOT NULL,
  images     INTEGER NOT NULL,
  at_ms      INTEGER NOT NULL,      -- when the newest of them was received
  PRIMARY KEY (session_id, attempt, result)
) WITHOUT ROWID;

-- The batch that is the best of its session's open window so far, JPEGs included.
CREATE TABLE IF NOT EXISTS windows (
  session_id TEXT    PRIMARY KEY,
  offer      BLOB    NOT NULL       -- MessagePack of Offer
);

-- Where a new database has found the images that were there before it: "spool", "store".
CREATE TABLE IF NOT EXISTS rebuilt (
  place TEXT PRIMARY KEY
) WITHOUT ROWID;

-- A session, or one attempt of it, that is being deleted: its rows in `sessions` are gone, the rest follows in steps.
CREATE TABLE IF NOT EXISTS deletions (
  session_id   TEXT    NOT NULL,
  attempt      INTEGER NOT NULL,    -- 0: all of them
  images       INTEGER NOT NULL,    -- which of its images go too, see ImageScope
  requested_ms INTEGER NOT NULL,    -- what has been received since then is kept
  PRIMARY KEY (session_id, attempt, requested_ms)
) WITHOUT ROWID;
