"""The life of a session."""

from dataclasses import replace

import pytest

from bridge.errors import ForeignSessionError, InvalidDataError, LimitError, UnknownSessionError
from bridge.hardware import Gpu, Resources
from bridge.lifecycle import (
    Absent,
    CommandAnswered,
    Connected,
    Disconnected,
    Ended,
    Expired,
    SentElsewhere,
)
from bridge.model import (
    Batch,
    Client,
    CommandResult,
    Config,
    Epoch,
    Performance,
    Scalars,
    Stage,
    Status,
    StatusChange,
)
from bridge.protocol import SENT_BY_ANOTHER, CommandType
from bridge.session import Session
from bridge.session_snapshot import session_from, snapshot_of
from bridge.sessions import Sessions
from bridge.storage.packed import packed, unpacked
from bridge.trace_context import TraceContext


class Clock:
    """A clock that stands still until the test moves it."""

    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock():
    """Return a clock under the test's control."""
    return Clock()


@pytest.fixture
def sessions(clock):
    """Return a registry with a heartbeat of 10 s that lingers 60 s and loses sessions after 600 s."""
    return Sessions(
        limit=3,
        new_per_minute=5,
        heartbeat_seconds=10,
        linger_seconds=60,
        lost_seconds=600,
        clock=clock,
    )


def client(instance: str = "a") -> Client:
    """Return a client with an instance id."""
    return Client("trainer", "1", instance)


def test_an_empty_id_gets_one_made(sessions):
    """The bridge makes a URL-safe id."""
    session = sessions.register("", client(), Config()).session

    assert sessions.register(session.id, client(), Config()).session is session


@pytest.mark.parametrize(
    "bad", ["../../x", "<script>", "x" * 64, "a\nb", "-a", ".a", "a/b", "ü", "a b", "x" * 10_000]
)
def test_ids_that_are_not_url_safe_are_refused(sessions, bad):
    """What a client sends never becomes a path, and the error says the rule."""
    with pytest.raises(InvalidDataError, match="must match"):
        sessions.register(bad, client(), Config())

    assert len(sessions) == 0


def test_registering_twice_changes_nothing(sessions):
    """The same instance gets the same session, with what it has sent before."""
    first = sessions.register("run", client(), Config(total_epochs=3))
    first.session.accepted = 7

    again = sessions.register("run", client(), Config())

    assert again.session is first.session
    assert (first.is_new, again.is_new) == (True, False)
    assert again.session.config == Config(total_epochs=3)
    assert again.session.accepted == 7


def test_another_process_is_refused_while_the_first_is_alive(sessions, clock):
    """Two trainers with one session id: the first is untouched; after three heartbeats the second may start anew."""
    first = sessions.register("run", client("a"), Config()).session

    clock.now += 29
    with pytest.raises(ForeignSessionError):
        sessions.register("run", client("b"), Config())
    clock.now += 2
    second = sessions.register("run", client("b"), Config())

    assert second.is_new
    assert (first.attempt, second.session.attempt) == (1, 2)
    assert sessions.get("run") is second.session
    assert first.trace_id != second.session.trace_id


def test_an_ended_session_may_be_resumed_or_followed(sessions, clock):
    """The same instance goes on; another one starts the next attempt at once."""
    session = sessions.register("run", client("a"), Config()).session
    session.apply(Ended(Stage.ENDED), clock.now)

    assert sessions.register("run", client("a"), Config()).session is session
    assert (session.stage, session.is_resumed) == (Stage.ENDED, True)
    assert sessions.register("run", client("b"), Config()).session.attempt == 2


def started(instance, seconds, *, is_left_over=False):
    """Return a client whose process began so many seconds after 1970 by its own clock."""
    client = Client("trainer", "1", instance, started_ms=int(seconds * 1000))
    return replace(client, is_left_over=is_left_over)


