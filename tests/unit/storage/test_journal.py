"""The rows of the journal and of checkpoints, of one bridge and of several that share a database."""

import pytest
from support.shared_database import opened

from bridge.errors import StorageError
from bridge.storage.journal import (
    LAST_MS,
    NUMBERS_END,
    Checkpoint,
    CheckpointEntry,
    JournalRows,
    milliseconds,
)


@pytest.fixture
def rows(database):
    """Return the rows of it."""
    return JournalRows(database)


def put(database, rows, *numbers, names=("run",)):
    """Commit groups, each with its number for its records."""
    with database.group() as group:
        for number in numbers:
            rows.put(group, number, b"%d" % number, names)


def trim(database, rows, below, here=()):
    """Commit that groups are needed no more."""
    with database.group() as group:
        rows.trim(group, below, here)


def keep(database, rows, *checkpoints):
    """Commit checkpoints."""
    with database.group() as group:
        assert rows.put_checkpoints(group, checkpoints)


def checkpoint(name="run", attempt=1, *, registered=1_000, ended=0, through=1, state=b"state"):
    """Return a checkpoint of an attempt, last seen a second after it was registered."""
    return Checkpoint(name, attempt, registered, registered + 1_000, ended, through, state)


def numbers(rows):
    """Return the numbers of all groups."""
    return [number for number, _ in rows.groups()]


def ids(checkpoints):
    """Return which attempts of which sessions they are of."""
    return [(one.session_id, one.attempt) for one in checkpoints]


def test_groups_come_in_the_order_of_their_numbers(database, rows):
    """However many there are; one that is written again, after a commit in doubt, is there once."""
    put(database, rows, *range(600, 0, -1))
    put(database, rows, 600)

    assert list(rows.groups()) == [(number, b"%d" % number) for number in range(1, 601)]
    assert rows.last_number() == 600


def test_groups_that_checkpoints_include_go(database, rows):
    """Those from the number given on stay."""
    put(database, rows, 1, 2, 3)

    trim(database, rows, 3)

    assert numbers(rows) == [3]


def test_a_damaged_number_costs_its_group_alone(database, rows):
    """It is counted, leaves room for the next numbers, and goes with the next that are needed no more."""
    put(database, rows, 1, NUMBERS_END - 1)
    with database.transaction() as transaction:
        transaction.execute(
            "UPDATE journal SET number = 1000000000000000001 WHERE number = 999999999999999999"
        )
    assert (numbers(rows), rows.misplaced(), rows.last_number()) == ([1], 1, 1)

    trim(database, rows, 1)

    assert (numbers(rows), rows.misplaced()) == ([1], 0)


def test_no_group_is_given_a_number_that_would_pass_for_damaged(database, rows):
    """Nothing is acknowledged that the next start would leave out."""
    with pytest.raises(StorageError, match="out of numbers"):
        put(database, rows, NUMBERS_END)

    assert numbers(rows) == []


def test_the_last_number_is_that_of_a_checkpoint_where_all_groups_have_gone(database, rows):
    """A group that is written next is behind what the checkpoint includes."""
    assert rows.last_number() == 0
    keep(database, rows, checkpoint(through=41), checkpoint("other", through=7))

    assert rows.last_number() == 41


def test_a_checkpoint_replaces_that_of_its_attempt_alone(database, rows):
    """The newest attempt is what the session is now; the others are kept as they ended."""
    first, second = checkpoint(ended=5), checkpoint(attempt=2, registered=9_000)
    keep(database, rows, first, second)
    changed = checkpoint(attempt=2, registered=9_000, through=3, state=b"later")
    keep(database, rows, changed)

    written = [
        (one.session_id, one.attempt, one.applied_through, one.state) for one in (first, changed)
    ]
    found = [rows.find("run", 1), rows.find("run")]
    assert [
        (one.session_id, one.attempt, one.applied_through, one.state) for one in found
    ] == written
    assert rows.find("run", 2) == rows.find("run")
    assert {one.journal for one in found} == {database.bridge_id}
    assert rows.find("nobody") is rows.find("run", 3) is None


def test_of_each_session_the_newest_attempt_is_listed(database, rows):
    """The latest registrations come first; all attempts of one session are listed oldest first."""
    keep(
        database,
        rows,
        *(checkpoint(attempt=number, registered=number) for number in (1, 2, 3)),
        checkpoint("early", registered=2),
        checkpoint("late", registered=4),
    )

    listed = rows.entries(2)

    assert [(one.session_id, one.attempt) for one in listed] == [("late", 1), ("run", 3)]
    assert listed[1] == CheckpointEntry("run", 3, 1_003, 1, 3)
    assert [one.attempt for one in rows.attempts("run")] == [1, 2, 3]
    assert rows.attempts("nobody") == []


