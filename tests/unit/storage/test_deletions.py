"""What is to be deleted is found, and goes in steps; what its name gets later stays."""

import time

import pytest
from support.shared_database import opened

from bridge.storage import deletions
from bridge.storage.deletions import (
    ALL_ATTEMPTS,
    Archived,
    Deletion,
    ImageScope,
    archived_before,
    archived_beyond,
    attempts_beyond,
    complete_deletion,
    covered_shards,
    delete_some_rows,
    pending_deletions,
    put_deletion,
    whole_sessions,
)
from bridge.storage.index import ImageIndex
from bridge.storage.schema import OWNERS, SESSIONS
from bridge.storage.shards import Shard, ShardBatch, ShardImage, put_batches, put_shards
from bridge.storage.statements import upsert

PUT_SESSION = upsert(SESSIONS)
REQUESTED_MS = 1_700_000_000_000


@pytest.fixture
def put_sessions(database):
    """Return a function that puts attempts of sessions, the older ones first; `ended` ones are out of memory."""

    def put(*attempts, ended=True):
        with database.transaction() as transaction:
            for at, (session_id, attempt) in enumerate(attempts, 1):
                row = {"session_id": session_id, "attempt": attempt, "registered_ms": at}
                row |= {"updated_ms": at, "ended_ms": at if ended else 0, "through": 0}
                transaction.execute(
                    PUT_SESSION, row | {"state": b"", "journal": "", "summary": None}
                )

    return put


def put_images(database, session_id, batches, *, attempt=1, at=REQUESTED_MS - 1):
    """Index some batches with two images each."""
    images = tuple(ShardImage(place, 512 * place, 300, 1, 0.5, 1) for place in range(2))
    key = f"{session_id}/2023-11-14/{at:013d}-a{attempt}-abcd0123-000001.tar"
    with database.transaction() as transaction:
        put_shards(transaction, [Shard(attempt, session_id, key, 4096, attempt=attempt)])
        put_batches(
            transaction,
            [
                ShardBatch(attempt, session_id, 1, number, at, 0.5, images, attempt)
                for number in batches
            ],
        )


def rows_deleted(database, deletion):
    """Delete all rows of a deletion, and return how many each step took."""
    steps = []
    while not steps or steps[-1]:
        with database.transaction() as transaction:
            steps.append(delete_some_rows(transaction, deletion))
    return steps[:-1]


def test_what_is_deleted_is_remembered_until_it_is_complete(database, put_sessions):
    """Its row goes at once; the same request twice is one."""
    put_sessions(("run", 1), ("run", 2), ("other", 1))
    whole = Deletion("run", ImageScope.ALL, REQUESTED_MS)
    one = Deletion("other", ImageScope.OWN, REQUESTED_MS - 1, attempt=1)
    for _ in range(2):
        with database.transaction() as transaction:
            put_deletion(transaction, whole)
            put_deletion(transaction, one)
    pending = pending_deletions(database)

    with database.transaction() as transaction:
        complete_deletion(transaction, whole)

    assert pending == [one, whole]
    assert pending_deletions(database) == [one]
    assert archived_beyond(database, 0, 9) == []


def test_rows_go_in_steps_and_what_came_later_stays(database, monkeypatch):
    """Images first, then batches; other attempts, other sessions and later images are left alone."""
    monkeypatch.setattr(deletions, "ROWS_PER_STEP", 4)
    put_images(database, "run", range(5), attempt=1)
    put_images(database, "run", [5], attempt=2)
    put_images(database, "run", [6], attempt=1, at=REQUESTED_MS)
    index = ImageIndex(database)

    of_one = rows_deleted(database, Deletion("run", ImageScope.NONE, REQUESTED_MS, attempt=1))
    left = [(one.batch, one.images) for one in index.page("run", limit=9)]
    of_all = rows_deleted(database, Deletion("run", ImageScope.NONE, REQUESTED_MS, ALL_ATTEMPTS))

    assert of_one == [4, 4, 2, 4, 1]
    assert left == [(5, 2), (6, 2)]
    assert of_all == [2, 1]
    assert [one.batch for one in index.page("run", limit=9)] == [6]
    assert len(index.images("run", 1, 6)) == 2