@pytest.mark.parametrize("ends", [True, False], ids=["completed", "silent"])
def test_an_attempt_that_was_replaced_does_not_come_back(sessions, clock, ends):
    """A process that was frozen, or what it has left: the newer attempt stays as it is, also after a restart."""
    for instance in ("a", "b", "c"):
        clock.now += 31
        session = sessions.register("run", client(instance), Config()).session
    if ends:
        session.apply(Ended(Stage.ENDED), clock.now)
    clock.now += 31

    restored = session_from(unpacked(packed(snapshot_of(session))))
    anew = Sessions(clock=clock)
    for registry in (sessions, anew):
        for instance in ("a", "b"):
            for is_left_over in (True, False):
                late = started(instance, clock.now, is_left_over=is_left_over)
                with pytest.raises(ForeignSessionError, match="newer attempt"):
                    registry.register("run", late, Config(), restored)
    assert sessions.find("run") is session
    assert session.attempt == 3
    assert session.client.instance_id == "c"
    assert sessions.register("run", client("d"), Config()).session.attempt == 4


@pytest.mark.parametrize(
    ("known_at", "left_at", "is_taken"),
    [
        (100, 200, True),
        (200, 100, False),
        (200, 200, False),
        (200, 0, False),
        (0, 100, False),
        (100, 10_000_000, False),
    ],
    ids=["later", "earlier", "the same", "not reported", "before it registered", "in the future"],
)
def test_what_was_left_comes_after_what_began_before_it(
    sessions, clock, known_at, left_at, is_taken
):
    """The bridge may never have seen its process alive: what began earlier is not an attempt after a later one."""
    known = sessions.register("run", started("b", known_at), Config()).session
    known.apply(Ended(Stage.ENDED), clock.now)
    left = started("a", left_at, is_left_over=True)

    if is_taken:
        assert sessions.register("run", left, Config()).session.attempt == 2
        return
    with pytest.raises(ForeignSessionError, match="newer attempt"):
        sessions.register("run", left, Config())
    assert sessions.find("run") is known


def test_a_process_that_begins_anew_is_taken_whatever_its_clock_says(sessions, clock):
    """Its machine may be hours behind the one before."""
    known = sessions.register("run", started("a", clock.now), Config()).session
    known.apply(Ended(Stage.ENDED), clock.now)

    assert sessions.register("run", started("b", 1), Config()).session.attempt == 2


def test_what_its_own_process_has_left_resumes_a_session(sessions):
    """The attempt is still the current one."""
    sessions.register("run", client("a"), Config())
    late = started("a", 0, is_left_over=True)

    assert not sessions.register("run", late, Config()).is_new


def test_a_snapshot_of_an_earlier_version_is_taken(clock):
    """It says nothing of former attempts."""
    state = snapshot_of(Session("run", client(), Config(), now=clock.now))
    del state["former"], state["client"]["started_ms"], state["client"]["is_left_over"]

    assert session_from(state).former == ()


def test_few_former_attempts_are_kept(sessions, clock):
    """A run in a crash loop does not make its session grow."""
    for number in range(300):
        clock.now += 31
        session = sessions.register("run", client(f"{number}"), Config()).session

    assert len(session.former) == 200
    assert session.former[-1] == "298"


def test_an_expired_session_comes_back_from_the_archive(clock):
    """Gone from memory it can be resumed, and another process makes the next attempt, never the first."""
    old = Session("run", client("a"), Config(), now=clock.now, attempt=4)
    old.apply(Ended(Stage.ENDED), clock.now)
    sessions = Sessions(clock=clock)

    followed = sessions.register("run", client("b"), Config(), old)
    sessions.expire(followed.session)
    resumed = sessions.register("run", client("a"), Config(), old)

    assert (followed.is_new, followed.session.attempt) == (True, 5)
    assert not resumed.is_new
    assert sessions.get("run") is old


def test_limits_say_which_one_was_met(sessions, clock):
    """Too many sessions, and too many new ones a minute, are refused by name."""
    for name in ("a", "b", "c"):
        sessions.register(name, client(), Config())
    with pytest.raises(LimitError, match="--max-sessions"):
        sessions.register("d", client(), Config())

    for name in ("c", "b"):
        sessions.expire(sessions.get(name))
        sessions.register(name, client(), Config())
    sessions.expire(sessions.get("a"))
    with pytest.raises(LimitError, match="a minute"):
        sessions.register("e", client(), Config())
    clock.now += 61
    assert sessions.register("e", client(), Config()).is_new


