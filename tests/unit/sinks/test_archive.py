"""Session states outlive the process."""

import pytest

from bridge.model import Batch, Client, Config, Ended, Forgotten, Heartbeat, Phase, Registered
from bridge.sessions import Session
from bridge.sinks.archive import SNAPSHOTS_PER_COMMIT, Archive
from bridge.storage.database import Database


@pytest.fixture
def database(tmp_path):
    """Return an open database."""
    database = Database(tmp_path / "bridge.db")
    yield database
    database.close()


def session(name: str = "run", now: float = 1_000.0) -> Session:
    """Return a new session."""
    return Session(name, Client("trainer"), Config(), now=now)


def commit(archive: Archive, database: Database) -> int:
    """Commit until nothing is left; return how many commits that took."""
    commits = 0
    while (work := archive.take()) is not None:
        with database.transaction() as transaction:
            work.write(transaction)
        work.done()
        commits += 1
    return commits


def test_a_session_can_be_read_back(database):
    """What was committed is what a restarted bridge finds."""
    archive, run = Archive(database), session()
    archive.consume(run, Registered(), 1_000.0)
    run.apply(Batch(2, 3, 0.5), 1_000.0)
    commit(archive, database)

    found = Archive(database).find("run")

    assert found.snapshot() == run.snapshot()
    assert Archive(database).find("other") is None


def test_every_commit_advances_the_sequence(database):
    """Streaming batches keeps the high-water mark on disk, without writing the whole session."""
    archive, run = Archive(database), session()
    archive.consume(run, Registered(), 1_000.0)
    commit(archive, database)
    archive.consume(run, Batch(1, 1, 0.5), 1_000.0)
    commit(archive, database)
    run.accepted = 7
    archive.consume(run, Batch(1, 2, 0.5), 1_001.0)
    assert run.committed == 0
    commit(archive, database)

    assert run.committed == 7
    assert archive.find("run").committed == 7


def test_nothing_new_is_no_work(database):
    """Heartbeats and silence cost no commit."""
    archive, run = Archive(database), session()

    archive.consume(run, Heartbeat(), 1_000.0)

    assert archive.take() is None


def test_many_sessions_are_spread_over_commits(database):
    """A thousand sessions that change at once do not hold the event loop at once."""
    archive = Archive(database)
    count = 3 * SNAPSHOTS_PER_COMMIT
    sessions = [session(f"run{number}", now=float(number)) for number in range(count)]
    for one in sessions:
        archive.consume(one, Registered(), 1_000.0)
    commit(archive, database)
    for one in sessions:
        archive.consume(one, Registered(), 1_001.0)

    assert commit(archive, database) == 3
    assert [found.id for found in archive.recent(2)] == [f"run{count - 1}", f"run{count - 2}"]


def test_the_last_commit_writes_everything(database):
    """A stopping bridge leaves no session as it was a while ago, however many there are."""
    archive = Archive(database)
    sessions = [session(f"run{number}") for number in range(3 * SNAPSHOTS_PER_COMMIT)]
    for one in sessions:
        archive.consume(one, Registered(), 1_000.0)
    commit(archive, database)
    for one in sessions:
        archive.consume(one, Ended(Phase.ENDED), 1_001.0)
        one.apply(Ended(Phase.ENDED), 1_001.0)
    archive.settle()

    assert commit(archive, database) == 1
    assert {archive.find(one.id).phase for one in sessions} == {Phase.ENDED}


def test_the_end_is_kept_and_forgetting_leaves_the_record(database):
    """A forgotten session is gone from memory, not from the archive."""
    archive, run = Archive(database), session()
    run.apply(Ended(Phase.ENDED), 1_000.0)
    archive.consume(run, Ended(Phase.ENDED), 1_000.0)
    commit(archive, database)
    archive.consume(run, Forgotten(), 1_300.0)

    assert archive.take() is None
    assert archive.find("run").phase is Phase.ENDED
