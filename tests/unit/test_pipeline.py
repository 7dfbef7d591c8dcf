"""The path of a message."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.admission import Caller
from bridge.commands import Commands
from bridge.errors import (
    ForeignSessionError,
    InvalidDataError,
    OverloadedError,
    SequenceGapError,
    UnknownSessionError,
)
from bridge.lifecycle import (
    CommandAnswered,
    CommandQueued,
    Connected,
    Disconnected,
    Ended,
    Expired,
    Registered,
    SentElsewhere,
    SequenceAdvanced,
    Superseded,
)
from bridge.model import (
    Batch,
    Client,
    CommandResult,
    Config,
    Heartbeat,
    Level,
    Occurrence,
    Performance,
    Scalars,
    Stage,
    Status,
    StatusChange,
    Update,
)
from bridge.pipeline import Pipeline
from bridge.protocol import CommandType
from bridge.sequences import SKIPS_KEPT
from bridge.session import Holder, Session
from bridge.session_snapshot import session_from, snapshot_of
from bridge.sessions import Sessions
from bridge.sinks.journal.records import JournalRecord, decode, encode
from bridge.storage.packed import packed, unpacked
from bridge.telemetry import Telemetry


class Recording:
    """A sink that records, and fails on the events given."""

    def __init__(self, fails_on=()) -> None:
        self.events: list[object] = []
        self.fails_on = fails_on

    def consume(self, session, event, received) -> None:
        if isinstance(event, self.fails_on):
            raise TypeError("broken sink")
        self.events.append(event)

    def of(self, kind):
        return [event for event in self.events if isinstance(event, kind)]


class Journal:
    """A committer that only counts, and is full on demand."""

    def __init__(self) -> None:
        self.is_full = False
        self.waiters = 0

    def add_waiter(self, listener, size_bytes, *, is_urgent) -> int:
        self.waiters += 1
        return self.waiters

    def request_commit(self) -> None:
        pass


class Nobody:
    """A listener that nobody waits for."""

    def on_committed(self, ticket) -> None:
        pass


class Bridge:
    """A pipeline with a clock under the test's control."""

    def __init__(self, *sinks, is_shared=False) -> None:
        self.now = 1_000.0
        self.sink = Recording()
        self.journal = Journal()
        self.commands = Commands()
        self.sessions = Sessions(
            heartbeat_seconds=10, linger_seconds=60, lost_seconds=600, clock=lambda: self.now
        )
        self.pipeline = Pipeline(
            sessions=self.sessions,
            commands=self.commands,
            sinks=[*sinks, self.sink],
            committer=self.journal,
            telemetry=Telemetry(),
            is_shared=is_shared,
            clock=lambda: self.now,
        )

    def register(self):
        return self.pipeline.register("run", Client(instance_id="i"), Config()).session

    def send(self, message, sequence=0):
        update = Update("run", message, sequence)
        return self.pipeline.accept(update, self.holder, Nobody())

    def begin_at(self, sequence):
        self.pipeline.begin_at("run", sequence, self.holder)

    @property
    def holder(self):
        session = self.sessions.find("run")
        return Holder() if session is None else session.holder


def batch(index: int) -> Batch:
    """Return a batch."""
    return Batch(0, index, 0.5)


def test_a_message_reaches_sinks_and_session():
    """Registering, connecting and a batch, in this order."""
    bridge = Bridge()
    session = bridge.register()
    bridge.pipeline.connect("run")

    bridge.send(batch(4), sequence=1)

    assert bridge.sink.events == [Registered(), Connected(), batch(4)]
    assert (session.batch, session.accepted, session.connected) == (4, 1, True)


def test_nothing_is_applied_without_a_session():
    """An unknown session leaves no trace."""
    bridge = Bridge()

    with pytest.raises(UnknownSessionError):
        bridge.send(batch(1))

    assert bridge.sink.events == []
    assert bridge.journal.waiters == 0