def test_silence_disconnects_then_loses_then_expires(sessions, clock):
    """Three heartbeats, an hour (here 600 s), then the linger: each is due once."""
    session = sessions.register("run", client(), Config()).session
    session.apply(Connected(), clock.now)

    def due():
        events = []
        for each, event in sessions.due():
            each.apply(event, clock.now)
            events.append(event)
        return events

    assert due() == []
    clock.now += 30
    assert due() == [Disconnected(), Absent()]
    assert due() == []
    clock.now += 570
    assert due() == [Ended(Stage.LOST)]
    assert due() == []
    clock.now += 60
    assert due() == [Expired()]


def test_an_unknown_session_is_reported(sessions):
    """Asking for what is not there is an error that says what to do."""
    with pytest.raises(UnknownSessionError, match="register it first"):
        sessions.get("nobody")


def test_a_snapshot_brings_everything_back(clock):
    """A session goes through the database unharmed, NaN included."""
    labels = {"team": "vision"}
    config = Config(3, 4, 5, "model", "data", ("cat", "dog"))
    session = Session("run", Client("c", "1", "i", labels), config, now=clock.now, attempt=2)
    resources = Resources(1.5, 2.0, (Gpu(0, "u", 0.5),))
    for event in (
        Connected(),
        Batch(1, 2, 0.5),
        Batch(1, 3, float("nan")),
        Epoch(1, 0.25, 0.5, validation_loss=0.75),
        Performance(0.1, 1.0, 2.0, 3.0, 4.0, resources),
        Scalars(1, 3, {"grad": 2.0}),
        StatusChange(Status.PAUSED, "lunch"),
        CommandAnswered(CommandType.PAUSE_TRAINING, CommandResult("c", True, "ok", 1, 3)),
    ):
        session.apply(event, clock.now)
    session.accepted = 9

    restored = session_from(unpacked(packed(snapshot_of(session))))

    assert repr(snapshot_of(restored)) == repr(snapshot_of(session))
    assert restored.accepted == restored.committed == 9
    assert restored.trace_id == session.trace_id
    assert restored.performance == session.performance


def test_an_older_snapshot_holds_zeros_that_were_not_reported(clock):
    """A session of an older version shows nothing that its client never said."""
    session = Session("run", Client(), Config(), now=clock.now)
    old = snapshot_of(session)
    del old["format"]
    old["phase"] = old.pop("stage")
    gpu = {
        "index": 0,
        "uuid": "u",
        "utilization_ratio": 0.5,
        "memory_used_bytes": 0.0,
        "memory_total_bytes": 0.0,
        "temperature_celsius": 0.0,
        "power_watts": 0.0,
    }
    old |= {
        "loss": float("nan"),
        "epochs": [(0, 0.5, 0.0, None, None, None), (1, 0.5, 0.25, None, 0.0, 0.0)],
        "performance": {
            "batch_duration_seconds": 0.0,
            "epoch_duration_seconds": 0.0,
            "estimated_time_remaining_seconds": 0.0,
            "frames_per_second": 30.0,
            "frames_per_second_average": 0.0,
            "resources": {"cpu_utilization_ratio": 0.0, "memory_used_bytes": 2.0, "gpus": [gpu]},
        },
    }

    restored = session_from(unpacked(packed(old)))

    assert restored.loss is None
    assert list(restored.epochs) == [Epoch(0, 0.5, None), Epoch(1, 0.5, 0.25, None, 0.0, 0.0)]
    resources = Resources(None, 2.0, (Gpu(0, "u", 0.5),))
    assert restored.performance == Performance(frames_per_second=30.0, resources=resources)
    assert repr(snapshot_of(session_from(snapshot_of(restored)))) == repr(snapshot_of(restored))


def test_a_zero_that_was_reported_survives_a_snapshot(clock):
    """An accuracy of 0 and an idle GPU are still there after a restart."""
    session = Session("run", Client(), Config(), now=clock.now)
    idle = Performance(resources=Resources(gpus=(Gpu(0, "u", 0.0, 0.0),)))
    for event in (Epoch(0, 0.0, 0.0), idle):
        session.apply(event, clock.now)

    restored = session_from(unpacked(packed(snapshot_of(session))))

    assert list(restored.epochs) == [Epoch(0, 0.0, 0.0)]
    assert restored.performance == idle


