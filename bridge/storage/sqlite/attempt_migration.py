"""Format 3: sessions, batches and images carry the attempt that they belong to."""
# ruff: noqa: S608 -- every statement is made of constants

import logging
import sqlite3
import time
from collections.abc import Callable
from typing import Any

from bridge.errors import StorageError
from bridge.storage.packed import unpacked

log = logging.getLogger("bridge")

ROWS_PER_STEP = 50_000
REPORT_SECONDS = 5.0

LAST_ATTEMPT = 2**31
"""Above any attempt: a session that names a higher one is damaged."""

SESSIONS_3 = """
CREATE TABLE sessions (
  session_id TEXT NOT NULL, attempt INTEGER NOT NULL, registered_ms INTEGER NOT NULL,
  updated_ms INTEGER NOT NULL, ended_ms INTEGER NOT NULL, through INTEGER NOT NULL, state BLOB NOT NULL,
  PRIMARY KEY (session_id, attempt)
)"""

BATCHES_3 = """
CREATE TABLE batches (
  session_id TEXT NOT NULL, attempt INTEGER NOT NULL, epoch INTEGER NOT NULL, batch INTEGER NOT NULL,
  received_ms INTEGER NOT NULL, loss REAL, images INTEGER NOT NULL,
  PRIMARY KEY (session_id, attempt, epoch, batch)
) WITHOUT ROWID"""

IMAGES_3 = """
CREATE TABLE images (
  session_id TEXT NOT NULL, attempt INTEGER NOT NULL, epoch INTEGER NOT NULL, batch INTEGER NOT NULL,
  position INTEGER NOT NULL, shard_id INTEGER NOT NULL, offset INTEGER NOT NULL, length INTEGER NOT NULL,
  predicted_class INTEGER, confidence REAL, true_class INTEGER, received_ms INTEGER NOT NULL,
  PRIMARY KEY (session_id, attempt, epoch, batch, position)
) WITHOUT ROWID"""

DELETIONS_2 = """
CREATE TABLE IF NOT EXISTS deletions (
  session_id TEXT NOT NULL, images INTEGER NOT NULL, requested_ms INTEGER NOT NULL,
  PRIMARY KEY (session_id, requested_ms)
) WITHOUT ROWID"""

DELETIONS_3 = """
CREATE TABLE deletions (
  session_id TEXT NOT NULL, attempt INTEGER NOT NULL, images INTEGER NOT NULL, requested_ms INTEGER NOT NULL,
  PRIMARY KEY (session_id, attempt, requested_ms)
) WITHOUT ROWID"""

ATTEMPT = "coalesce((SELECT attempt FROM attempts_now AS now WHERE now.session_id = before.session_id), 1)"
"""What a session has begun last, and 1 for images without a session: before, nothing else was kept."""

COPY_SESSIONS = (
    "INSERT INTO sessions (session_id, attempt, registered_ms, updated_ms, ended_ms, through, state)"
    f" SELECT session_id, {ATTEMPT}, registered_ms, updated_ms, ended_ms, through, state"
    " FROM sessions_before AS before"
)
COPY_DELETIONS = (
    "INSERT INTO deletions (session_id, attempt, images, requested_ms)"
    " SELECT session_id, 0, images, requested_ms FROM deletions_before"
)

INDEXES = ("sessions_by_time", "sessions_by_end")
INDEXES_OF_IMAGES = ("batches_by_time", "batches_by_loss", "images_by_class")


def note_attempts(connection: sqlite3.Connection) -> dict[str, int]:
    """Note which attempt each session is at; one that is damaged keeps its row, as the first attempt."""
    connection.execute(
        "CREATE TEMP TABLE attempts_now (session_id TEXT PRIMARY KEY, attempt INTEGER)"
    )
    note = "INSERT INTO attempts_now SELECT session_id, ? FROM sessions WHERE rowid = ?"
    for rowid, state in connection.execute("SELECT rowid, state FROM sessions"):
        connection.execute(note, (_attempt_in(state), rowid))
    return {}


def copy_batches(connection: sqlite3.Connection) -> dict[str, int]:
    """Copy the batches that have images into the new table."""
    columns = ("session_id", "epoch", "batch", "received_ms", "loss", "images")
    return {"batches": _copy(connection, "batches", columns, keys=3)}


def copy_images(connection: sqlite3.Connection) -> dict[str, int]:
    """Copy the images into the new table."""
    columns = (
        *("session_id", "epoch", "batch", "position", "shard_id", "offset", "length"),
        *("predicted_class", "confidence", "true_class", "received_ms"),
    )
    return {"images": _copy(connection, "images", columns, keys=4)}


def _copy(
    connection: sqlite3.Connection, table: str, columns: tuple[str, ...], *, keys: int
) -> int:
    """Copy a table by its key, a limited number of rows at a time, and log how far it is now and then."""
    key, others = ", ".join(columns[:keys]), ", ".join(columns[1:])
    # As bytes and back, since a damaged text would not be read as one.
    place = f"(CAST(? AS TEXT){', ?' * (keys - 1)})"
    select = f"SELECT CAST(session_id AS BLOB), {', '.join(columns[1:keys])} FROM {table}_before"
    copy = (
        f"INSERT INTO {table} SELECT session_id, {ATTEMPT}, {others} FROM {table}_before AS before"
    )
    [[total]] = connection.execute(f"SELECT count(*) FROM {table}_before").fetchall()
    copied, reported = 0, time.monotonic()
    after, begins = (), "true"
    while True:
        last = connection.execute(
            f"{select} WHERE {begins} ORDER BY {key} LIMIT 1 OFFSET {ROWS_PER_STEP - 1}", after
        ).fetchone()
        ends = "true" if last is None else f"({key}) <= {place}"
        copied += connection.execute(
            f"{copy} WHERE {begins} AND {ends} ORDER BY {key}", (*after, *(last or ()))
        ).rowcount
        if last is None:
            return copied
        after, begins = last, f"({key}) > {place}"
        if time.monotonic() - reported >= REPORT_SECONDS:
            reported = time.monotonic()
            log.info("migrating the database", extra={"fields": {table: copied, "of": total}})


def _attempt_in(state: object) -> int:
    try:
        attempt: Any = unpacked(state)["session"]["attempt"]  # type: ignore[arg-type]
    except (StorageError, KeyError, TypeError):
        return 1
    return attempt if type(attempt) is int and 0 < attempt < LAST_ATTEMPT else 1


STEPS: tuple[str | Callable[[sqlite3.Connection], dict[str, int]], ...] = (
    note_attempts,
    *(f"DROP INDEX IF EXISTS {name}" for name in (*INDEXES, *INDEXES_OF_IMAGES)),
    "ALTER TABLE sessions RENAME TO sessions_before",
    SESSIONS_3,
    COPY_SESSIONS,
    "DROP TABLE sessions_before",
    "ALTER TABLE shards ADD COLUMN attempt INTEGER NOT NULL DEFAULT 1",
    f"UPDATE shards AS before SET attempt = {ATTEMPT}",
    "ALTER TABLE batches RENAME TO batches_before",
    BATCHES_3,
    copy_batches,
    "DROP TABLE batches_before",
    "ALTER TABLE images RENAME TO images_before",
    IMAGES_3,
    copy_images,
    "DROP TABLE images_before",
    DELETIONS_2,
    "ALTER TABLE deletions RENAME TO deletions_before",
    DELETIONS_3,
    COPY_DELETIONS,
    "DROP TABLE deletions_before",
    "DROP TABLE temp.attempts_now",
)
"""They never change once they are released."""