def test_shards_of_an_attempt_are_covered_by_its_deletion(database):
    """By the index, and by when their first image came."""
    put_images(database, "run", [1], attempt=1)
    put_images(database, "run", [2], attempt=2, at=REQUESTED_MS)
    put_images(database, "other", [3], attempt=3)

    covered = covered_shards(database, Deletion("run", ImageScope.ALL, REQUESTED_MS))

    assert [shard.shard_id for shard in covered] == [1]
    assert covered_shards(database, Deletion("run", ImageScope.ALL, REQUESTED_MS, 2)) == []


def test_the_oldest_are_found_first(database, put_sessions):
    """By age, and by how many there are; what is in memory does not count."""
    put_sessions(("a", 1), ("b", 1), ("c", 1), ("a", 2))
    put_sessions(("live", 1), ended=False)

    assert archived_before(database, 3, 9) == [Archived("a", 1), Archived("b", 1)]
    assert archived_before(database, 3, 1) == [Archived("a", 1)]
    assert archived_beyond(database, 1, 2) == [Archived("a", 1), Archived("b", 1)]
    assert archived_beyond(database, 4, 9) == []


def test_attempts_beyond_a_number_are_found(database, put_sessions):
    """Of each session the newest ones stay, whether in memory or not."""
    put_sessions(*[("a", number) for number in (3, 1, 2)], ("b", 1), ("c", 7), ("c", 9))

    assert attempts_beyond(database, 1, 9) == [
        Archived("a", 1),
        Archived("a", 2),
        Archived("c", 7),
    ]
    assert attempts_beyond(database, 1, 2) == [Archived("a", 1), Archived("a", 2)]
    assert attempts_beyond(database, 3, 9) == []


def test_a_session_of_which_all_goes_is_one(database, put_sessions):
    """Not so one that keeps an attempt."""
    put_sessions(("a", 1), ("a", 2), ("b", 1), ("b", 2))

    found = whole_sessions(database, [Archived("a", 1), Archived("b", 2), Archived("a", 2)])

    assert found == [Archived("a", ALL_ATTEMPTS), Archived("b", 2)]


def test_what_another_bridge_has_is_left_alone(postgres_url):
    """The attempt that it has in memory, and the session with it; an earlier attempt may go."""
    with opened(postgres_url) as database, database.transaction() as transaction:
        for attempt in (1, 2):
            row = {"session_id": "run", "attempt": attempt, "registered_ms": 1, "updated_ms": 1}
            row |= {"ended_ms": 2 - attempt, "through": 0, "state": b"", "journal": "b"}
            transaction.execute(PUT_SESSION, row | {"summary": None})
        transaction.execute(upsert(OWNERS), {"session_id": "run", "bridge_id": "b"})

        def put(attempt, bridge):
            return put_deletion(
                transaction, Deletion("run", ImageScope.ALL, REQUESTED_MS, attempt), bridge
            )

        assert [put(ALL_ATTEMPTS, "a"), put(2, "a"), put(1, "a")] == [False, False, True]
        assert transaction.query("SELECT attempt FROM sessions") == [(2,)]
        assert transaction.query("SELECT attempt FROM deletions") == [(1,)]
        assert put(ALL_ATTEMPTS, "b")
        assert transaction.query("SELECT attempt FROM sessions") == []


@pytest.mark.parametrize("requested_ms", [1, 2**50], ids=["slow", "fast"])
def test_among_bridges_a_deletion_counts_from_now_by_the_clock_of_the_database(
    postgres_url, requested_ms
):
    """A bridge whose own clock is wrong neither leaves what came before, nor deletes what comes later."""
    with opened(postgres_url) as database:
        before_ms = round(time.time() * 1000)
        with database.transaction() as transaction:
            assert put_deletion(transaction, Deletion("run", ImageScope.ALL, requested_ms), "a")

        [found] = pending_deletions(database)
        assert before_ms - 1000 <= found.requested_ms <= time.time() * 1000 + 1000