def test_registering_again_keeps_what_it_leaves_out(sessions):
    """The same client with less to say: name, version, labels, trace and configuration stay, field by field."""
    whole = Client("c", "1", "a", {"team": "vision"}, "00-trace-span-00")
    config = Config(3, 4, 5, "model", "data", ("cat",))
    sessions.register("run", whole, config)

    session = sessions.register("run", Client(instance_id="a"), Config(batch_size=6)).session

    assert session.client == whole
    assert session.config == Config(3, 4, 6, "model", "data", ("cat",))


def test_a_sampled_trace_context_is_taken_over():
    """The session joins the client's trace, unless that is not being kept."""
    trace = "0af7651916cd43dd8448eb211c80319c"
    sampled = Client(trace_context=TraceContext(trace, "b7ad6b7169203331", 1))
    unsampled = Client(trace_context=TraceContext(trace, "b7ad6b7169203331", 0))

    assert trace == Session("run", sampled, Config(), now=0).trace_id
    assert trace != Session("run", unsampled, Config(), now=0).trace_id


def test_a_restart_gives_every_live_session_a_lease(clock):
    """Its client may come back before anybody else has it, and before it counts as lost."""
    old = Session("run", client("a"), Config(), now=clock.now - 100_000)
    old.is_unused = False
    sessions = Sessions(heartbeat_seconds=10, lost_seconds=600, clock=clock)
    sessions.restore(old)

    with pytest.raises(ForeignSessionError):
        sessions.register("run", client("b"), Config())
    assert list(sessions.due()) == []
    clock.now += 31

    assert list(sessions.due()) == [(old, Ended(Stage.LOST))]


@pytest.mark.parametrize("jump", [86_400, -86_400])
def test_a_clock_that_is_set_makes_nobody_silent(clock, jump):
    """A day more or less on the clock means neither a day of silence, nor an endless lease, nor a limit that is met."""
    steady = Clock()
    sessions = Sessions(
        heartbeat_seconds=10, lost_seconds=600, new_per_minute=2, clock=clock, monotonic=steady
    )
    run = sessions.register("run", client("a"), Config()).session
    run.apply(Connected(), clock.now)
    clock.now += jump
    steady.now += 1

    assert list(sessions.due()) == []
    with pytest.raises(ForeignSessionError):
        sessions.register("run", client("b"), Config())
    for passing in (clock, steady):
        passing.now += 61
    assert list(sessions.due()) == [(run, Disconnected()), (run, Absent())]
    assert sessions.register("run", client("b"), Config()).session.attempt == 2
    sessions.register("other", client(), Config())


def test_a_time_in_the_future_counts_as_now(clock):
    """A state folder from a machine whose clock was ahead."""
    old = Session("run", client("a"), Config(), now=clock.now + 100_000)
    sessions = Sessions(heartbeat_seconds=10, clock=clock)
    sessions.restore(old)

    assert old.updated_at == clock.now


def test_a_session_that_never_sends_gives_up_its_place(clock):
    """After minutes, not after the hour of one that has fallen silent; one message makes the difference."""
    sessions = Sessions(limit=2, heartbeat_seconds=10, unused_seconds=60, clock=clock)
    unused = sessions.register("unused", client("a"), Config()).session
    used = sessions.register("used", client("b"), Config()).session
    used.apply(Connected(), clock.now)
    clock.now += 59
    assert [event for session, event in sessions.due() if session is unused] == []
    clock.now += 1

    due = [(session.id, event) for session, event in sessions.due()]

    assert due == [
        *(("unused", Ended(Stage.LOST)), ("unused", Expired())),
        *(("used", Disconnected()), ("used", Absent())),
    ]


def test_who_loads_data_for_long_is_waited_for_where_there_is_room(clock):
    """A client without heartbeats may send its first batch half an hour after it has registered."""
    sessions = Sessions(limit=2, heartbeat_seconds=10, unused_seconds=60, clock=clock)
    sessions.register("loading", client(), Config())
    clock.now += 1800

    assert [event for _, event in sessions.due()] == []


