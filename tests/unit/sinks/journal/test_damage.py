"""Rows of the journal and of sessions may hold anything; what is whole is taken up."""

import msgpack
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.journals import Life

from bridge.lifecycle import Ended, Expired
from bridge.model import (
    Batch,
    Client,
    Epoch,
    ImageResult,
    Performance,
    ResumePoint,
    Scalars,
    Stage,
    Status,
    StatusChange,
)
from bridge.storage.image_counts import ImageCount, add_counts, counts_of
from bridge.storage.shards import unstored_shards
from bridge.storage.sqlite.database import SqliteDatabase
from bridge.storage.windows import held_windows
from bridge.trace_context import TraceContext

EVENTS = (
    StatusChange(Status.RUNNING, "go"),
    Batch(0, 1, 0.5),
    Epoch(0, 0.5, 0.9),
    Scalars(0, 1, {"a": 1.5}),
)

plain = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats()
    | st.text()
    | st.binary(),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4)
    ),
    max_leaves=8,
)


def flipped(data, changes):
    """Return bytes of which some are others."""
    changed = bytearray(data)
    for part, change in changes:
        changed[int(part * len(data)) % len(data)] ^= change
    return bytes(changed)


flips = st.lists(st.tuples(st.floats(0, 0.999), st.integers(1, 255)), min_size=1, max_size=2)
spoils = st.one_of(
    flips.map(lambda changes: lambda data: flipped(data, changes)),
    st.floats(0, 1).map(lambda part: lambda data: data[: int(part * len(data))]),
    st.binary(max_size=40).map(lambda garbage: lambda _: garbage),
    plain.map(lambda value: lambda _: msgpack.packb(value)),
    st.sampled_from([lambda _: 5, lambda _: "text", lambda data: data.decode("latin-1")]),
)


def lived(folder):
    """Return a database with two sessions, each with a checkpoint and entries behind it."""
    database = SqliteDatabase(folder / "bridge.db", durable=False)
    with database.transaction() as transaction:
        for table in ("journal", "sessions", "spans", "tallies"):
            transaction.execute(f"DELETE FROM {table}")  # noqa: S608
    life = Life(database)
    good, bad = life.register("good"), life.register("bad")
    life.commit()
    for session in (good, bad):
        life.happen(session, *EVENTS)
        life.commit()
    return database


def live_on(life):
    """Do with each session what a bridge does with it."""
    for session in list(life.sessions.values()):
        life.happen(session, *EVENTS, Ended(Stage.LOST), at=1_900_000_000.0)
        life.commit()
        life.happen(session, Expired())
    life.commit()
    assert life.journal.is_being_archived("nobody") is False


@settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
@given(spoil=spoils)
def test_a_damaged_session_costs_itself(tmp_path, spoil):
    """Whatever its row holds, the other one is as it was, and all that was taken up can be gone on with."""
    database = lived(tmp_path)
    try:
        [[state]] = database.query("SELECT state FROM sessions WHERE session_id = 'bad'")
        with database.transaction() as transaction:
            transaction.execute(
                "UPDATE sessions SET state = ? WHERE session_id = 'bad'", (spoil(state),)
            )

        life = Life(database)

        assert (life.sessions["good"].batches, life.sessions["good"].status) == (1, Status.RUNNING)
        live_on(life)
    finally:
        database.close()


@settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
@given(spoil=spoils)
def test_a_damaged_group_of_the_journal_costs_itself(tmp_path, spoil):
    """Whatever the row holds, the groups before and behind it are applied."""
    database = lived(tmp_path)
    try:
        [[number, entries]] = database.query(
            "SELECT number, entries FROM journal ORDER BY number DESC LIMIT 1"
        )
        with database.transaction() as transaction:
            transaction.execute(
                "UPDATE journal SET entries = ? WHERE number = ?", (spoil(entries), number)
            )

        life = Life(database)

        assert life.sessions["good"].batches >= 1
        live_on(life)
    finally:
        database.close()


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("through", "text"),
        ("through", b"\x00"),
        ("updated_ms", "later"),
        ("updated_ms", b""),
        ("ended_ms", "never"),
        ("registered_ms", "once"),
    ],
)
def test_a_session_with_a_damaged_column_costs_itself(tmp_path, column, value):
    """SQLite keeps a text where a number belongs; nobody else suffers from it."""
    database = lived(tmp_path)
    with database.transaction() as transaction:
        transaction.execute(f"UPDATE sessions SET {column} = ? WHERE session_id = 'bad'", (value,))  # noqa: S608

    life = Life(database)

    assert life.sessions["good"].batches == 1
    live_on(life)
    database.close()


FAR = [2**63 - 1, 2**63 - 2, 2**62, 10**18, -1, -(2**63)]


