"""Migrates a database of the formats before Alembic, from each to the next."""

import json
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from bridge.storage.packed import packed
from bridge.storage.sqlite.attempt_migration import STEPS as ATTEMPT_STEPS

EPOCH_FIELDS = (
    "number",
    "loss",
    "accuracy",
    "validation_loss",
    "validation_accuracy",
    "learning_rate",
)


@dataclass(frozen=True, slots=True)
class Migration:
    """The steps from one format to the next."""

    makes: int
    steps: tuple[str | Callable[[sqlite3.Connection], dict[str, int]], ...]
    """Statements, and functions that return counts of what they migrated, for the log."""

    def run(self, connection: sqlite3.Connection) -> dict[str, int]:
        """Run the steps inside the open transaction, and return counts of what was migrated."""
        counts: dict[str, int] = {}
        for step in self.steps:
            if isinstance(step, str):
                connection.execute(step)
            else:
                counts |= step(connection)
        return counts


def _add_closed(connection: sqlite3.Connection) -> dict[str, int]:
    """Add a column that the first bridges did not have; the shards in the store have their index."""
    columns = [row[1] for row in connection.execute("PRAGMA table_info(shards)")]
    if "closed" not in columns:
        connection.execute("ALTER TABLE shards ADD COLUMN closed INTEGER NOT NULL DEFAULT 0")
        connection.execute("UPDATE shards SET closed = stored")
    return {}


def _migrate_sessions(connection: sqlite3.Connection) -> dict[str, int]:
    """Turn sessions in JSON, beside a table of traces, into one MessagePack value each."""
    traces = dict(connection.execute("SELECT session_id, trace FROM traces_before").fetchall())
    rows = connection.execute(
        "SELECT session_id, registered_ms, updated_ms, sequence, state FROM sessions_before"
    ).fetchall()
    migrated = with_trace = 0
    for session_id, registered_ms, updated_ms, sequence, text in rows:
        try:
            state = _session_state(json.loads(text), sequence)
            parts = {"session": state, **_trace_part(traces.get(session_id))}
            row = (session_id, registered_ms, updated_ms, _ms(state["ended_at"]), packed(parts))
        except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError):
            continue
        connection.execute("INSERT INTO sessions VALUES (?, ?, ?, ?, 0, ?)", row)
        connection.execute(
            "INSERT INTO tallies SELECT ?1, ?2, 'stored', count(*), max(received_ms) FROM images"
            " WHERE session_id = ?1 HAVING count(*) > 0",
            (session_id, state["attempt"]),
        )
        migrated += 1
        with_trace += "trace" in parts
    return {"sessions": migrated, "damaged_sessions": len(rows) - migrated, "traces": with_trace}


def _session_state(state: dict[str, Any], sequence: int) -> dict[str, Any]:
    """Return a session as format 2 has it; values missing in format 0 are those of a restored session."""
    epochs = [[epoch.get(name) for name in EPOCH_FIELDS] for epoch in state["epochs"]]
    return {
        **{name: value for name, value in state.items() if name != "committed"},
        "accepted": max(sequence, state.get("committed", 0)),
        "loss": float(state["loss"]),
        "epochs": epochs,
        "connected": False,
        "is_resumed": False,
        "leased_until": 0.0,
    }


def _trace_part(text: str | None) -> dict[str, Any]:
    """Return the trace of a session, if it has one; a damaged one is left out."""
    try:
        trace = json.loads(text) if text is not None else None
    except ValueError:
        return {}
    return {"trace": trace} if isinstance(trace, dict) else {}


def _ms(seconds: float) -> int:
    return int(seconds * 1000)


SESSIONS_2 = """
CREATE TABLE sessions (
  session_id TEXT PRIMARY KEY, registered_ms INTEGER NOT NULL, updated_ms INTEGER NOT NULL,
  ended_ms INTEGER NOT NULL, through INTEGER NOT NULL, state BLOB NOT NULL
)"""

TALLIES_2 = """
CREATE TABLE tallies (
  session_id TEXT NOT NULL, attempt INTEGER NOT NULL, result TEXT NOT NULL, images INTEGER NOT NULL,
  at_ms INTEGER NOT NULL, PRIMARY KEY (session_id, attempt, result)
) WITHOUT ROWID"""

MIGRATIONS = (
    Migration(
        makes=2,
        steps=(
            "CREATE TABLE IF NOT EXISTS traces (session_id TEXT PRIMARY KEY, trace TEXT)",
            "ALTER TABLE traces RENAME TO traces_before",
            "ALTER TABLE sessions RENAME TO sessions_before",
            "DROP INDEX IF EXISTS sessions_by_time",
            SESSIONS_2,
            TALLIES_2,
            _add_closed,
            _migrate_sessions,
            "DROP TABLE sessions_before",
            "DROP TABLE traces_before",
        ),
    ),
    Migration(makes=3, steps=ATTEMPT_STEPS),
)
"""In order. A step never changes once it is released, since databases depend on it; what follows is in versions/."""
