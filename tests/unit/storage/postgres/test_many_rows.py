"""Many rows are written by one statement, with what the same rows come to one by one."""

import math

import psycopg
import pytest
from sqlalchemy import bindparam, delete, select

from bridge.errors import UnwritableError
from bridge.model import ImageResult
from bridge.storage import outbox, shards
from bridge.storage.image_counts import ADD, ImageCount, add_counts, counts_of
from bridge.storage.inbox import REMOVE
from bridge.storage.postgres import many_rows as subject
from bridge.storage.postgres.many_rows import ROWS_AT_ONCE, many_rows
from bridge.storage.schema import BATCHES, JOURNAL
from bridge.storage.shards import ShardBatch, ShardImage, put_batches
from bridge.storage.statements import Statement, inserted, upsert

PUT = Statement(inserted(JOURNAL))
REPLACE = upsert(JOURNAL)
PUT_BATCH = upsert(BATCHES)
ROWS = Statement(select(JOURNAL).order_by(JOURNAL.c.number))
BATCH_ROWS = Statement(select(BATCHES).order_by(BATCHES.c.batch))


def row(number=1, entries=b"\x00\xff", sessions=""):
    """Return a row of the journal."""
    return {"bridge_id": "a", "number": number, "sessions": sessions, "entries": entries}


def batch(number, loss=0.5, session_id="s", **others):
    """Return a row of a batch."""
    row = {"session_id": session_id, "attempt": 1, "epoch": 1, "batch": number}
    return row | {"received_ms": 1_000, "loss": loss, "images": 4} | others


def write(database, statement, rows):
    """Write rows in one call."""
    with database.transaction() as transaction:
        transaction.executemany(statement, rows)


@pytest.fixture
def one_by_one(monkeypatch):
    """Return what has all rows written one by one from then on."""
    return lambda: monkeypatch.setattr(subject.ManyRows, "parameters", lambda *_: None)


@pytest.mark.parametrize(
    "statement",
    [shards.PUT_SHARD, shards.PUT_BATCH, shards.PUT_IMAGE, outbox.ADD, ADD["postgresql"]],
)
def test_what_the_bridge_writes_most_takes_arrays(statement):
    """The statements that a group runs for many rows are run once for them."""
    text, _ = many_rows(statement).statement.compiled("postgresql", {})

    assert "unnest(" in text
    assert "ON CONFLICT (" in text


@pytest.mark.parametrize(
    "statement",
    [
        REMOVE,
        Statement(inserted(JOURNAL).returning(JOURNAL.c.number)),
        Statement(inserted(JOURNAL).values(number=bindparam("another"), bridge_id="a")),
        Statement(select(JOURNAL)),
        Statement(
            delete(JOURNAL).where(
                JOURNAL.c.number.in_(select(BATCHES.c.batch).limit(bindparam("most")))
            ),
            any_sequence=True,
        ),
    ],
)
def test_others_are_run_for_each_row(statement):
    """What has another sequence, another result or other values by arrays stays as it is."""
    assert many_rows(statement) is None


def test_values_are_those_that_one_row_has(database, one_by_one):
    """Texts with any characters, bytes, floats of all kinds and missing values are the same both ways."""
    texts = [
        "",
        "NULL",
        "null",
        '"',
        "\\",
        "{}",
        "a,b",
        " ' ",
        "ü€😀\n\t",
        "\\x41",
        '\\"',
        "\x01\x7f",
    ]
    losses = [math.nan, math.inf, -math.inf, -0.0, 5e-324, 1.7976931348623157e308, None, 0.1]
    extremes = [-(2**63), 2**63 - 1, 0]
    journal = [row(n, bytes(range(n, 256)), text) for n, text in enumerate(texts)]
    batches = [
        *(batch(number, loss) for number, loss in enumerate(losses)),
        *(batch(1_000 + number, received_ms=at) for number, at in enumerate(extremes)),
    ]
    found = []
    for is_each in (False, True):
        if is_each:
            one_by_one()
        write(database, PUT, journal)
        write(database, PUT_BATCH, batches)
        found.append((database.query(ROWS), repr(database.query(BATCH_ROWS))))
        write(
            database,
            Statement(delete(JOURNAL).where(JOURNAL.c.number == bindparam("number"))),
            journal,
        )

    assert found[0] == found[1]
    assert [sessions for _, _, sessions, _ in found[0][0]] == texts


