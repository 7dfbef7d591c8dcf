"""Rows of the journal and of sessions may hold anything; what is whole is taken up."""

import msgpack
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.journals import Life

from bridge.model import Batch, Ended, Epoch, Forgotten, Phase, Scalars, Status, StatusChange
from bridge.storage.database import Database

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
    database = Database(folder / "bridge.db", durable=False)
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
        life.happen(session, *EVENTS, Ended(Phase.LOST), at=1_900_000_000.0)
        life.commit()
        life.happen(session, Forgotten())
    life.commit()
    assert life.journal.is_leaving("nobody") is False


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
