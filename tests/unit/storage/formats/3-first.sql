-- As a bridge of this format has left it in its folder.
CREATE TABLE sessions (
  session_id    TEXT    NOT NULL,
  attempt       INTEGER NOT NULL,
  registered_ms INTEGER NOT NULL,
  updated_ms    INTEGER NOT NULL,
  ended_ms      INTEGER NOT NULL,  -- 0 while it lives
  through       INTEGER NOT NULL,
  state         BLOB    NOT NULL,  -- MessagePack of what each part of the bridge knows of it
  PRIMARY KEY (session_id, attempt)
);
CREATE INDEX sessions_by_time ON sessions (registered_ms);
CREATE INDEX sessions_by_end ON sessions (ended_ms);
CREATE TABLE journal (
  number  INTEGER PRIMARY KEY,
  entries BLOB    NOT NULL          -- MessagePack, see bridge/sinks/journal/records.py
);
CREATE TABLE shards (
  shard_id      INTEGER PRIMARY KEY,
  session_id    TEXT    NOT NULL,
  key           TEXT    NOT NULL UNIQUE,
  stored        INTEGER NOT NULL DEFAULT 0,
  closed        INTEGER NOT NULL DEFAULT 0,  -- its index has been written
  size_bytes    INTEGER NOT NULL DEFAULT 0,  -- everything up to it has been committed
  attempt       INTEGER NOT NULL DEFAULT 1   -- all its images are of this attempt
);
CREATE TABLE batches (
  session_id    TEXT    NOT NULL,
  attempt       INTEGER NOT NULL,
  epoch         INTEGER NOT NULL,
  batch         INTEGER NOT NULL,
  received_ms   INTEGER NOT NULL,
  loss          REAL,              -- NULL: not finite; -Infinity: not reported
  images        INTEGER NOT NULL,
  PRIMARY KEY (session_id, attempt, epoch, batch)
) WITHOUT ROWID;
CREATE INDEX batches_by_place ON batches (session_id, epoch, batch, attempt);
CREATE INDEX batches_by_time ON batches (session_id, received_ms);
CREATE INDEX batches_by_loss ON batches (session_id, (loss IS NULL) DESC, loss DESC);
CREATE TABLE images (
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
CREATE INDEX images_by_class ON images (session_id, true_class, predicted_class, received_ms);
CREATE TABLE spans (
  number  INTEGER PRIMARY KEY AUTOINCREMENT,
  span_id TEXT    NOT NULL UNIQUE,
  span    TEXT    NOT NULL          -- JSON of Span
);
CREATE TABLE tallies (
  session_id TEXT    NOT NULL,
  attempt    INTEGER NOT NULL,
  result     TEXT    NOT NULL,
  images     INTEGER NOT NULL,
  at_ms      INTEGER NOT NULL,      -- when the newest of them was received
  PRIMARY KEY (session_id, attempt, result)
) WITHOUT ROWID;
CREATE TABLE windows (
  session_id TEXT    PRIMARY KEY,
  offer      BLOB    NOT NULL       -- MessagePack of Offer
);
CREATE TABLE rebuilt (
  place TEXT PRIMARY KEY
) WITHOUT ROWID;
CREATE TABLE deletions (
  session_id   TEXT    NOT NULL,
  attempt      INTEGER NOT NULL,    -- 0: all of them
  images       INTEGER NOT NULL,    -- which of its images go too, see ImageScope
  requested_ms INTEGER NOT NULL,    -- what has been received since then is kept
  PRIMARY KEY (session_id, attempt, requested_ms)
) WITHOUT ROWID;
