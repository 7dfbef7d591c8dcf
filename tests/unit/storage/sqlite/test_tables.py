"""The tables of a new database, and how those of an older format become what they are today."""

import json
import logging
import math
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from bridge.errors import StorageError
from bridge.model import ImageResult
from bridge.sinks.journal import Archive
from bridge.storage.image_counts import counts_of
from bridge.storage.index import ImageIndex
from bridge.storage.journal import JournalRows
from bridge.storage.migrate import migrate
from bridge.storage.packed import packed, unpacked
from bridge.storage.revisions import NEWEST
from bridge.storage.shards import shard_of
from bridge.storage.sqlite import attempt_migration
from bridge.storage.sqlite.database import SqliteDatabase


def test_opening_again_writes_nothing(tmp_path):
    """A bridge starts on a full disk, to deliver what is there."""
    path = tmp_path / "bridge.db"
    SqliteDatabase(path).close()
    before = path.read_bytes()
    again = SqliteDatabase(path)
    written = (tmp_path / "bridge.db-wal").stat().st_size
    again.close()

    assert written == 0
    assert path.read_bytes() == before


def test_a_newer_format_is_refused(tmp_path):
    """The text says which one can read it."""
    path = tmp_path / "bridge.db"
    SqliteDatabase(path).close()
    with sqlite3.connect(path) as connection:
        connection.execute(f"PRAGMA user_version = {NEWEST + 1}")
    connection.close()

    with pytest.raises(StorageError, match="newer trainbridge"):
        SqliteDatabase(path)


FORMATS = sorted((Path(__file__).parents[1] / "formats").glob("*.sql"))

SESSION_0 = {
    "id": "run",
    "attempt": 2,
    "phase": "live",
    "status": "running",
    "status_message": "warming up",
    "registered_at": 1_700_000_000.0,
    "updated_at": 1_700_000_100.5,
    "ended_at": 0.0,
    "committed": 7,
    "epoch": 1,
    "batch": 3,
    "batches": 13,
    "scalars": {"accuracy": 0.5},
    "loss": "nan",
    "client": {
        "name": "c",
        "version": "1",
        "instance_id": "i",
        "labels": {"team": "a"},
        "traceparent": "",
    },
    "config": {
        "total_epochs": 3,
        "batches_per_epoch": 10,
        "batch_size": 4,
        "model_name": "m",
        "dataset_name": "d",
        "class_names": ["cat", "dog"],
    },
    "losses": {
        "size": 240,
        "stride": 1,
        "bins": [[1_700_000_000.0, 1, 0.5, 0.5, 0.5, 0, 1, 1]],
    },
    "epochs": [
        {
            "number": 0,
            "loss": 0.5,
            "accuracy": 0.9,
            "validation_loss": None,
            "validation_accuracy": None,
            "learning_rate": 0.1,
        }
    ],
    "performance": None,
    "notices": [[1_700_000_000.0, "connected"]],
}
"""As the first format had it, in JSON."""

IMAGE_ROW = ("run", 1, 3, 0, 1, 512, 300, None, None, None, 1_700_000_000_000)


def made_with(schema, path):
    """Make a database of an older format, with a row in each table that matters."""
    version = int(schema.name[0])
    with closing(sqlite3.connect(path)) as old, old:
        old.executescript(schema.read_text())
        attempt, first = ((2,), (1,)) if version >= 3 else ((), ())
        for table, row in (
            ("shards (shard_id, session_id, key)", (1, "run", "run/k.tar")),
            ("batches", ("run", *attempt, 1, 3, 1_700_000_000_000, 0.5, 1)),
            ("images", ("run", *attempt, *IMAGE_ROW[1:])),
            ("spans (span_id, span)", ("s", "{}")),
        ):
            old.execute(f"INSERT INTO {table} VALUES ({', '.join('?' * len(row))})", row)  # noqa: S608
        if version >= 3:
            old.execute("UPDATE shards SET attempt = 2")
        if version >= 2:
            old.execute("INSERT INTO journal VALUES (7, x'93')")
        if version == 0:
            state = json.dumps(SESSION_0)
            old.execute(
                "INSERT INTO sessions VALUES ('run', 1700000000000, 1700000100500, 9, ?)", [state]
            )
            old.execute("INSERT INTO sessions VALUES ('bad', 1, 1, 1, '{\"id\": ')")
        else:
            state = packed({"session": {"attempt": 2}})
            for row in (("run", *attempt, 1, 2, 0, 0, state), ("bad", *first, 1, 2, 3, 0, b"\x81")):
                places = ", ".join("?" * len(row))
                old.execute(f"INSERT INTO sessions VALUES ({places})", row)  # noqa: S608
        if "traces" in schema.read_text():
            old.execute("INSERT INTO traces VALUES ('run', 1, '{\"attempt\": 2}')")
        old.execute(f"PRAGMA user_version = {version}")


