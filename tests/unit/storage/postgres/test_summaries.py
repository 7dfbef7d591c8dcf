"""Lists read what they say of sessions that other bridges write from summaries."""

from support.shared_database import opened

from bridge.lifecycle import Connected
from bridge.model import Batch, Client, Config
from bridge.session import Session
from bridge.session_snapshot import snapshot_of
from bridge.sinks.journal.archive import SESSION, Archive, checkpoint_of
from bridge.storage.journal import JournalRows


def checkpoint(name, *, attempt=1, batches=2):
    """Return what is written of a session that has sent some batches."""
    session = Session(name, Client("tests", "1"), Config(model_name="m"), now=1e9, attempt=attempt)
    session.apply(Connected(), 1e9)
    for number in range(batches):
        session.apply(Batch(1, number, 0.5 + number), 1e9 + number)
    return checkpoint_of(session, 5, {SESSION: snapshot_of(session)}, is_held=True)


def written(database, *checkpoints):
    """Write checkpoints, and return an archive that reads them."""
    with database.transaction() as transaction:
        assert JournalRows(database).put_checkpoints(transaction, checkpoints)
    return Archive(database)


def test_other_bridges_read_summaries(database, postgres_url):
    """Of the newest attempt of each session that is asked for, as connected as it was."""
    written(database, checkpoint("a"), checkpoint("b"), checkpoint("b", attempt=2, batches=3))
    with opened(postgres_url, "another") as another:
        found = Archive(another).summaries(["a", "b", "none"])
    assert {name: (one.attempt, one.loss) for name, one in found.items()} == {
        "a": (1, 1.5),
        "b": (2, 2.5),
    }
    assert all(one.connected for one in found.values())


def test_a_summary_that_is_damaged_is_left_out(database):
    """The session is read whole then."""
    archive = written(database, checkpoint("a"), checkpoint("b"))
    for damage in ("NULL", r"'\x00'", r"'\xc1'", r"'\x80'"):
        with database.transaction() as transaction:
            transaction.execute(f"UPDATE sessions SET summary = {damage} WHERE session_id = 'a'")  # noqa: S608
        assert archive.summaries(["a", "b"]).keys() == {"b"}
    assert archive.last_written("a").connected
    assert not archive.find("a").connected
