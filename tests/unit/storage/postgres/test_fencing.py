"""A bridge writes what it owns, also where another one takes sessions from it at the same moment."""

import threading
from contextlib import suppress

import psycopg
import pytest
from sqlalchemy import select

from bridge.errors import CommitsForgottenError, StorageError
from bridge.storage.schema import INBOX, OWNERS
from bridge.storage.statements import Statement, inserted

PUT_OWNER = Statement(inserted(OWNERS))
KINDS = Statement(select(INBOX.c.kind).order_by(INBOX.c.number))

TAKE = "UPDATE bridges SET generation = generation + 1 WHERE bridge_id = 'a'"
MOVE = "UPDATE owners SET bridge_id = 'b' WHERE session_id = 'two'"
WRITE = (
    "INSERT INTO inbox (session_id, message_id, kind, payload, queued_ms)"
    " VALUES ('s', gen_random_uuid()::text, '{}', '', 1)"
)


@pytest.fixture
def owned(database):
    """Yield the database of a bridge that owns the sessions "one" and "two"."""
    with database.transaction() as transaction:
        rows = [{"session_id": name, "bridge_id": "a"} for name in ("one", "two")]
        transaction.executemany(PUT_OWNER, rows)
    return database


def write_around(database, other, before, *after):
    """Write in a group, and freeze in it until another bridge has taken sessions."""
    with database.group() as group:
        group.execute(WRITE.format(before))
        other.execute(TAKE)  # waits until the server has ended the group
        for kind in after:
            group.execute(WRITE.format(kind))


@pytest.fixture
def other(postgres_url):
    """Yield the connection of another bridge."""
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        yield connection


def test_the_next_group_learns_what_is_left(owned, other):
    """After another bridge took a session, the next group writes the other one alone; the group after it knows."""
    generation = owned.generation
    with other.transaction():
        other.execute(TAKE)
        other.execute(MOVE)

    with owned.group() as group:
        assert group.owned == {"one"}
        assert group.owns("one")
        assert not group.owns("two")
    assert owned.generation == generation + 1
    with owned.group() as group:
        assert group.owned is None


def test_a_group_that_failed_learns_it_again(owned, other):
    """Nobody has heard of what a group found that was not committed, so the next one finds it, too."""
    other.execute(TAKE)
    generation = owned.generation
    with pytest.raises(ZeroDivisionError), owned.group() as group:
        raise ZeroDivisionError(group.owned)

    assert owned.generation == generation
    with owned.group() as group:
        assert group.owned == {"one", "two"}


@pytest.mark.parametrize("is_taken", [False, True])
def test_a_database_that_has_gone_back_is_noticed(owned, other, is_taken):
    """A standby that lagged behind may not know whose a session is: it is its bridge's again, unless another has it."""
    for _ in range(3):
        with owned.group() as group:
            assert group.owned is None
    other.execute("UPDATE bridges SET commits = commits - 2")
    other.execute("DELETE FROM owners WHERE session_id = 'two'")
    if is_taken:
        other.execute("INSERT INTO owners VALUES ('two', 'b')")

    with pytest.raises(CommitsForgottenError, match="earlier moment"), owned.group():
        pytest.fail("nothing is written by what is known no longer")
    for _ in range(2):  # the first one fails for another reason
        with suppress(ZeroDivisionError), owned.group(arrived=("one", "two")) as group:
            assert group.owned == ({"one"} if is_taken else None)
            raise ZeroDivisionError
    with owned.group(arrived=("one", "two")) as group:
        assert group.owned == ({"one"} if is_taken else None)
    assert other.execute("SELECT * FROM owners ORDER BY 1").fetchall() == [
        ("one", "a"),
        ("two", "b" if is_taken else "a"),
    ]
    with owned.group() as group:
        assert group.owned is None


def test_a_taker_waits_for_the_group_and_sees_it(owned, other):
    """Whoever takes a session comes before a group, or reads all of it: nothing is written behind its back."""
    seen = []

    def take():
        with other.transaction():
            other.execute(TAKE)
            seen.extend(other.execute("SELECT kind FROM inbox").fetchall())

    thread = threading.Thread(target=take)
    with owned.group() as group:
        group.execute(WRITE.format("before"))
        thread.start()
        assert not seen
    thread.join(60)

    assert seen == [("before",)]
    with owned.group() as group:
        assert group.owned is not None


def test_a_group_waits_for_a_taker(owned, other):
    """While a session is being taken nothing is written; a taker that hangs is an error, and the next try succeeds."""
    with other.transaction():
        other.execute(TAKE)
        with pytest.raises(StorageError, match="tries again"), owned.group():
            pytest.fail("the row is locked")
    assert not owned.settle()
    with owned.group() as group:
        assert group.owned == {"one", "two"}


def test_a_bridge_that_is_frozen_in_a_group_holds_nobody_up(owned, other):
    """The server ends its transaction after a second; whoever takes its sessions goes on, and nothing of it is written."""
    with pytest.raises(StorageError, match="connects again"):
        write_around(owned, other, "frozen", "late")

    assert not owned.settle()
    with owned.group() as group:
        assert group.owned == {"one", "two"}
        group.execute(WRITE.format("again"))
    assert owned.query(KINDS) == [("again",)]


def test_a_commit_of_the_frozen_group_is_an_error_too(owned, other):
    """Also where the bridge wakes up at its COMMIT."""
    with pytest.raises(StorageError):
        write_around(owned, other, "frozen")

    assert not owned.settle()
    assert owned.query(KINDS) == []