def test_whether_a_session_was_used_outlives_a_restart():
    """And a session of an older version, which did not say, counts as used."""
    session = Session("run", client("a"), Config(), now=1_000.0)
    state = snapshot_of(session)

    assert session_from(dict(state)).is_unused
    del state["is_unused"]
    assert not session_from(state).is_unused


def test_a_snapshot_of_the_format_before_names_the_stage_otherwise(clock):
    """It called that the phase of a session; everything else is as it was."""
    session = Session("run", Client(), Config(), now=clock.now)
    old = snapshot_of(session) | {"format": 2}
    old["phase"] = old.pop("stage")

    restored = session_from(unpacked(packed(old)))

    assert snapshot_of(restored) == snapshot_of(session)


def test_a_stream_that_closed_frees_the_name_within_seconds(sessions, clock):
    """A process that is gone locks nobody out for a minute; one that only falls silent has three heartbeats."""
    session = sessions.register("run", client("a"), Config()).session
    session.client_host = "10.0.0.7"
    clock.now += 2
    sessions.touch(session, clock.now)
    sessions.note_closed(session)
    clock.now += 1

    with pytest.raises(
        ForeignSessionError, match=r"\(trainer on 10\.0\.0\.7\).* free in 4 s"
    ) as caught:
        sessions.register("run", client("b"), Config())
    assert caught.value.retry_after_seconds == 4
    assert str(caught.value).startswith(SENT_BY_ANOTHER)
    assert "stream" not in str(caught.value), "it has closed"
    clock.now += 4
    assert sessions.register("run", client("b"), Config()).session.attempt == 2


def test_a_process_that_comes_back_holds_its_name_again(sessions, clock):
    """Its stream closed, and it registers anew: the same attempt, with a whole lease."""
    session = sessions.register("run", client("a"), Config()).session
    sessions.note_closed(session)
    clock.now += 20

    assert not sessions.register("run", client("a"), Config()).is_new
    assert sessions.held_seconds(session) == 30


def test_a_client_that_was_sent_elsewhere_holds_its_name_for_its_lease(sessions, clock):
    """It may be well on another bridge, and come back from there."""
    session = sessions.register("run", client("a"), Config()).session
    session.apply(Connected(), clock.now)
    session.apply(SentElsewhere(), clock.now)
    sessions.note_closed(session)
    clock.now += 20

    assert sessions.held_seconds(session) == 10


def test_a_session_that_went_on_elsewhere_is_never_lost(sessions, clock):
    """It is put away without an end that nobody has seen."""
    session = sessions.register("run", client("a"), Config()).session
    for event in (Connected(), SentElsewhere(), Disconnected()):
        session.apply(event, clock.now)
    assert session.has_moved
    clock.now += 600

    assert list(sessions.due()) == [(session, Expired())]


@pytest.mark.parametrize("comes_back", ["stream", "registration"])
def test_a_session_that_comes_back_has_not_moved(sessions, clock, comes_back):
    """Whether its client registers again, as ours does, or only opens a stream."""
    session = sessions.register("run", client("a"), Config()).session
    for event in (Connected(), SentElsewhere(), Disconnected()):
        session.apply(event, clock.now)
    restored = session_from(unpacked(packed(snapshot_of(session))))
    assert restored.has_moved

    if comes_back == "stream":
        restored.apply(Connected(), clock.now)
    else:
        sessions.restore(restored)
        sessions.register("run", client("a"), Config())

    assert not restored.has_moved


def test_a_status_that_is_said_again_is_not_news(sessions, clock):
    """A client says again how things are, since a bridge may have lost its state: nothing happened by that."""
    session = sessions.register("run", client("a"), Config()).session
    change = StatusChange(
        Status.RUNNING, "warm-up", Config(total_epochs=3), "training", {"training": 2.0}
    )
    for _ in range(3):
        session.apply(change, clock.now)

    assert [notice.text for notice in session.notices] == ["running: warm-up"]
    assert (session.config.total_epochs, session.phases.name) == (3, "training")
