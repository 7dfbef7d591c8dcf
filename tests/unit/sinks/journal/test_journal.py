"""What is accepted is on disk before it is acknowledged."""

from contextlib import suppress

import pytest
from support.journals import START, Life

from bridge.lifecycle import (
    Connected,
    Disconnected,
    Ended,
    Expired,
    Moved,
    Registered,
    SequenceAdvanced,
)
from bridge.model import Batch, Heartbeat, Scalars, Stage, Status, StatusChange
from bridge.session_snapshot import snapshot_of
from bridge.sinks.journal import Archive
from bridge.sinks.journal.journal import CHECKPOINT_SECONDS, LAST_SEEN_SECONDS, SHOWN_SECONDS
from bridge.storage.journal import JournalRows


def test_a_session_can_be_read_back(database):
    """What was registered is what the archive finds, at rest."""
    life = Life(database)
    session = life.register()
    life.commit()

    found = Archive(database).find("run")

    assert repr(snapshot_of(found)) == repr(snapshot_of(session))
    assert Archive(database).find("other") is None


def test_nothing_new_is_not_work(database):
    """Silence costs no commit."""
    life = Life(database)
    life.register()
    life.commit()
    life.now += 10 * CHECKPOINT_SECONDS

    assert life.journal.collect() is None


def test_a_sequence_that_changed_nothing_outlives_a_kill(database):
    """Of a numbered heartbeat or a refused message: what an Ack has covered is never below the mark again."""
    life = Life(database)
    session = life.register()
    life.commit()
    session.accepted = 1
    life.happen(session, Batch(0, 1, 0.5))
    for sequence in range(2, 502):
        session.accepted = sequence
        life.happen(session, SequenceAdvanced())
    assert life.commit()
    assert session.committed == 501

    again = Life(database)

    assert again.sessions["run"].accepted == 501
    assert again.replayed_entries == 2, "each of them stands for those before"


@pytest.mark.parametrize("is_shared", [True, False])
def test_other_bridges_soon_show_a_session_that_begins_or_stops(database, is_shared):
    """Their lists are made of checkpoints, which without them are written for a quick start alone."""
    life = Life(database, is_shared=is_shared)
    session = life.register()
    life.commit()
    life.happen(session, Connected(), StatusChange(Status.RUNNING), Batch(0, 1, 0.5))
    life.commit()
    assert Archive(database).find("run").batches == 0, "not at once: more happens when a run begins"

    life.now += SHOWN_SECONDS
    assert life.commit() is is_shared

    assert Archive(database).find("run").batches == (1 if is_shared else 0)
    life.now += SHOWN_SECONDS
    assert not life.commit(), "once is enough"
    life.happen(session, Disconnected())
    life.now += SHOWN_SECONDS
    life.commit()
    assert (life.groups() == 0) is is_shared, "the checkpoint holds all that the journal did"


def test_sessions_that_begin_together_are_shown_one_after_the_other(database, monkeypatch):
    """A thousand of them do not hold up the commit."""
    monkeypatch.setattr("bridge.sinks.journal.journal.CHECKPOINTING_SECONDS", 0.0)
    life = Life(database, is_shared=True)
    sessions = [life.register(f"run-{number}") for number in range(3)]
    life.commit()
    for session in sessions:
        life.happen(session, Connected(), Batch(0, 1, 0.5))
    life.commit()
    life.now += SHOWN_SECONDS

    shown = []
    for _ in sessions:
        life.commit()
        archive = Archive(database)
        shown.append(sum(archive.find(session.id).batches for session in sessions))

    assert shown == [1, 2, 3]


def test_heartbeats_are_written_down_now_and_then(database):
    """A run that is paused for hours is not taken for a lost one after a restart."""
    life = Life(database)
    session = life.register()
    life.commit()
    commits = 0
    for beat in range(1, 61):
        life.now += LAST_SEEN_SECONDS / 3
        life.happen(session, Heartbeat(), at=START + beat)
        commits += life.commit()

    assert 15 <= commits <= 25
    assert Life(database).sessions["run"].updated_at >= START + 57
    life.journal.checkpoint_all()
    life.commit()
    assert Life(database).sessions["run"].updated_at == START + 60


def test_a_sequence_counts_as_committed_when_it_is(database):
    """The mark that acknowledgments carry moves with the commit, not with the message."""
    life = Life(database)
    session = life.register()
    life.commit()
    session.accepted = 7
    life.happen(session, Batch(1, 2, 0.5))
    assert session.committed == 0

    life.commit()

    assert session.committed == 7