@given(st.lists(st.integers(min_value=1, max_value=12), max_size=40))
def test_a_sequence_is_applied_once_and_in_its_turn(sequences):
    """Old, repeated and gapped sequences: only the next one is applied; a gap names what is expected."""
    bridge = Bridge()
    session = bridge.register()
    expected, mark = [], 0
    gaps = 0
    for sequence in sequences:
        if sequence > mark + 1:
            with pytest.raises(SequenceGapError) as raised:
                bridge.send(batch(sequence), sequence)
            assert raised.value.expected == mark + 1
            gaps += 1
            continue
        if sequence == mark + 1:
            expected.append(sequence)
            mark = sequence
        bridge.send(batch(sequence), sequence)

    assert [event.index for event in bridge.sink.of(Batch)] == expected
    assert session.accepted == mark
    assert bridge.journal.waiters == len(sequences) - gaps


def test_a_client_may_begin_behind_what_is_known_here():
    """It has nothing before that: what comes from before all the same is neither applied nor acknowledged."""
    bridge = Bridge()
    session = bridge.register()
    bridge.send(batch(1), 1)

    bridge.begin_at(5_000)
    bridge.send(batch(2), 5_000)

    assert session.accepted == 5_000
    with pytest.raises(InvalidDataError, match="began behind"):
        bridge.send(batch(3), 2)
    bridge.send(batch(1), 1)
    assert [event.index for event in bridge.sink.of(Batch)] == [1, 2]


def test_all_that_a_client_began_behind_stays_named():
    """Also what it began behind before the last time, and before a restart with or without a checkpoint."""
    bridge = Bridge()
    session = bridge.register()
    applied = [1, 100, 101, 200, 500]
    for sequence in applied:
        if sequence > session.accepted + 1:
            bridge.begin_at(sequence)
        bridge.send(batch(sequence), sequence)
    replayed = Session("run", session.client, session.config, now=0.0)
    for event in map(journaled, bridge.sink.of(SequenceAdvanced)):
        replayed.apply(event, 0.0)
    restored = session_from(unpacked(packed(snapshot_of(session))))

    for known in (session, replayed, restored):
        assert not any(map(known.has_skipped, [*applied, 0, 501]))
        assert all(map(known.has_skipped, [2, 50, 99, 102, 150, 199, 201, 499]))


def test_few_ranges_that_a_client_began_behind_are_kept():
    """A client that begins behind something again and again does not fill the memory."""
    bridge = Bridge()
    session = bridge.register()
    for sequence in range(2, 2 * SKIPS_KEPT + 20, 2):
        bridge.begin_at(sequence)
        bridge.send(batch(sequence), sequence)
    bridge.begin_at(session.accepted + 5)
    bridge.begin_at(session.accepted + 5)

    assert len(session.skipped) == SKIPS_KEPT
    assert session.skipped[-1] == (session.accepted - 7, session.accepted)


def journaled(event):
    """Return an event as the journal brings it back."""
    return decode(unpacked(packed(encode(JournalRecord("run", 1, 0.0, event))))).event


@pytest.mark.parametrize("instance", ["", "i"], ids=["original", "named"])
def test_what_comes_after_the_end_is_not_counted_into_it(instance):
    """Nothing that is said of a session that has ended changes it, until its client registers again."""
    bridge = Bridge()
    session = bridge.pipeline.register("run", Client(instance_id=instance), Config()).session
    bridge.send(batch(1))
    bridge.send(StatusChange(Status.COMPLETED))

    for late in (batch(2), StatusChange(Status.RUNNING), Scalars(0, 2, {"x": 1.0})):
        with pytest.raises(UnknownSessionError, match="ended"):
            bridge.send(late)
    for _ in range(2):
        bridge.send(Heartbeat())
        bridge.send(
            Performance(frames_per_second=1.0)
        )  # the SDK's own thread may be the last to speak
        bridge.pipeline.register("run", Client(instance_id="i"), Config()) if instance else None

    assert (session.batches, session.status, session.stage) == (1, Status.COMPLETED, Stage.ENDED)
    assert len(bridge.sink.of(Batch)) == 1