@pytest.mark.parametrize("number", FAR)
@pytest.mark.parametrize("column", ["sessions.through", "journal.number"])
def test_a_damaged_number_costs_its_row_and_leaves_room_for_the_next(tmp_path, column, number):
    """What comes behind it is written, trimmed, and known again to the next start; the row is counted."""
    table, name = column.split(".")
    database = lived(tmp_path)
    which = (
        "session_id = 'bad'"
        if table == "sessions"
        else "number = (SELECT max(number) FROM journal)"
    )
    with database.transaction() as transaction:
        transaction.execute(f"UPDATE {table} SET {name} = ? WHERE {which}", (number,))  # noqa: S608

    life = Life(database)
    assert life.dropped("session" if table == "sessions" else "group") == 1
    life.happen(life.sessions["good"], *EVENTS)
    life.commit()

    again = Life(database)
    assert again.sessions["good"].batches == 2
    assert again.known()["good"] == life.known()["good"]
    live_on(again)
    assert Life(database).dropped("group") == 0
    database.close()


@pytest.mark.parametrize(
    "row",
    [
        ("bogus", 5, 1),
        (b"stored", 5, 1),
        ("dropped", "x", 1),
        ("dropped", -5, 1),
        ("dropped", 2.5, 1),
        ("dropped", 2**63 - 1, 1),
        ("dropped", 5, "x"),
        ("dropped", 5, -1),
    ],
    ids=repr,
)
def test_a_damaged_count_of_images_costs_itself(tmp_path, row):
    """The session and its other counts are taken up, it is counted, and what comes next is counted from 0."""
    database = lived(tmp_path)
    with database.transaction() as transaction:
        for one in (("stored", 3, 7), row):
            transaction.execute("INSERT INTO tallies VALUES ('good', 1, ?, ?, ?)", one)

    life = Life(database)

    counts = life.sessions["good"].restored_state["images"]
    assert [(count.result, count.images) for count in counts] == [(ImageResult.STORED, 3)]
    assert life.dropped("image_count") == 1
    assert set(life.sessions) == {"good", "bad"}
    dropped = ImageCount("good", 1, ImageResult.DROPPED, 2, 9)
    with database.transaction() as transaction:
        add_counts(transaction, [dropped])
    assert dropped in counts_of(database, "good", 1).counts
    database.close()


TEXTS = [
    ("sessions", "session_id"),
    ("tallies", "result"),
    ("windows", "session_id"),
    ("shards", "key"),
]


@pytest.mark.parametrize(("table", "column"), TEXTS)
def test_a_text_that_is_none_costs_its_row(tmp_path, table, column):
    """Bytes that are no UTF-8 in one row keep no other from being read."""
    database = lived(tmp_path)
    with database.transaction() as transaction:
        transaction.execute("INSERT INTO tallies VALUES ('bad', 1, 'stored', 1, 1)")
        transaction.execute("INSERT INTO windows VALUES ('bad', x'80')")
        transaction.execute("INSERT INTO shards (shard_id, session_id, key) VALUES (1, 'bad', 'k')")
        transaction.execute(
            f"UPDATE {table} SET {column} = CAST(x'62ff' AS TEXT)"  # noqa: S608
            + (" WHERE session_id = 'bad'" if table != "shards" else "")
        )

    life = Life(database)

    assert life.sessions["good"].batches == 1
    assert (len(held_windows(database)), len(unstored_shards(database))) == (1, 1)
    live_on(life)
    database.close()


UNREPORTED = (
    Epoch(0, 0.5, None),
    Epoch(1, None, None, None, None, None),
    Batch(0, 1, None),
    Batch(0, 2, None, duration_seconds=0.0, sample_count=0),
    Performance(),
    Scalars(0, 1, {}),
)


@pytest.mark.parametrize("event", UNREPORTED, ids=repr)
def test_what_was_not_reported_is_not_damage(database, event):
    """A row in which every optional number is missing is taken up as it was written, and nothing is counted."""
    life = Life(database)
    life.happen(life.register(), event)
    life.commit()

    again = Life(database)

    assert again.dropped("entry") == again.dropped("group") == again.dropped("session") == 0
    assert again.known() == life.known()


CLIENTS = (
    Client(rank=3, world_size=8, run_id="run", run_config={"lr": 0.1, "seed": None}),
    Client(resume_point=ResumePoint(4, 20)),
    Client(resume_point=ResumePoint(step=1_020)),
    Client(trace_context=TraceContext("a" * 32, "b" * 16, 1)),
)


@pytest.mark.parametrize("client", CLIENTS, ids=repr)
def test_what_a_client_may_report_is_not_damage(database, client):
    """A session of any client is there again at the next start."""
    life = Life(database)
    life.register().client = client
    life.commit()

    again = Life(database)

    assert again.dropped("session") == 0
    assert again.sessions["run"].client == client