@pytest.mark.parametrize("count", [1, 2, ROWS_AT_ONCE, ROWS_AT_ONCE + 1])
def test_all_rows_are_written(database, count):
    """However many rows there are."""
    write(database, PUT, [row(number) for number in range(count)])

    assert [number for _, number, _, _ in database.query(ROWS)] == list(range(count))


def test_of_two_rows_with_one_key_the_last_stays(database):
    """A statement may not hit a row twice, so such rows are written one by one."""
    write(database, REPLACE, [row(1, b"first"), row(2), row(1, b"last")])
    write(database, REPLACE, [row(2, b"new"), row(3)])

    assert [entries for _, _, _, entries in database.query(ROWS)] == [b"last", b"new", b"\x00\xff"]


def test_counts_of_one_call_are_added_up(database):
    """Also where one session comes twice, and where rows have been there before."""
    stored = ImageResult.STORED
    counts = [ImageCount("s", 1, stored, 3, 10), ImageCount("t", 1, stored, 4, 20)]
    with database.transaction() as transaction:
        add_counts(transaction, counts)
        add_counts(transaction, counts)
        add_counts(transaction, [counts[0], counts[0]])

    assert counts_of(database, "s", 1).counts == (ImageCount("s", 1, stored, 12, 10),)
    assert counts_of(database, "t", 1).counts == (ImageCount("t", 1, stored, 8, 20),)


@pytest.mark.parametrize(
    "bad",
    [
        {"sessions": "a\x00b"},
        {"sessions": "\ud800"},
        {"sessions": 5.5j},
        {"number": 2**63},
        {"number": -(2**70)},
        {"number": None},
        {"entries": "text\ud800"},
        {"entries": object()},
    ],
    ids=repr,
)
def test_a_row_that_it_cannot_hold_is_refused(database, bad):
    """Nothing is written then, as if each row had its own statement, and a second call finds out which row it is."""
    rows = [row(1), row(2) | bad, row(3)]
    with pytest.raises(UnwritableError, match="cannot hold"):
        write(database, PUT, rows)
    refused = []
    with database.transaction(refused=refused) as transaction:
        transaction.executemany(PUT, rows)

    assert [number for _, number, _, _ in database.query(ROWS)] == [1, 3]
    assert len(refused) == 1


def test_a_value_of_another_type_that_fits_is_written(database):
    """A whole number is a loss too."""
    write(database, PUT_BATCH, [batch(1, 2), batch(2, 0.5)])

    assert [loss for *_, loss, _ in database.query(BATCH_ROWS)] == [2.0, 0.5]


def test_a_batch_that_comes_again_replaces_its_images(database):
    """The images of all batches of a call are deleted at once; those of others stay."""
    count = Statement(
        select(shards.IMAGES.c.batch, shards.IMAGES.c.position).order_by("batch", "position")
    )

    def put(numbers, images):
        found = tuple(ShardImage(place, 512 * place, 300, 1, 0.5, None) for place in range(images))
        with database.transaction() as transaction:
            put_batches(
                transaction, [ShardBatch(1, "s", 1, n, 1_000, None, found) for n in numbers]
            )

    put([1, 2, 3], 2)
    put([1, 3], 1)

    assert database.query(count) == [(1, 0), (2, 0), (2, 1), (3, 0)]


def test_many_batches_are_found_by_their_whole_keys(database, postgres_url):
    """Deleting the images of many batches walks through no session, whatever has been counted of it."""
    batches = [
        ShardBatch(
            1, "s", 1, n, 1_000, 0.5, tuple(ShardImage(p, p, 1, 1, 0.5, 1) for p in range(8))
        )
        for n in range(2_000)
    ]
    many = many_rows(shards.DELETE_IMAGES)
    rows = [batch(number) for number in range(200)]
    [arrays] = many.parameters(rows)
    text, parameters = many.statement.compiled("postgresql", arrays)
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute("ALTER TABLE images SET (autovacuum_enabled = off)")
        for analyze in ("SELECT 1", "ANALYZE"):
            connection.execute(analyze)
            with database.transaction() as transaction:
                put_batches(transaction, batches)
            found = connection.execute(f"EXPLAIN {text}", parameters).fetchall()
            plan = "\n".join(line for [line] in found)

            assert "Seq Scan on images" not in plan
            assert "images_pkey" in plan
            [condition] = [line for line in plan.splitlines() if "Index Cond:" in line]
            assert "batch =" in condition
