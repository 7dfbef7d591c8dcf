"""What is written into a shared database, and what is read from it."""

import math
import threading

import psycopg
import pytest
from sqlalchemy import bindparam, func, select
from support.waiting import until_true

from bridge.errors import (
    BridgeReplacedError,
    DatabaseLostError,
    StorageError,
    UnwritableError,
)
from bridge.storage.schema import BATCHES, BRIDGES, INBOX, JOURNAL, OWNERS, SESSIONS
from bridge.storage.statements import Statement, inserted, upsert

PUT = Statement(inserted(JOURNAL))
ROWS = Statement(select(JOURNAL.c.number, JOURNAL.c.entries).order_by(JOURNAL.c.number))
PUT_SESSION = upsert(SESSIONS)


def row(number=1, entries=b"\x00\xff", sessions=""):
    """Return a row of the journal."""
    return {"bridge_id": "a", "number": number, "entries": entries, "sessions": sessions}


def fails(transaction, text):
    """Run a statement, and return whether it failed."""
    try:
        transaction.execute(text)
    except psycopg.Error:
        return True
    return False


def test_a_transaction_is_committed_whole(database):
    """What is written inside is there afterwards, in the types that it came in."""
    with database.transaction() as transaction:
        transaction.execute(PUT, row(1))
        transaction.executemany(PUT, [row(2, b""), row(3, bytes(range(256)))])
        assert len(transaction.query(ROWS)) == 3

    assert database.query(ROWS) == [(1, b"\x00\xff"), (2, b""), (3, bytes(range(256)))]


@pytest.mark.parametrize("kind", ["transaction", "group"])
def test_an_error_inside_undoes_everything(database, kind):
    """Nothing is left of it, the error of the caller comes out as it was, and the next one works."""
    with pytest.raises(ZeroDivisionError), getattr(database, kind)() as transaction:
        raise ZeroDivisionError(transaction.execute(PUT, row()))

    assert database.query(ROWS) == []
    assert not database.settle()
    with getattr(database, kind)() as transaction:
        transaction.execute(PUT, row())
    assert database.query(ROWS) == [(1, b"\x00\xff")]


def test_a_failure_of_the_database_inside_of_a_savepoint_is_apart_from_other_errors(database):
    """Whoever recovers files in there does not take it for damage of a file."""
    with (
        pytest.raises(StorageError),
        database.transaction(refused=[]) as transaction,
        transaction.savepoint(),
    ):
        transaction.execute("SELECT 1 / (SELECT count(*) FROM no_table)")
    assert database.query(ROWS) == []


def test_values_come_back_as_they_are(database):
    """Floats of all kinds, sums and counts are numbers of Python, as from SQLite."""
    losses = [math.nan, math.inf, -math.inf, -0.0, 5e-324, 1.7976931348623157e308, None]
    put = Statement(inserted(BATCHES))
    with database.transaction() as transaction:
        transaction.executemany(
            put,
            [
                {
                    "session_id": "ü€😀",
                    "attempt": 1,
                    "epoch": 2**62,
                    "batch": number,
                    "received_ms": number,
                    "loss": loss,
                    "images": 3,
                }
                for number, loss in enumerate(losses)
            ],
        )
    found = [loss for [loss] in database.query(Statement(select(BATCHES.c.loss).order_by("batch")))]
    [(total, mean, count, name, epoch)] = database.query(
        Statement(
            select(
                func.sum(BATCHES.c.images),
                func.avg(BATCHES.c.received_ms),
                func.count(),
                func.min(BATCHES.c.session_id),
                func.max(BATCHES.c.epoch),
            )
        )
    )

    assert repr(found) == repr(losses)
    assert (total, mean, count, name, epoch) == (21, 3, 7, "ü€😀", 2**62)
    assert [type(value) for value in (total, mean, count)] == [int] * 3


def test_texts_are_sorted_as_python_sorts_them(database):
    """Whatever language the database is set up for, pages are cut and merged the same way as with SQLite."""
    names = ["b", "B", "a", "A-1", "A1", "_", "ä", "z", "a b", "😀", "\uffff"]
    with database.transaction() as transaction:
        rows = [{"session_id": name, "bridge_id": "a"} for name in names]
        transaction.executemany(Statement(inserted(OWNERS)), rows)
    column = OWNERS.c.session_id
    below = Statement(select(column).where(column < bindparam("name")).order_by(column))

    assert [
        name for [name] in database.query(Statement(select(column).order_by(column)))
    ] == sorted(names)
    assert [name for [name] in database.query(below, {"name": "a"})] == ["A-1", "A1", "B", "_"]


@pytest.mark.parametrize(
    "bad",
    [
        {"sessions": "a\x00b"},
        {"sessions": "\ud800"},
        {"number": 2**63},
        {"number": -(2**70)},
        {"number": 1.5e300},
        {"entries": None},
        {"entries": object()},
    ],
    ids=repr,
)
@pytest.mark.parametrize("kind", ["transaction", "group"])
def test_a_row_that_it_cannot_hold_is_left_out(database, bad, kind):
    """Without a list of refused rows nothing is written; with one, all but that row."""
    rows = [row(1), row(2) | bad, row(3)]
    with pytest.raises(UnwritableError, match="cannot hold"), getattr(database, kind)() as one:
        one.executemany(PUT, rows)
    assert database.query(ROWS) == []

    refused = []
    with getattr(database, kind)(refused=refused) as one:
        one.executemany(PUT, rows)
        assert one.execute(PUT, row(5) | bad).rowcount == 0
        assert one.execute(PUT, row(4)).rowcount == 1

    assert [number for number, _ in database.query(ROWS)] == [1, 3, 4]
    assert [one.table for one in refused] == ["journal", "journal"]
    assert all(one.error for one in refused)