def test_a_session_that_goes_on_after_its_end_is_running():
    """A session that was resumed is not shown as completed while it trains."""
    bridge = Bridge()
    session = bridge.register()
    bridge.send(batch(1))
    bridge.send(StatusChange(Status.COMPLETED))
    bridge.register()
    assert (session.status, session.stage) == (Status.COMPLETED, Stage.ENDED)

    bridge.send(batch(2))
    assert (session.status, session.stage) == (Status.RUNNING, Stage.LIVE)
    assert (session.attempt, session.batches) == (1, 2)

    bridge.send(StatusChange(Status.FAILED))
    bridge.register()
    bridge.send(StatusChange(Status.COMPLETED))
    assert (session.status, session.stage) == (Status.COMPLETED, Stage.ENDED)


def test_an_original_client_that_trains_twice_makes_two_attempts():
    """Its counts begin anew, its streams of before say nothing any more, and it is not completed."""
    bridge = Bridge()

    def register():
        return bridge.pipeline.register("run", Client(), Config(), caller=Caller(host="h")).session

    first = register()
    bridge.send(batch(1))
    assert register() is first  # it has come back
    bridge.send(StatusChange(Status.COMPLETED))
    second = register()
    bridge.send(batch(1))

    assert (first.attempt, second.attempt) == (1, 2)
    assert (second.batches, second.status, second.stage) == (1, Status.UNKNOWN, Stage.LIVE)
    assert second.proof.hosts == ("h",)


def test_the_former_attempt_is_handed_over_before_the_next_one_begins():
    """As it stands: lost at its last message where nobody saw its end, and with its own end where somebody did."""
    bridge = Bridge()
    first = bridge.register()
    bridge.send(batch(1), 1)
    bridge.now += 100
    second = bridge.pipeline.register("run", Client(instance_id="j"), Config()).session
    bridge.sink.events.clear()
    bridge.pipeline.accept(Update("run", StatusChange(Status.FAILED), 1), second.holder, Nobody())
    bridge.now += 5
    bridge.pipeline.register("run", Client(instance_id="k"), Config())
    bridge.pipeline.register("run", Client(instance_id="k"), Config())

    assert (first.attempt, first.batches, first.stage) == (1, 1, Stage.LOST)
    assert first.ended_at == first.updated_at == 1_000.0
    assert (second.attempt, second.stage, second.ended_at) == (2, Stage.ENDED, 1_100.0)
    kinds = [type(event) for event in bridge.sink.events if not isinstance(event, SequenceAdvanced)]
    assert kinds[-3:] == [Superseded, Registered, Registered]


def test_what_changes_nothing_is_in_the_journal_with_its_sequence():
    """Numbered heartbeats, repeated answers and refused messages: their Ack must survive a kill, too."""
    bridge = Bridge()
    bridge.register()

    bridge.send(Heartbeat(), 1)
    bridge.pipeline.refuse("run", 2, bridge.holder, Nobody())
    bridge.send(Heartbeat())

    assert len(bridge.sink.of(SequenceAdvanced)) == 2


def test_a_session_that_cannot_take_an_event_does_not_undo_it():
    """The sinks have it, and so has the journal: it must not be sent and counted again."""
    bridge = Bridge()
    session = bridge.register()
    session.losses = None

    bridge.send(batch(1), 1)

    assert session.accepted == 1
    assert len(bridge.sink.of(Batch)) == 1


def test_nothing_is_applied_while_too_much_waits_for_the_disk():
    """The client learns when to retry; heartbeats get through, so the session still shows as alive."""
    bridge = Bridge()
    session = bridge.register()
    bridge.journal.is_full = True
    with pytest.raises(OverloadedError) as raised:
        bridge.send(batch(1), 1)
    bridge.send(Heartbeat())

    assert raised.value.retry_after_ms > 0
    assert session.accepted == 0
    assert bridge.sink.of(Batch) == []


