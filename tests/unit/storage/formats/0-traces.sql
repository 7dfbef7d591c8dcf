-- One row a session attempt that this bridge has seen.
CREATE TABLE IF NOT EXISTS sessions (
  session_id    TEXT    PRIMARY KEY,
  registered_ms INTEGER NOT NULL,
  updated_ms    INTEGER NOT NULL,
  sequence      INTEGER NOT NULL,  -- everything up to it has been committed
  state         TEXT    NOT NULL   -- JSON of Session.snapshot()
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS sessions_by_time ON sessions (registered_ms);

-- One row a shard: a tar file in the spool until `stored`, in the object store from then on.
CREATE TABLE IF NOT EXISTS shards (
  shard_id      INTEGER PRIMARY KEY,
  session_id    TEXT    NOT NULL,
  key           TEXT    NOT NULL UNIQUE,
  stored        INTEGER NOT NULL DEFAULT 0,
  closed        INTEGER NOT NULL DEFAULT 0,  -- its index has been written
  size_bytes    INTEGER NOT NULL DEFAULT 0   -- everything up to it has been committed
);

-- One row a batch that has images.
CREATE TABLE IF NOT EXISTS batches (
  session_id    TEXT    NOT NULL,
  epoch         INTEGER NOT NULL,
  batch         INTEGER NOT NULL,
  received_ms   INTEGER NOT NULL,
  loss          REAL,              -- NULL: not a number
  images        INTEGER NOT NULL,
  PRIMARY KEY (session_id, epoch, batch)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS batches_by_time ON batches (session_id, received_ms);
CREATE INDEX IF NOT EXISTS batches_by_loss ON batches (session_id, (loss IS NULL) DESC, loss DESC);

-- One row an image, and where its bytes are.
CREATE TABLE IF NOT EXISTS images (
  session_id      TEXT    NOT NULL,
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
  PRIMARY KEY (session_id, epoch, batch, position)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS images_by_class ON images (session_id, true_class, predicted_class, received_ms);

-- One row a span that the OTLP backend has not confirmed yet.
CREATE TABLE IF NOT EXISTS spans (
  number  INTEGER PRIMARY KEY AUTOINCREMENT,
  span_id TEXT    NOT NULL UNIQUE,
  span    TEXT    NOT NULL          -- JSON of Span
);

-- One row a session whose trace is not complete yet.
CREATE TABLE IF NOT EXISTS traces (
  session_id TEXT    PRIMARY KEY,
  updated_ms INTEGER NOT NULL,
  trace      TEXT    NOT NULL       -- JSON of Trace.snapshot()
) WITHOUT ROWID;