def test_sessions_that_were_in_memory_are_found(database, rows):
    """They come in the order of their registration, the latest of too many, and none that a newer attempt follows."""
    keep(
        database,
        rows,
        checkpoint("old", registered=1),
        checkpoint("lingers", registered=2, ended=500),
        checkpoint("over", registered=3, ended=400),
        checkpoint("again", registered=4),
        checkpoint("again", 2, registered=5, ended=100),
        checkpoint("new", registered=6),
    )

    assert ids(rows.unfinished(450, 9)) == [("old", 1), ("lingers", 1), ("new", 1)]
    assert ids(rows.unfinished(450, 2)) == [("lingers", 1), ("new", 1)]


def test_a_session_is_never_seen_earlier_than_before(database, rows):
    """Heartbeats only move the time of an attempt on."""
    keep(database, rows, checkpoint(registered=1_000), checkpoint("other", registered=1_000))

    with database.group() as group:
        rows.put_last_seen(group, [(1.0, "run", 1), (9.5, "other", 1), (9.5, "other", 2)])

    assert [rows.find(name).updated_ms for name in ("run", "other")] == [2_000, 9_500]


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [(1.5, 1_500), (-1.0, 0), (float("nan"), 0), (float("inf"), LAST_MS), (1e300, LAST_MS)],
)
def test_any_time_can_be_written(database, rows, seconds, expected):
    """Whatever a clock says, both databases can hold it."""
    keep(database, rows, checkpoint(registered=-5_000))

    with database.group() as group:
        rows.put_last_seen(group, [(seconds, "run", 1)])

    assert rows.find("run").updated_ms == max(milliseconds(seconds), -4_000) == expected


class Shared:
    """Bridges "a" and "b" on one database, with the rows of each."""

    def __init__(self, databases):
        self.a, self.b = databases
        self.now = 0.0
        self.rows_a, self.rows_b = (
            JournalRows(database, monotonic=lambda: self.now) for database in databases
        )

    def give(self, name, bridge_id):
        """Make a bridge the owner of a session."""
        with self.a.transaction() as transaction:
            transaction.execute("DELETE FROM owners WHERE session_id = %s", (name,))
            transaction.execute("INSERT INTO owners VALUES (%s, %s)", (name, bridge_id))

    def trim_a(self, below, here=("run",)):
        """Let bridge "a" delete what it needs no more, a long time after it did so last."""
        self.now += 60.0
        trim(self.a, self.rows_a, below, here)


@pytest.fixture
def shared(postgres_url):
    """Return two bridges; "a" has written two groups of a session behind its checkpoint."""
    with opened(postgres_url, "a") as a, opened(postgres_url, "b") as b:
        shared = Shared((a, b))
        keep(a, shared.rows_a, checkpoint(through=1))
        put(a, shared.rows_a, 1, 2, 3)
        shared.give("run", "a")
        yield shared


def test_each_bridge_has_a_journal_of_its_own(shared):
    """Numbers, groups and checkpoints of others are not taken for one's own, and nobody deletes those of others."""
    put(shared.b, shared.rows_b, 2, 9)
    keep(shared.b, shared.rows_b, checkpoint("other", through=20))

    assert numbers(shared.rows_a) == [1, 2, 3]
    assert (shared.rows_a.last_number(), shared.rows_b.last_number()) == (3, 20)
    assert ids(shared.rows_b.unfinished(0, 9)) == [("other", 1)]
    shared.trim_a(99)
    assert (numbers(shared.rows_a), numbers(shared.rows_b)) == ([], [2, 9])


def test_what_another_bridge_needs_of_a_session_it_has_taken_stays(shared):
    """Its groups go once the new owner has written a checkpoint of its own, not before."""
    shared.give("run", "b")
    shared.trim_a(4)
    assert numbers(shared.rows_a) == [2, 3]

    keep(shared.b, shared.rows_b, checkpoint(through=1))
    shared.trim_a(4)

    assert numbers(shared.rows_a) == []


def test_what_a_bridge_has_yet_to_read_of_its_own_stays(shared):
    """It owns a session that is not in its memory: from before it stopped, or on its way back from another bridge."""
    shared.trim_a(4, here=["other"])
    assert numbers(shared.rows_a) == [2, 3]

    keep(shared.a, shared.rows_a, checkpoint(ended=9, through=1))
    shared.trim_a(4, here=["other"])

    assert numbers(shared.rows_a) == []


def test_groups_are_deleted_now_and_then(shared):
    """A bridge that commits all the time does not ask each time what others need."""
    shared.trim_a(2)
    trim(shared.a, shared.rows_a, 3, ["run"])

    assert numbers(shared.rows_a) == [2, 3]


def test_a_group_says_whose_records_it_has(shared):
    """Whoever takes a session reads the groups that hold something of it, and no others."""
    put(shared.a, shared.rows_a, 4, names=("one", "other"))

    assert shared.b.query("SELECT sessions FROM journal WHERE number >= 3 ORDER BY number") == [
        (" run ",),
        (" one other ",),
    ]