def test_a_key_that_is_there_is_refused(database):
    """The row that breaks a rule of the table is left out too."""
    refused = []
    with database.transaction(refused=refused) as transaction:
        transaction.execute(PUT, row())
        transaction.execute(PUT, row())

    assert len(database.query(ROWS)) == 1
    assert "UniqueViolation" in refused[0].error


def test_a_text_too_long_for_an_index_is_refused(database):
    """A limit of the server for one value does not hold up the others."""
    session = dict.fromkeys(column.name for column in SESSIONS.c) | {"state": b"", "journal": ""}
    session |= dict.fromkeys(("attempt", "registered_ms", "updated_ms", "ended_ms", "through"), 1)
    long = "".join(chr(0x4E00 + number * 7 % 20_000) for number in range(9_000))
    refused = []
    with database.transaction(refused=refused) as transaction:
        transaction.execute(PUT_SESSION, session | {"session_id": long})
        transaction.execute(PUT_SESSION, session | {"session_id": "short"})

    assert database.query(Statement(select(SESSIONS.c.session_id))) == [("short",)]
    assert len(refused) == 1


def test_what_is_missing_is_not_the_row(database):
    """Without its table nothing is left out silently, and the error says what to do."""
    refused = []
    with (
        pytest.raises(StorageError, match="start the bridge again") as caught,
        database.transaction(refused=refused) as transaction,
    ):
        transaction.execute("INSERT INTO gone VALUES (1)")

    assert not isinstance(caught.value, UnwritableError)
    assert refused == []


def test_a_failed_statement_that_was_caught_commits_nothing(database):
    """PostgreSQL answers such a COMMIT without an error; it is one here."""
    with pytest.raises(StorageError, match="had failed"), database.transaction() as transaction:
        assert fails(transaction, "INSERT INTO gone VALUES (1)")

    assert database.query(ROWS) == []


def test_keys_that_count_up_are_given_by_the_database(database):
    """The inbox numbers its rows, whichever bridge writes them."""
    message = {"session_id": "s", "message_id": "", "kind": "", "payload": b"", "queued_ms": 1}
    put = Statement(
        inserted(INBOX)
        .values({name: bindparam(name) for name in message})
        .returning(INBOX.c.number)
    )
    with database.transaction() as transaction:
        numbers = [
            transaction.query(put, message | {"message_id": str(one)})[0][0] for one in range(3)
        ]

    assert numbers == sorted(set(numbers))


def test_groups_are_counted_and_seen(database):
    """Each group raises the count of its bridge, and says when that was by the clock of the database."""
    bridges = Statement(select(BRIDGES.c.commits, BRIDGES.c.seen_ms))
    before = database.query(bridges)[0]
    for _ in range(3):
        with database.group() as group:
            assert group.owned is None
            assert group.owns("any")
    after = database.query(bridges)[0]

    assert after[0] == before[0] + 3
    assert after[1] >= before[1] > 1_600_000_000_000


def test_queries_do_not_wait_for_an_open_group(database):
    """Pages are answered, and other transactions made, while a group is on its way."""
    with database.group() as group:
        group.execute(PUT, row())
        assert database.query(ROWS) == []
        with database.transaction() as other:
            other.execute(PUT, row(2))
        assert database.query(ROWS) == [(2, b"\x00\xff")]


def test_groups_come_one_after_the_other(database):
    """A second group waits until the first is over."""
    started = threading.Event()

    def second():
        started.set()
        with database.group() as group:
            group.execute(PUT, row(2))

    thread = threading.Thread(target=second)
    with database.group() as group:
        thread.start()
        started.wait(60)
        group.execute(PUT, row(1))
        assert thread.is_alive()
    thread.join(60)

    assert [number for number, _ in database.query(ROWS)] == [1, 2]


def test_the_size_comes_without_waiting(database):
    """The size is asked for in the background, and then remembered."""
    assert until_true(lambda: database.size_bytes) > 1_000_000


def test_a_bridge_whose_row_is_gone_writes_nothing(database):
    """After its row has been deleted, as by a restored backup, the bridge must be started again."""
    with database.transaction() as transaction:
        transaction.execute("DELETE FROM bridges")

    with pytest.raises(DatabaseLostError, match="Start it again"), database.group() as group:
        group.execute(PUT, row())
    assert database.query(ROWS) == []


def test_closing_twice_is_one_closing(database):
    """After closing, a request fails with an error of ours, and closing does nothing."""
    database.close()
    database.close()

    with pytest.raises(StorageError):
        database.query(ROWS)


def test_a_process_that_runs_as_the_same_bridge_takes_its_place(postgres_url, open_as):
    """A copied spool folder names one bridge twice: the one that started last has it, and the other acknowledges nothing."""
    with open_as(postgres_url) as first:
        with first.group():
            pass
        with open_as(postgres_url) as second:
            with second.group():
                pass
            with pytest.raises(BridgeReplacedError, match="--spool-folder"), first.group():
                pytest.fail("nothing is written")
            with second.group():
                pass