def test_every_format_that_ever_was_is_here():
    """A format whose tables nobody wrote down cannot be brought up."""
    assert {path.name[0] for path in FORMATS} == {"0", "2", "3"}
    assert NEWEST == 4, (
        "write down the tables of format 4 as they were, and a revision that follows them"
    )


COLUMNS = """
SELECT name, replace(type, 'REAL', 'DOUBLE'), trim(dflt_value, char(39)), pk, "notnull" OR pk
FROM pragma_table_info(?) ORDER BY name
"""
INDEXES = """
SELECT named.name, named."unique", columns.name, columns.desc, columns.seqno
FROM pragma_index_list(?) AS named, pragma_index_xinfo(named.name) AS columns
WHERE columns.key ORDER BY named.name, columns.seqno
"""


def shape(path):
    """Return what a database has for columns and indexes; that a key may be NULL in older ones means nothing."""
    with closing(sqlite3.connect(path)) as opened:
        names = opened.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
        looks = (COLUMNS, INDEXES, "SELECT wr FROM pragma_table_list(?)")
        return {
            name: [opened.execute(look, (name,)).fetchall() for look in looks] for [name] in names
        }


def rows_of(path, table):
    """Return all of a table."""
    with closing(sqlite3.connect(path)) as opened:
        return opened.execute(f"SELECT * FROM {table}").fetchall()  # noqa: S608


def test_a_new_database_is_like_one_that_has_had_every_revision(tmp_path):
    """It is made without Alembic, which is slow to import; tables, indexes and what they say of themselves are the same."""
    new, revised = tmp_path / "new.db", tmp_path / "revised.db"
    SqliteDatabase(new).close()
    with closing(sqlite3.connect(revised, isolation_level=None)) as connection:
        assert migrate(connection, "sqlite")
        assert not migrate(connection, "sqlite")

    assert shape(new) == shape(revised)
    for table in ("alembic_version", "revisions"):
        assert rows_of(new, table) == rows_of(revised, table)


def test_tables_that_are_missing_are_made_again(tmp_path):
    """A database of today without some of its tables is brought to what it was, but for what was in them."""
    path = tmp_path / "bridge.db"
    SqliteDatabase(path).close()
    before = shape(path)
    with closing(sqlite3.connect(path)) as connection, connection:
        for table in ("windows", "alembic_version", "revisions"):
            connection.execute(f"DROP TABLE {table}")

    SqliteDatabase(path).close()

    assert shape(path) == before
    assert rows_of(path, "alembic_version") == [(str(NEWEST),)]
    assert rows_of(path, "revisions") == [(NEWEST, NEWEST)]


