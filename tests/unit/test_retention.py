"""Nothing grows without bound: old sessions go, and the oldest of too many."""

import pytest
from support.waiting import until

from bridge.committer import Committer
from bridge.model import Client, Config
from bridge.retention import DAY_SECONDS, Retention, RetentionLimits
from bridge.sessions import Sessions
from bridge.sinks.deletions import DeletionRequests
from bridge.storage.deletions import ImageScope, pending_deletions
from bridge.storage.sqlite.database import SqliteDatabase
from bridge.telemetry import Telemetry

NOW = 1_700_000_000.0

COLUMNS = "(session_id, attempt, registered_ms, updated_ms, ended_ms, through, state)"


@pytest.fixture
def database(tmp_path):
    """Return a database with sessions that were last heard of 0 to 4 days ago, and one that is in memory."""
    database = SqliteDatabase(tmp_path / "retention.db", durable=False)
    with database.transaction() as transaction:
        for days in range(5):
            at_ms = round((NOW - days * DAY_SECONDS) * 1000)
            transaction.execute(
                f"INSERT INTO sessions {COLUMNS} VALUES (?, 1, ?, ?, ?, 0, x'')",  # noqa: S608
                (f"day-{days}", at_ms, at_ms, at_ms),
            )
        transaction.execute(f"INSERT INTO sessions {COLUMNS} VALUES ('held', 1, 1, 1, 0, 0, x'')")  # noqa: S608
    yield database
    database.close()


def retention(database, *, days=0.0, sessions=0, attempts=0, with_images=True, clock=lambda: NOW):
    """Return a retention with limits, and the committer that it uses."""
    requests, telemetry = DeletionRequests(), Telemetry()
    committer = Committer((requests,), database, telemetry)
    return (
        Retention(
            RetentionLimits(days, sessions, attempts, with_images),
            sessions=Sessions(),
            committer=committer,
            requests=requests,
            database=database,
            telemetry=telemetry,
            clock=clock,
        ),
        committer,
    )


def names(database):
    """Return the sessions there are."""
    return [name for [name] in database.query("SELECT session_id FROM sessions ORDER BY 1")]


@pytest.mark.parametrize(
    ("limits", "left"),
    [
        ({"days": 2.5}, ["day-0", "day-1", "day-2", "held"]),
        ({"sessions": 1}, ["day-0", "held"]),
        ({"days": 3.5, "sessions": 3}, ["day-0", "day-1", "day-2", "held"]),
        ({"days": 100.0, "sessions": 5}, [f"day-{day}" for day in range(5)] + ["held"]),
        ({}, [f"day-{day}" for day in range(5)] + ["held"]),
    ],
)
async def test_what_is_over_a_limit_goes(database, limits, left):
    """By age, by number, or both; 0 stands for any number; what is held in memory is not counted."""
    keeping, committer = retention(database, **limits)
    async with committer.running():
        await keeping.enforce()

    assert names(database) == left


@pytest.mark.parametrize(
    ("with_images", "scope"), [(True, ImageScope.OWN), (False, ImageScope.NONE)]
)
async def test_images_go_only_from_a_folder(database, with_images, scope):
    """Buckets have lifecycle rules; a folder has nobody else."""
    keeping, committer = retention(database, sessions=4, with_images=with_images)
    async with committer.running():
        await keeping.enforce()

    (deletion,) = pending_deletions(database)
    assert (deletion.session_id, deletion.images) == ("day-4", scope)


async def test_attempts_of_one_session_go_one_by_one(database):
    """The oldest go, by number or by age; the newest stays, also while it is in memory, and a whole session goes at once."""
    with database.transaction() as transaction:
        for attempt in range(1, 6):
            at_ms = round((NOW - DAY_SECONDS) * 1000) + attempt
            transaction.execute(
                f"INSERT INTO sessions {COLUMNS} VALUES ('looping', ?, ?, ?, ?, 0, x'')",  # noqa: S608
                (attempt, at_ms, at_ms, 0 if attempt == 5 else at_ms),
            )
    keeping, committer = retention(database, attempts=2, sessions=6)
    async with committer.running():
        await keeping.enforce()

    left = database.query("SELECT attempt FROM sessions WHERE session_id = 'looping'")
    assert left == [(4,), (5,)]
    gone = {(one.session_id, one.attempt) for one in pending_deletions(database)}
    assert gone == {
        ("looping", 1),
        ("looping", 2),
        ("looping", 3),
        ("day-4", 0),
        ("day-3", 0),
        ("day-2", 0),
    }


async def test_an_attempt_in_memory_stays(database):
    """One that came back since it was found is not deleted, its older attempts are."""
    keeping, committer = retention(database, sessions=1)
    keeping._sessions.register("day-4", Client("tests", "1"), Config())
    with database.transaction() as transaction:
        transaction.execute("UPDATE sessions SET attempt = 3 WHERE session_id = 'day-3'")
        transaction.execute(f"INSERT INTO sessions {COLUMNS} VALUES ('day-3', 2, 1, 1, 1, 0, x'')")  # noqa: S608
    keeping._sessions.register("day-3", Client("tests", "1"), Config()).session.attempt = 3
    async with committer.running():
        await keeping.enforce()

    rows = database.query("SELECT session_id, attempt FROM sessions ORDER BY 1, 2")
    assert rows == [("day-0", 1), ("day-3", 3), ("day-4", 1), ("held", 1)]


async def test_it_looks_by_itself(database):
    """From the start of the bridge on."""
    keeping, committer = retention(database, days=0.5)
    async with committer.running(), keeping.running():
        await until(lambda: names(database) == ["day-0", "held"])