def test_an_event_that_is_sent_again_happened_once():
    """A client that was cut off before its Ack repeats what it sent; the sequence shows that it is known."""
    bridge = Bridge()
    session = bridge.register()
    event = Occurrence("lr drop", "", Level.INFO, {}, 0, 0, 7)

    for _ in range(2):
        bridge.send(event, 1)
    bridge.send(event, 2)

    assert session.occurrences.total == 2
    assert len(bridge.sink.of(Occurrence)) == 2


def test_a_command_that_is_answered_twice_was_answered_once():
    """It may have gone out twice, and so has its answer; nobody gets an error."""
    bridge = Bridge()
    bridge.register()
    bridge.pipeline.submit("run", CommandType.PAUSE_TRAINING, {}, "c1")
    bridge.pipeline.take_commands("run")
    for sequence in (1, 2):
        bridge.send(CommandResult("c1", applied=True, message="", epoch=0, batch=0), sequence)

    assert len(bridge.sink.of(CommandAnswered)) == 1
    with pytest.raises(InvalidDataError):
        bridge.send(CommandResult("c2", applied=True, message="", epoch=0, batch=0), 3)


def test_a_repeated_end_does_not_open_a_session_again():
    """Registered again after COMPLETED, a session is over until it says something new."""
    bridge = Bridge()
    session = bridge.register()
    bridge.send(StatusChange(Status.COMPLETED), 1)
    bridge.register()

    bridge.send(StatusChange(Status.COMPLETED), 1)
    assert session.stage is Stage.ENDED
    bridge.send(batch(2), 2)

    assert session.stage is Stage.LIVE


def test_a_broken_sink_costs_only_itself():
    """The others and the session get the event all the same."""
    broken = Recording(fails_on=(Batch,))
    bridge = Bridge(broken)
    session = bridge.register()

    bridge.send(batch(7))

    assert bridge.sink.of(Batch) == [batch(7)]
    assert broken.of(Batch) == []
    assert session.batch == 7


def test_two_streams_of_a_session_disconnect_together():
    """The session is connected until the last stream is gone."""
    bridge = Bridge()
    bridge.register()
    for _ in range(2):
        bridge.pipeline.connect("run")
    bridge.send(Heartbeat())

    bridge.pipeline.disconnect("run")
    assert not bridge.sink.of(Disconnected)
    bridge.pipeline.disconnect("run")

    assert len(bridge.sink.of(Disconnected)) == 1


def test_a_status_ends_the_session_after_the_sinks_heard_it():
    """COMPLETED is followed by the end; what comes late does not open it again."""
    bridge = Bridge()
    session = bridge.register()
    bridge.send(batch(1))

    bridge.send(StatusChange(Status.COMPLETED))
    bridge.send(Heartbeat())

    assert bridge.sink.events[-3:] == [
        StatusChange(Status.COMPLETED),
        Ended(Stage.ENDED),
        Heartbeat(),
    ]
    assert session.stage is Stage.ENDED
    assert not session.connected


def test_a_lost_session_comes_back_with_its_next_message():
    """Silence loses a session; a message while it lingers revives it."""
    bridge = Bridge()
    session = bridge.register()
    bridge.now += 700
    bridge.pipeline.expire_sessions()
    assert session.stage is Stage.LOST

    bridge.send(batch(1))

    assert session.stage is Stage.LIVE
    assert session.connected


def test_an_expired_session_leaves_nothing():
    """After the linger neither the session nor its commands are held."""
    bridge = Bridge()
    bridge.register()
    bridge.send(StatusChange(Status.FAILED, "boom"))
    bridge.now += 61

    bridge.pipeline.expire_sessions()

    assert bridge.sink.events[-1] == Expired()
    assert len(bridge.sessions) == 0


def test_a_command_is_an_event_before_it_is_sent():
    """So it is on disk, whoever is there to take it."""
    bridge = Bridge()
    bridge.register()

    queued = bridge.pipeline.submit("run", CommandType.PAUSE_TRAINING, {"why": "lunch"}, "c1")

    assert bridge.sink.of(CommandQueued) == [
        CommandQueued("c1", CommandType.PAUSE_TRAINING, {"why": "lunch"})
    ]
    assert bridge.pipeline.submit("run", CommandType.PAUSE_TRAINING, {}, "c1") == queued
    assert len(bridge.sink.of(CommandQueued)) == 1


