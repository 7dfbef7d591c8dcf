"""The candidates of open windows on disk."""

import pytest

from bridge.storage.packed import unpacked
from bridge.storage.windows import held_windows, put_windows

OWN = "INSERT INTO owners (session_id, bridge_id) VALUES (%s, %s) ON CONFLICT DO NOTHING"


def put(database, *windows):
    """Commit candidates of sessions that this bridge owns, and return how many could not be written."""
    with database.transaction() as transaction:
        for name, _ in windows if database.bridge_id else ():
            transaction.execute(OWN, (name, database.bridge_id))
        return put_windows(transaction, windows)


def held(database):
    """Return the candidate of each window."""
    return {name: unpacked(candidate) for name, candidate in held_windows(database)}


def test_the_newest_candidate_of_each_window_is_held(database):
    """Bytes come back as they were, NUL and all."""
    assert put(database, ("run", [1, b"\x00\xff"]), ("other", {"loss": 0.5})) == 0
    assert put(database, ("run", [2, b"\x00jpeg"])) == 0

    assert held(database) == {"run": [2, b"\x00jpeg"], "other": {"loss": 0.5}}


def test_a_window_that_is_closed_has_none(database):
    """Closing one that was never written does no harm."""
    put(database, ("run", [1]), ("other", [2]))

    assert put(database, ("run", None), ("nobody", None)) == 0

    assert held(database) == {"other": [2]}


@pytest.mark.parametrize("candidate", [object(), {1, 2}, 1j], ids=["object", "set", "complex"])
def test_a_candidate_that_cannot_be_written_is_counted(database, candidate):
    """It leaves its window without one, rather than with an older one."""
    put(database, ("run", [1]))

    assert put(database, ("run", candidate), ("other", [2])) == 1

    assert held(database) == {"other": [2]}


def test_the_windows_of_other_bridges_are_theirs(database):
    """Whoever takes over their session reads its window with it."""
    put(database, ("run", [1]), ("other", [2]))
    if not database.bridge_id:
        return

    with database.transaction() as transaction:
        transaction.execute("UPDATE owners SET bridge_id = 'another' WHERE session_id = 'other'")

    assert held(database) == {"run": [1]}