@pytest.mark.parametrize("schema", FORMATS, ids=lambda path: path.stem)
def test_an_older_format_is_brought_up(tmp_path, schema, caplog):
    """Sessions, traces, images and spans are there, all tables of today too, and the log says what was done."""
    caplog.set_level(logging.INFO)
    path = tmp_path / "bridge.db"
    made_with(schema, path)

    database = SqliteDatabase(path)
    sessions = database.query("SELECT session_id, attempt, ended_ms, through FROM sessions")
    kept = [
        database.query(f"SELECT count(*) FROM {table}")[0][0]  # noqa: S608
        for table in ("shards", "batches", "images", "spans")
    ]
    index = ImageIndex(database).images("run", 1, 3)
    attempts = [
        ImageIndex(database).batch("run", 1, 3).attempt,
        shard_of(database, "run/k.tar").attempt,
    ]
    database.query("SELECT * FROM rebuilt, journal, windows, tallies")
    [[version]] = database.query("PRAGMA user_version")
    session = Archive(database).find("run")
    parts = unpacked(JournalRows(database).find("run").state)
    counts = counts_of(database, "run", 2).counts
    groups = list(JournalRows(database).groups())
    database.close()
    SqliteDatabase(tmp_path / "new.db").close()

    found = shape(path)
    assert found | shape(tmp_path / "new.db") == found, "tables of then may be left over"
    assert (version, kept, len(index)) == (NEWEST, [1, 1, 1, 1], 1)
    assert ("run", 2, 0, 0) in sessions
    assert attempts == [2, 2]
    assert groups == ([] if schema.name.startswith("0") else [(7, b"\x93")])
    if schema.name.startswith("0"):
        assert (session.attempt, session.accepted, session.batches) == (2, 9, 13)
        assert (session.config.class_names, session.epochs[0].learning_rate) == (
            ("cat", "dog"),
            0.1,
        )
        assert math.isnan(session.loss)
        assert (parts.get("trace") is not None) == ("traces" in schema.name)
        assert [(count.result, count.images) for count in counts] == [(ImageResult.STORED, 1)]
        lines = [
            record for record in caplog.records if "the database was migrated" in record.message
        ]
        assert lines[0].fields["sessions"] == lines[0].fields["damaged_sessions"] == 1
        assert sessions == [("run", 2, 0, 0)]
    else:
        assert sorted(sessions) == [("bad", 1, 3, 0), ("run", 2, 0, 0)]


def test_images_are_migrated_in_steps(tmp_path, monkeypatch, caplog):
    """Any number of rows arrives, whatever the steps, each with the attempt of its session; the log says how far it is."""
    monkeypatch.setattr(attempt_migration, "ROWS_PER_STEP", 7)
    monkeypatch.setattr(attempt_migration, "REPORT_SECONDS", 0.0)
    caplog.set_level(logging.INFO)
    path = tmp_path / "bridge.db"
    without_attempts = [path for path in FORMATS if path.name.startswith("2")][-1]
    made_with(without_attempts, path)
    rows = [
        ("run", epoch, 9, position, *IMAGE_ROW[4:]) for epoch in range(3) for position in range(8)
    ]
    rows += [("gone", epoch, 9, 0, *IMAGE_ROW[4:]) for epoch in range(4)]
    damaged = (b"r\xff", 1, 1, 0, *IMAGE_ROW[4:])
    with closing(sqlite3.connect(path)) as old, old:
        insert = f"INSERT INTO images VALUES (CAST(? AS TEXT){', ?' * 10})"  # noqa: S608
        old.executemany(insert, [*rows, damaged])
        [[before]] = old.execute("SELECT count(*) FROM images").fetchall()

    database = SqliteDatabase(path)
    found = database.query("SELECT session_id, attempt, epoch, batch, position FROM images")
    integrity = database.query("PRAGMA integrity_check")
    database.close()

    assert len(found) == before
    attempts = {"run": 2, "gone": 1}
    assert set(found) >= {(name, attempts[name], *place) for name, *place in [r[:4] for r in rows]}
    assert integrity == [("ok",)]
    reported = [
        record.fields for record in caplog.records if record.message == "migrating the database"
    ]
    assert [fields["images"] for fields in reported if "images" in fields] == [7, 14, 21, 28]


def test_a_database_of_another_program_is_left_alone(tmp_path):
    """It is refused in a sentence, and not a byte of its tables changes."""
    path = tmp_path / "bridge.db"
    with closing(sqlite3.connect(path)) as other, other:
        other.execute("CREATE TABLE sessions (cookie TEXT)")
        other.execute("INSERT INTO sessions VALUES ('mine')")

    with pytest.raises(StorageError, match="no trainbridge created"):
        SqliteDatabase(path)

    with closing(sqlite3.connect(path)) as other:
        tables = other.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
        assert tables == [("sessions",)]
        assert other.execute("SELECT cookie FROM sessions").fetchall() == [("mine",)]


def test_a_migration_that_fails_changes_nothing(tmp_path, monkeypatch):
    """Whatever ends it on its way, the next start finds the older format as it was."""
    path = tmp_path / "bridge.db"
    made_with(FORMATS[-1], path)
    before = shape(path)

    def fail(*_, **__):
        raise OSError("killed")

    monkeypatch.setattr("alembic.op.rename_table", fail)
    with pytest.raises(OSError, match="killed"):
        SqliteDatabase(path)
    monkeypatch.undo()
    assert shape(path) == before

    SqliteDatabase(path).close()
    assert shape(path) != before
