"""The tables of a database that bridges share, from one version of the bridge to the next."""

from contextlib import closing
from importlib import import_module
from pkgutil import iter_modules

import psycopg
import pytest
from sqlalchemy import inspect
from support.shared_database import opened

from bridge.errors import SettingError
from bridge.storage import versions
from bridge.storage.journal import Checkpoint, JournalRows
from bridge.storage.migrate import connected, migrate
from bridge.storage.outbox import SpanOutbox, WaitingSpan
from bridge.storage.revisions import NEWEST, OLDEST_READER
from bridge.storage.schema import METADATA


@pytest.fixture
def postgres_url(empty_postgres_url):
    """Here no bridge has been before."""
    return empty_postgres_url


@pytest.fixture
def connection(postgres_url):
    """Yield a connection to a PostgreSQL database without tables."""
    with psycopg.connect(postgres_url) as connection:
        yield connection


def announce(connection, revision, oldest_reader):
    """Let a newer bridge have changed the tables."""
    connection.execute("UPDATE alembic_version SET version_num = %s", (str(revision),))
    connection.execute("INSERT INTO revisions VALUES (%s, %s)", (revision, oldest_reader))
    connection.commit()


def test_the_first_bridge_makes_the_tables_and_the_next_finds_them(connection):
    """They have the columns, keys and indexes that the statements are about."""
    assert migrate(connection)
    assert not migrate(connection)

    with connected(connection, "postgresql") as opened:
        found = inspect(opened)
        for table in METADATA.sorted_tables:
            columns = {column["name"]: column for column in found.get_columns(table.name)}
            assert set(columns) == set(table.c.keys())
            for column in table.c:
                assert isinstance(columns[column.name]["type"], column.type.__class__)
                assert columns[column.name]["nullable"] == column.nullable
                kind = column.type.dialect_impl(opened.dialect)
                collation = getattr(kind, "collation", None)
                assert getattr(columns[column.name]["type"], "collation", None) == collation
            key = found.get_pk_constraint(table.name)["constrained_columns"]
            assert key == [column.name for column in table.primary_key]
            indexes = {index["name"] for index in found.get_indexes(table.name)}
            assert indexes >= {index.name for index in table.indexes}


def test_no_transaction_is_left_open(connection):
    """Whoever migrates may hold a lock and go on with the connection."""
    for _ in range(2):
        migrate(connection)
        assert connection.info.transaction_status == psycopg.pq.TransactionStatus.IDLE


def test_the_changes_are_made_completely_or_not_at_all(connection, monkeypatch):
    """A bridge that ends on its way leaves a database that the next one can begin with."""

    def fail(*_, **__):
        raise psycopg.OperationalError("the connection is lost")

    monkeypatch.setattr("alembic.op.rename_table", fail)
    with pytest.raises(psycopg.OperationalError, match="lost"):
        migrate(connection)
    monkeypatch.undo()
    tables = connection.execute("SELECT 1 FROM pg_tables WHERE schemaname = 'public'").fetchall()
    connection.commit()
    assert tables == []

    assert migrate(connection)


def test_a_newer_schema_is_used_if_it_says_that_it_may_be(connection):
    """During a rolling upgrade bridges of two neighbouring versions share the database."""
    migrate(connection)
    announce(connection, NEWEST + 1, oldest_reader=NEWEST)

    assert not migrate(connection)


def test_a_newer_schema_is_refused_in_one_sentence(connection):
    """Whoever goes back to an older release reads what to do, and nothing is touched."""
    migrate(connection)
    announce(connection, NEWEST + 1, oldest_reader=NEWEST)
    announce(connection, NEWEST + 2, oldest_reader=NEWEST + 1)

    with pytest.raises(SettingError, match=f"revision {NEWEST + 2} by a newer trainbridge"):
        migrate(connection)


def test_the_errors_are_those_of_the_connection(postgres_url):
    """Whoever opened it knows what to make of them."""
    with closing(psycopg.connect(postgres_url)) as connection:
        connection.execute("CREATE VIEW bridges AS SELECT 1")
        connection.commit()
        with pytest.raises(psycopg.errors.DuplicateTable):
            migrate(connection)


def test_a_bridge_goes_on_with_tables_that_a_newer_one_has_added_to(connection, postgres_url):
    """Columns and tables that it does not know are none of its business."""
    migrate(connection)
    announce(connection, NEWEST + 1, oldest_reader=NEWEST)
    connection.execute("CREATE TABLE novelties (name text)")
    for table in METADATA.sorted_tables:
        connection.execute(f"ALTER TABLE {table.name} ADD COLUMN novelty text NOT NULL DEFAULT ''")
    connection.commit()

    with opened(postgres_url) as database:
        rows, checkpoint = JournalRows(database), Checkpoint("run", 1, 1, 2, 0, 3, b"state")
        with database.group() as group:
            rows.put(group, 4, b"records", ["run"])
            assert rows.put_checkpoints(group, [checkpoint])
            SpanOutbox(database).add(group, [WaitingSpan("span", "run", "{}")])
        assert list(rows.groups()) == [(4, b"records")]
        assert rows.find("run").state == b"state"
        assert [span for _, span in SpanOutbox(database).take_oldest(1)] == ["{}"]


REVISIONS = [module.name for module in iter_modules(versions.__path__)]


@pytest.mark.parametrize("name", REVISIONS)
def test_every_revision_lets_the_version_before_go_on(name):
    """Two neighbouring versions run beside each other during a rolling upgrade: a revision adds, the next one takes away.

    The first one that bridges share has none before it.
    """
    module = import_module(f"{versions.__name__}.{name}")
    number = int(module.revision)
    if number > 4:
        assert number - 1 >= module.OLDEST_READER
    if number == NEWEST:
        assert module.OLDEST_READER == OLDEST_READER
