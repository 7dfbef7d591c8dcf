"""What bridges that share a database learn of each other."""

import pytest
from support.shared_database import opened

from bridge.errors import StorageError
from bridge.storage.peer_rows import BridgeAddress, PeerRows
from bridge.storage.postgres import BridgeDescription, open_postgres

A, B, C = (BridgeDescription(name, f"http://{name}:8080", f"{name}0", "1.0") for name in "abc")


@pytest.fixture
def databases(postgres_url):
    """Yield a database that three bridges share."""
    opened_ones = [open_postgres(postgres_url, one, wait_seconds=0) for one in (A, B, C)]
    yield opened_ones
    for one in opened_ones:
        one.close()


@pytest.fixture
def rows(databases):
    """Return what each of the three asks; a and b have two sessions each, c one."""
    values = "('1', 'a'), ('2', 'a'), ('3', 'b'), ('4', 'b'), ('5', 'c')"
    _write(databases[0], f"INSERT INTO owners VALUES {values}")  # noqa: S608 -- constants
    return [PeerRows(one, dead_seconds=30) for one in databases]


def _write(database, text):
    with database.transaction() as transaction:
        transaction.execute(text)


def test_each_learns_who_else_has_a_session(rows):
    """Where it is reached, and what it shows there; nobody is the owner of one that it has itself, or that nobody has."""
    a, b, _ = rows
    assert b.owner_of("1") == BridgeAddress("a", "http://a:8080", "a0")
    assert a.owner_of("1") is None
    assert a.owner_of("none") is None


def test_all_sessions_of_others_are_known_by_one_question(rows):
    """With the bridges that have them."""
    owners, bridges = rows[0].elsewhere()
    assert owners == {"3": "b", "4": "b", "5": "c"}
    assert bridges == {
        "b": BridgeAddress("b", "http://b:8080", "b0"),
        "c": BridgeAddress("c", "http://c:8080", "c0"),
    }


def test_a_bridge_that_was_not_seen_for_long_is_asked_nothing(rows, databases):
    """By the clock of the database; the others adopt what it has."""
    _write(databases[0], "UPDATE bridges SET seen_ms = seen_ms - 31000 WHERE bridge_id = 'b'")
    a = rows[0]
    assert a.owner_of("3") is None
    assert a.elsewhere()[0] == {"5": "c"}
    [_, b, _] = a.bridges()
    assert 31_000 <= b.silent_ms < 600_000


def test_all_bridges_are_known_with_what_they_have(rows):
    """This one included."""
    known = rows[0].bridges()
    assert [(one.address.bridge_id, one.sessions) for one in known] == [
        ("a", 2),
        ("b", 2),
        ("c", 1),
    ]
    assert [one.version for one in known] == ["1.0"] * 3
    assert all(0 <= one.silent_ms < 60_000 and one.started_ms > 0 for one in known)


def test_all_have_one_secret(rows, postgres_url):
    """Whoever asks first makes it; it stays the same, and no other database has it."""
    [secret] = {one.secret() for one in (*rows, *rows)}
    assert len(secret) == 32
    with opened(postgres_url, "d") as another:
        assert PeerRows(another, dead_seconds=30).secret() == secret


def test_a_database_that_is_away_is_an_error(postgres_server):
    """Whoever asks decides what to do without an answer."""
    with postgres_server.database() as url, opened(url) as database:
        rows = PeerRows(database, dead_seconds=30)
        database.close()
        with pytest.raises(StorageError):
            rows.elsewhere()