def test_sessions_are_written_whole_now_and_then_and_the_journal_is_trimmed(database):
    """A group goes when every session that has entries in it has been written whole."""
    life = Life(database)
    first, second = life.register("first"), life.register("second")
    life.commit()
    life.happen(first, Batch(0, 0, 0.5))
    life.commit()
    life.now += CHECKPOINT_SECONDS / 2
    life.happen(second, Batch(0, 0, 0.5))
    life.commit()
    assert life.groups() == 2

    life.now += CHECKPOINT_SECONDS / 2
    life.commit()
    assert life.groups() == 1
    life.now += CHECKPOINT_SECONDS / 2
    life.commit()
    assert life.groups() == 0

    again = Life(database)
    assert (again.replayed_entries, again.known()) == (0, life.known())


def test_a_commit_says_which_sessions_need_no_group_from_before_they_came(database, monkeypatch):
    """Those that have a checkpoint since then, until they leave memory; not one whose checkpoint cannot be had."""
    life = Life(database)
    sessions = [life.register(name) for name in ("run", "over", "lost")]
    assert life.journal.collect().here == {"run", "over", "lost"}

    life.happen(sessions[1], Expired())
    life.happen(sessions[2], Moved())
    with monkeypatch.context() as broken:
        broken.setattr(life.metrics, "snapshot", lambda _session: 1 / 0)
        life.register("unsound")

        assert life.journal.collect().here == {"run"}


def test_a_long_journal_is_trimmed_early(database, monkeypatch):
    """However fast messages come, the next start has little to replay."""
    monkeypatch.setattr("bridge.sinks.journal.journal.RECORDS_LIMIT", 100)
    life = Life(database)
    session = life.register()
    for number in range(50):
        life.happen(session, *[Batch(0, number, 0.5)] * 10)
        life.commit()

    assert life.groups() <= 12
    assert Life(database).known() == life.known()


def test_a_commit_that_fails_is_written_again_whole(database):
    """Nothing of it is there before, everything once after."""
    life = Life(database)
    session = life.register()
    life.happen(session, Batch(0, 0, 0.5))
    work = life.journal.collect()
    with suppress(OSError), database.transaction() as transaction:
        work.write(transaction)
        raise OSError("the disk is full")
    assert Life(database).sessions == {}
    life.happen(session, Batch(0, 1, 0.5))

    with database.transaction() as transaction:
        work.write(transaction)
    life.commit()

    assert Life(database).known() == life.known()


def test_the_last_commit_writes_everything_whole(database):
    """A stopped bridge leaves nothing to replay, so another version can read it."""
    life = Life(database)
    for number in range(100):
        life.happen(life.register(f"run{number}"), Batch(0, 0, 0.5))
    life.commit()
    life.journal.checkpoint_all()
    life.commit()

    again = Life(database)
    assert (again.replayed_entries, again.known()) == (0, life.known())


def test_many_sessions_are_spread_over_commits(database, monkeypatch):
    """A thousand sessions that are due at once do not hold the event loop at once."""
    monkeypatch.setattr("bridge.sinks.journal.journal.CHECKPOINTING_SECONDS", 0.0)
    life = Life(database)
    sessions = [life.register(f"run{number}") for number in range(10)]
    life.commit()
    for session in sessions:
        life.happen(session, Batch(0, 0, 0.5))
    life.commit()
    life.now += CHECKPOINT_SECONDS

    assert sum(life.commit() for _ in range(100)) == len(sessions)

    rows = JournalRows(database)
    assert len({rows.find(session.id).applied_through for session in sessions}) == len(sessions)
    assert Life(database).known() == life.known()


def test_forgetting_leaves_the_record(database):
    """An expired session is gone from memory, not from the archive, and with its very last word."""
    life = Life(database)
    session = life.register()
    life.commit()
    life.happen(session, Batch(0, 0, 0.5), Ended(Stage.ENDED), at=START + 1)
    life.happen(session, Expired(), at=START + 300)
    life.commit()

    found = Archive(database).find("run")
    assert (found.batches, found.stage, found.ended_at) == (1, Stage.ENDED, START + 1)


def test_a_bridge_in_memory_writes_no_entries(database):
    """It acknowledges what it has applied, and keeps pages of sessions, not messages."""
    life = Life(database, keeps_records=False)
    session = life.register()
    life.happen(session, *[Batch(0, 0, 0.5)] * 10, Ended(Stage.ENDED))
    life.happen(session, Expired())
    life.commit()

    assert life.groups() == 0
    assert Archive(database).find("run").batches == 10