def test_commands_for_an_attempt_do_not_reach_the_next():
    """A stop that the first process never heard must not stop the second."""
    bridge = Bridge()
    bridge.register()
    bridge.pipeline.submit("run", CommandType.STOP_TRAINING, {})
    bridge.now += 1_000

    session = bridge.pipeline.register("run", Client(instance_id="other"), Config()).session

    assert session.attempt == 2
    assert bridge.pipeline.take_commands("run") == []


def test_a_session_from_before_a_restart_is_disconnected_and_leased():
    """Its own client may come back within three heartbeats; nobody else may have it before."""
    bridge = Bridge()
    session = bridge.register()
    bridge.send(batch(1), 1)
    bridge.now += 500
    again = Bridge()
    again.now = bridge.now

    again.pipeline.restore(session)

    assert again.sink.events == [Disconnected()]
    with pytest.raises(ForeignSessionError):
        again.pipeline.register("run", Client(instance_id="other"), Config())
    again.now += 31
    assert again.pipeline.register("run", Client(instance_id="other"), Config()).is_new


def test_commands_from_before_a_session_expired_are_not_sent_again():
    """A stop of yesterday must not stop the run that its client has begun today."""
    bridge = Bridge()
    expired = Session("run", Client(instance_id="i"), Config(), now=0.0)
    expired.restored_state = {"commands": [("c1", 3, {}, 0.0, "queued", None)]}

    session = bridge.pipeline.register("run", Client(instance_id="i"), Config(), expired).session

    assert session is expired
    assert session.restored_state == {}
    assert bridge.pipeline.take_commands("run") == []


def test_a_stream_that_closes_frees_the_name():
    """The last one does; while another is open the session has its whole lease."""
    bridge = Bridge()
    session = bridge.register()
    bridge.pipeline.connect("run")
    bridge.pipeline.connect("run")
    bridge.send(batch(0), 1)

    bridge.pipeline.disconnect("run")
    assert bridge.sessions.held_seconds(session) == 30
    bridge.pipeline.disconnect("run")
    assert bridge.sessions.held_seconds(session) == 5
    bridge.pipeline.connect("run")
    assert bridge.sessions.held_seconds(session) == 30


def test_a_client_that_is_sent_elsewhere_leaves_a_copy_that_says_so():
    """What it still says on its stream belongs here; once that has ended, the session went on elsewhere."""
    bridge = Bridge()
    session = bridge.register()
    bridge.pipeline.connect("run")
    bridge.send(batch(0), 1)

    bridge.pipeline.send_elsewhere("run")
    bridge.send(batch(1), 2)
    assert (session.has_moved, session.batches) == (False, 2)
    bridge.pipeline.disconnect("run")
    assert session.has_moved
    assert [type(event) for event in bridge.sink.events[-3:]] == [
        SentElsewhere,
        Batch,
        Disconnected,
    ]

    bridge.register()
    assert not session.has_moved


def test_a_client_that_bridges_share_and_none_sees_again_is_disconnected():
    """It has not moved: whichever bridge it had come back to would have the session now. So it counts as lost in time."""
    bridge = Bridge(is_shared=True)
    session = bridge.register()
    bridge.pipeline.connect("run")
    bridge.send(batch(0), 1)

    bridge.pipeline.send_elsewhere("run")
    bridge.pipeline.disconnect("run")

    assert not session.has_moved
    assert [type(event) for event in bridge.sink.events[-2:]] == [Batch, Disconnected]


def test_an_end_that_comes_while_a_client_is_sent_elsewhere_was_seen_here():
    """It is shown as any other end."""
    bridge = Bridge()
    session = bridge.register()
    bridge.pipeline.connect("run")
    bridge.send(batch(0), 1)
    bridge.pipeline.send_elsewhere("run")

    bridge.send(StatusChange(Status.COMPLETED), 2)
    bridge.pipeline.disconnect("run")

    assert (session.has_moved, session.state) == (False, "completed")