def test_a_session_that_expired_goes_on_with_all_it_had(database):
    """Resumed by its own client after its linger, its series and its trace count on."""
    life = Life(database)
    session = life.register()
    life.happen(session, *[Batch(0, number, 0.5) for number in range(10)], Ended(Stage.LOST))
    life.commit()
    series, trace = life.metrics.snapshot(session), life.spans.snapshot(session)
    life.happen(session, Expired())
    life.commit()
    assert life.groups() == 0
    assert life.metrics.snapshot(session) is None

    again = Archive(database).find("run")
    life.sessions["run"] = again
    life.happen(again, Registered())

    assert life.metrics.snapshot(again) == series
    assert life.spans.snapshot(again) == trace
    life.commit()
    assert Life(database).known() == life.known()


def test_an_event_that_cannot_be_written_stops_nothing(database):
    """It is left out and counted; what came with it is on disk."""
    life = Life(database)
    session = life.register()
    life.commit()
    life.happen(
        session,
        Batch(0, 0, 0.5),
        Batch(0, 1, 0.5, ground_truth=(object(),)),
        StatusChange(Status.RUNNING, "no Unicode: \ud800"),
    )
    life.commit()

    labels = {"what": "entry", "reason": "unwritable"}
    assert life.telemetry.registry.get_sample_value("bridge_dropped_total", labels) == 1
    again = Life(database).sessions["run"]
    assert (again.batches, again.status_message) == (1, "no Unicode: \ud800")


def test_a_session_that_cannot_be_taken_down_costs_no_other(database, monkeypatch):
    """Its entries stay in the journal, and everybody's are written."""
    life = Life(database)
    good, bad = life.register("good"), life.register("bad")
    life.commit()
    monkeypatch.setattr(bad, "notices", (None,))
    for number in range(3):
        life.now += CHECKPOINT_SECONDS
        life.happen(good, Batch(0, number, 0.5))
        life.happen(bad, Batch(0, number, 0.5))
        assert life.commit()

    again = Life(database)
    assert [again.sessions[name].batches for name in ("good", "bad")] == [3, 3]


def test_a_session_that_cannot_be_packed_costs_no_other(database):
    """Commits go on, and nothing that it needs is deleted."""
    life = Life(database)
    good, bad = life.register("good"), life.register("bad")
    life.commit()
    for number in range(3):
        life.now += CHECKPOINT_SECONDS
        life.happen(good, Batch(0, number, 0.5))
        life.happen(bad, Batch(0, number, 0.5))
        bad.batch = 2**70
        assert life.commit()

    again = Life(database)
    assert [again.sessions[name].batches for name in ("good", "bad")] == [3, 3]


def test_a_session_is_leaving_until_its_last_words_are_on_disk(database):
    """Whoever registers it meanwhile would get an older state of it."""
    life = Life(database)
    session = life.register()
    life.happen(session, Batch(0, 0, 0.5), Ended(Stage.ENDED))
    life.commit()
    life.happen(session, Expired())
    assert life.journal.is_being_archived("run")

    work = life.journal.collect()
    with database.transaction() as transaction:
        work.write(transaction)
    assert life.journal.is_being_archived("run")
    work.on_committed()

    assert not life.journal.is_being_archived("run")
    assert Archive(database).find("run").batches == 1


@pytest.mark.parametrize("ahead_ms", [0, 7_200_000])
def test_what_lingers_at_a_stop_lingers_after_it(database, ahead_ms):
    """Whether a session that is over is in memory is known, and not worked out from a clock that may have been set."""
    life = Life(database)
    ended, expired = life.register("ended"), life.register("expired")
    life.happen(ended, Ended(Stage.ENDED))
    life.happen(expired, Ended(Stage.ENDED))
    life.journal.checkpoint_all()
    life.commit()
    life.happen(expired, Expired())
    life.commit()

    after = Life(database, ended_after_ms=round(START * 1000) + ahead_ms)

    assert set(after.sessions) == {"ended"}
    assert Archive(database).find("expired").ended_at == START


def test_a_session_that_the_database_cannot_hold_keeps_its_entries(database, monkeypatch):
    """Its checkpoint is left out of the commit; what would have been in it is not deleted from the journal."""
    life = Life(database)
    session = life.register()
    monkeypatch.setattr("bridge.sinks.journal.archive.milliseconds", lambda _seconds: 2**63)
    refused = []
    for event in (Scalars(0, 1, {"a": 1.0}), Scalars(0, 2, {"a": 2.0})):
        life.happen(session, event)
        life.journal.checkpoint_all()
        work = life.journal.collect()
        with database.transaction(refused=refused) as transaction:
            work.write(transaction)
        work.on_committed()

    assert {row.table for row in refused} == {"sessions"}
    assert life.groups() == 2
