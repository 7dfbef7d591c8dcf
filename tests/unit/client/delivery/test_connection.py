"""The way to a bridge that behaves, one that does not, and one of the original protocol."""

import socket
import threading

import pytest
from support.fake_bridge import ORIGINAL, OURS, FakeBridge, serving
from support.jpegs import large_jpeg
from support.waiting import until_true

from bridge.client import CommandType, TrainingSession
from bridge.protocol import SENT_BY_ANOTHER
from bridge.wire import metrics_pb2 as wire

BATCHES = 40
EXPECTED = [(0, batch) for batch in range(BATCHES)]


@pytest.fixture
def bridge():
    """Return a bridge that behaves unless a test changes that."""
    with serving(FakeBridge()) as one:
        yield one


def log(session, batches=BATCHES):
    """Tell of some batches."""
    for batch in range(batches):
        session.log_batch(0.5, epoch=0, batch=batch)


def train(bridge, batches=BATCHES, **options):
    """Run a session; return its books."""
    with TrainingSession(bridge.address, session_id="run", **options) as session:
        log(session, batches)
    return session.stats


def test_everything_arrives_once_and_is_acknowledged(bridge):
    """A run without trouble: in order, in frames of many, statuses first and last."""
    stats = train(bridge, model="m", dataset="d", epochs=3, labels={"team": "vision"})

    assert bridge.batches() == EXPECTED
    assert stats.batches == stats.batches_acknowledged == BATCHES
    assert stats.messages == stats.acknowledged
    assert not stats.unacknowledged
    assert bridge.streams == ["StreamMetricsBatches"]
    said = [status.status for status in bridge.of("status_update")]
    assert said == [wire.INITIALIZING, wire.RUNNING, wire.COMPLETED]
    (who,) = bridge.registrations
    assert who.config.model_name == "m"
    assert who.config.total_epochs == 3
    assert dict(who.labels) == {"team": "vision"}
    assert len(who.client_instance_id) == 32


@pytest.mark.parametrize(
    ("variables", "ranks", "expected"),
    [
        ({}, "zero", ("run", None, 0)),
        ({"RANK": "0", "WORLD_SIZE": "1"}, "zero", ("run", None, 0)),
        ({"RANK": "0", "WORLD_SIZE": "4"}, "zero", ("run", 0, 4)),
        ({"RANK": "3", "WORLD_SIZE": "4"}, "all", ("run", 3, 4)),
    ],
)
def test_a_rank_registers_as_one_of_its_run(bridge, monkeypatch, variables, ranks, expected):
    """A process that trains alone reports neither a rank nor how many there are."""
    for name, value in variables.items():
        monkeypatch.setenv(name, value)

    train(bridge, ranks=ranks)

    (who,) = bridge.registrations
    rank = who.rank if who.HasField("rank") else None
    assert (who.run_id, rank, who.world_size) == expected


def test_sequences_have_no_gaps(bridge):
    """Messages are numbered from 1 on."""
    train(bridge)

    sequences = [request.sequence for request in bridge.received]
    assert sequences == list(range(1, len(sequences) + 1))


def test_a_bridge_without_frames_gets_single_messages():
    """UNIMPLEMENTED leads to StreamMetrics, and nothing is lost or doubled on the way."""
    with serving(FakeBridge(frames=False)) as bridge:
        stats = train(bridge)

    assert bridge.streams == ["StreamMetricsBatches", "StreamMetrics"]
    assert bridge.batches() == EXPECTED
    assert stats.batches_acknowledged == BATCHES


def test_an_original_bridge_is_served_in_full():
    """One that knows none of the additions acknowledges batch by batch; all of it counts."""
    with serving(FakeBridge(config=ORIGINAL, frames=False, uses_sequences=False)) as bridge:
        stats = train(bridge)

    assert bridge.batches() == EXPECTED
    assert stats.messages == stats.acknowledged
    assert stats.batches_acknowledged == BATCHES


def test_a_broken_stream_is_replayed(bridge):
    """After each break everything unacknowledged is sent again, and is applied once."""
    bridge.break_at = [5, 17, 30]

    stats = train(bridge)

    assert bridge.batches() == EXPECTED
    assert stats.batches_acknowledged == BATCHES
    assert len(bridge.registrations) == 4
    assert len({who.client_instance_id for who in bridge.registrations}) == 1


def test_an_invalid_message_is_not_sent_for_ever(bridge):
    """INVALID_DATA costs the message it names and no other."""
    bridge.invalid = {7}

    stats = train(bridge)

    assert stats.refused == 1
    assert stats.batches_acknowledged == BATCHES - 1
    assert [request.sequence for request in bridge.received].count(7) == 1
    assert not stats.unacknowledged


def test_an_invalid_last_message_does_not_hold_up_the_end(bridge):
    """Nothing comes after it that could be acknowledged instead, and yet the session is over at once."""
    with TrainingSession(bridge.address) as session:
        log(session, 3)
        assert session.flush(60) == 0
        bridge.invalid = {session.stats.messages + 1}

    assert session.stats.refused == 1
    assert not session.stats.unacknowledged


def test_a_forgotten_session_registers_again(bridge):
    """INVALID_SESSION leads to a new registration and a replay."""
    bridge.forget_at = 12

    stats = train(bridge)

    assert bridge.batches() == EXPECTED
    assert len(bridge.registrations) == 2
    assert stats.batches_acknowledged == BATCHES


def test_a_full_bridge_is_given_time(bridge):
    """BUFFER_FULL leads to a wait, and then to everything from there on again, in order."""
    bridge.full_at = 10

    stats = train(bridge)

    assert bridge.batches() == EXPECTED
    assert stats.batches_acknowledged == BATCHES
    assert len(bridge.registrations) == 1


@pytest.mark.parametrize(
    "code", [wire.ErrorResponse.INTERNAL_ERROR, wire.ErrorResponse.INVALID_DATA]
)
def test_what_a_bridge_could_not_take_is_sent_again(bridge, code):
    """Whether it met a fault of the bridge's own, or could not be read and is asked for by what comes behind it."""
    bridge.lost_at = {9: (2, code)}

    stats = train(bridge)

    assert bridge.batches() == EXPECTED
    assert stats.batches_acknowledged == BATCHES
    assert not stats.refused
    assert len(bridge.registrations) == 1


def test_a_last_message_that_met_a_fault_is_sent_again(bridge):
    """Nothing comes behind it that would be refused for its sake."""
    with TrainingSession(bridge.address, close_seconds=60) as session:
        log(session, 3)
        assert session.flush(60) == 0
        last = session.stats.messages + 1
        bridge.lost_at = {last: (1, wire.ErrorResponse.INTERNAL_ERROR)}

    assert not session.stats.unacknowledged
    assert [status.status for status in bridge.of("status_update")][-1] == wire.COMPLETED


def test_a_stream_shows_what_its_registration_returned(bridge):
    """With every stream, and with nothing else; a bridge that returns nothing is shown nothing."""
    bridge.break_at = [5]
    train(bridge)

    shown = [metadata.get("trainbridge-stream-token") for metadata in bridge.metadata]
    assert shown == [None, bridge.stream_token, None, bridge.stream_token]
    with serving(FakeBridge(config=ORIGINAL, frames=False, uses_sequences=False)) as original:
        train(original, batches=1)
    assert not any("trainbridge-stream-token" in metadata for metadata in original.metadata)


def test_draining_leads_to_another_stream(bridge):
    """A bridge that stops is left in order, and what follows goes to the next."""
    bridge.drain_at = 9

    stats = train(bridge)

    assert bridge.batches() == EXPECTED
    assert len(bridge.registrations) == 2
    assert stats.batches_acknowledged == BATCHES


def test_a_refused_registration_is_tried_again(bridge):
    """Somebody else may hold the session for a while; training does not notice."""
    bridge.refuse_registration = "held by another"
    session = TrainingSession(bridge.address)
    log(session)
    until_true(lambda: len(bridge.registrations) >= 2)

    bridge.refuse_registration = ""

    assert session.close() == 0
    assert bridge.batches() == EXPECTED


def test_who_uses_a_name_twice_learns_the_way_out(bridge, caplog):
    """The bridge says what is wrong; which argument it comes from, the SDK knows."""
    bridge.refuse_registration = SENT_BY_ANOTHER
    with TrainingSession(bridge.address, session_id="run", close_seconds=0.2):
        until_true(lambda: "no connection" in caplog.text)

    assert f"{SENT_BY_ANOTHER}; if it is the same run, wait" in caplog.text
    assert "give each process a session_id of its own" in caplog.text


def test_a_name_that_is_held_is_asked_for_again_when_the_bridge_says(bridge, caplog):
    """What the refused process says is kept until then; the words say who holds the name, once."""
    bridge.refuse_registration, bridge.retry_after_ms = "held by trainer 1 for 1 s", 700
    session = TrainingSession(bridge.address, session_id="run")
    log(session)
    until_true(lambda: len(bridge.registrations) == 2)
    bridge.refuse_registration = "held by trainer 1 for 0 s"
    until_true(lambda: len(bridge.registrations) == 3)
    first, second, third = (each.timestamp_ms for each in bridge.registrations)
    bridge.refuse_registration = ""

    assert session.close() == 0
    assert min(second - first, third - second) >= 650
    assert bridge.batches() == EXPECTED
    assert caplog.text.count("held by trainer 1 for") == 1


def test_the_end_of_a_short_run_waits_until_it_is_let_in(bridge):
    """A name that is held for longer than the run lasts loses nothing, within close_seconds."""
    bridge.refuse_registration, bridge.retry_after_ms = "held", 60_000
    with TrainingSession(bridge.address, session_id="run", close_seconds=60) as session:
        log(session)
        until_true(lambda: bridge.registrations)
        threading.Timer(0.5, lambda: setattr(bridge, "refuse_registration", "")).start()

    assert session.stats.unacknowledged == 0
    assert bridge.batches() == EXPECTED


def test_a_run_that_is_never_let_in_says_what_is_lost_and_why(bridge, caplog):
    """The reason stands beside the count, with the ways out."""
    bridge.refuse_registration, bridge.retry_after_ms = "held by trainer 1", 60_000
    with TrainingSession(bridge.address, session_id="run", close_seconds=0.3) as session:
        session.log_batch(0.5, epoch=0, batch=0)
        until_true(lambda: session._runtime.transport.failure is not None)

    (lost,) = (
        r.getMessage() for r in caplog.records if "not all of it has arrived" in r.getMessage()
    )
    assert "4 messages were not delivered (held by trainer 1; if it is the same run, wait" in lost
    assert "give a larger close_seconds or a spool_dir to keep such messages" in lost


@pytest.mark.parametrize(
    ("sent", "known"),
    [
        ("https://bridge.example.org/sessions/run", "https://bridge.example.org/sessions/run"),
        ("javascript:alert(1)", None),
        ('http://x/"onclick', None),
        ("http://" + "x" * 3_000, None),
        ("", None),
    ],
)
def test_the_page_is_known_once_the_bridge_has_said_where_it_is(bridge, sent, known):
    """What a browser should not be sent to is as good as nothing."""
    bridge.page_url = sent
    with TrainingSession(bridge.address, session_id="run") as session:
        assert session.url is None or known
        until_true(lambda: session.attempt == 1)
        assert session.url == known


def test_the_attempt_is_known_once_the_bridge_has_said_it(bridge):
    """Where the run goes on stands in the registration."""
    bridge.attempt = 3
    with TrainingSession(bridge.address, resume_from=(4, 20), resume_step=1_020) as session:
        until_true(lambda: session.attempt == 3)

    (registration,) = bridge.registrations
    place = registration.resume_point
    assert (place.epoch, place.batch_idx, place.global_step) == (4, 20, 1_020)
    train(bridge)
    assert not bridge.registrations[-1].HasField("resume_point")


def test_a_bridge_that_lacks_the_state_receives_it_again(bridge):
    """In the middle of a long validation nothing else would say what the run is, where it is and what it does."""
    with TrainingSession(bridge.address, model="resnet18", epochs=9) as session:
        session.log_batch(0.5, epoch=3, batch=120, step=720)
        with session.phase("validation"):
            assert session.flush(60) == 0
            before = bridge.accepted
            bridge.applied.clear()
            bridge.accepted = 0
            bridge.known = False
            until_true(lambda: session.flush(60) == 0 and bridge.of("scalar_data"))
            (again,) = (each for each in bridge.of("status_update") if each.HasField("config"))
            (place,) = bridge.of("scalar_data")

    assert all(each.sequence > before for each in bridge.applied if each.sequence)
    assert again.status == wire.RUNNING
    assert again.config.model_name == "resnet18"
    assert again.phase_seconds["startup"] > 0
    assert (place.epoch, place.batch_idx, place.global_step) == (3, 120, 720)
    assert not place.values


def test_a_bridge_that_has_all_of_it_receives_nothing_twice(bridge):
    """A stream that breaks changes nothing."""
    bridge.break_at = [9]

    train(bridge)

    statuses = [each.status for each in bridge.of("status_update") if each.HasField("config")]
    assert len(bridge.registrations) == 2
    assert statuses == [wire.INITIALIZING, wire.RUNNING, wire.COMPLETED]


def test_the_loop_goes_on_while_the_bridge_is_frozen(bridge):
    """Every call returns while nothing is read, and all of it arrives afterwards."""
    bridge.may_read.clear()
    with TrainingSession(bridge.address) as session:
        log(session, 2_000)
        session.log_epoch(0, loss=0.5)
        session.log_scalars({"x": 1.0})
        assert session.should_stop is False
        session.wait_while_paused()
        assert session.stats.acknowledged == 0
        bridge.may_read.set()

    assert len(bridge.batches()) == 2_000


def test_close_returns_what_a_dead_bridge_missed():
    """Without a bridge nothing raises, and `close` returns how many messages were not delivered."""
    session = TrainingSession(f"127.0.0.1:{_unused_port()}")
    log(session)
    session.log_epoch(0, loss=0.5)

    left = session.close(0.2)

    assert left == BATCHES + 5  # the epoch, the speed, and three statuses
    assert session.close(0.2) == left, "and says it again"


def test_a_late_bridge_gets_everything():
    """A bridge that starts after the training does misses nothing."""
    port = _unused_port()
    session = TrainingSession(f"127.0.0.1:{port}")
    log(session)
    with serving(FakeBridge(), f"127.0.0.1:{port}") as bridge:
        assert session.close(60) == 0

    assert bridge.batches() == EXPECTED


def test_images_that_do_not_fit_are_left_out():
    """A batch too large for the bridge loses images, not its numbers, and ends no stream."""
    config = {**OURS, "max_message_bytes": 65_536, "image_batches_per_second": 1e9}
    large = large_jpeg(30_000)
    bridge = FakeBridge(config=config)
    with serving(bridge), TrainingSession(bridge.address) as session:
        for batch in range(5):
            session.log_batch(
                0.5, epoch=0, batch=batch, images=[large] * 4, ground_truth=[1, 2, 3, 4]
            )

    batches = bridge.of("batch_data")
    assert [sum(not image.left_out for image in data.images) for data in batches] == [2] * 5
    assert [list(data.ground_truth) for data in batches] == [[1, 2, 3, 4]] * 5
    assert len(bridge.registrations) == 1


def test_a_bridge_that_refuses_large_messages_gets_smaller_ones():
    """An undocumented limit is found, instead of the same message being sent again and again."""
    config = {**OURS, "image_batches_per_second": 1e9}
    large = large_jpeg(60_000)
    options = {"grpc.max_receive_message_length": 200_000}
    with serving(FakeBridge(config=config), **options) as bridge:
        bridge.config.max_message_bytes = 800_000
        with TrainingSession(bridge.address, close_seconds=30) as session:
            session.log_batch(0.5, epoch=0, batch=0, images=[large] * 8)
            log(session, 3)

    assert len(bridge.batches()) == 4
    assert not session.stats.unacknowledged


def test_a_silent_loop_sends_heartbeats():
    """Between messages the bridge hears that the process is alive."""
    bridge = FakeBridge(config={**OURS, "heartbeat_interval_ms": 20})
    with serving(bridge), TrainingSession(bridge.address):
        until_true(lambda: len(bridge.of("heartbeat")) >= 3)

    beats = [beat.sequence_number for beat in bridge.of("heartbeat")]
    assert beats == list(range(1, len(beats) + 1))


def test_commands_are_answered(bridge):
    """A command runs its callback in the loop, and the answer says at which batch."""
    command = wire.ControlCommand(
        type=wire.ControlCommand.CHANGE_LEARNING_RATE,
        parameters={"learning_rate": "0.1"},
        command_id="c-1",
    )
    taken = []
    with TrainingSession(bridge.address) as session:
        session.on(CommandType.CHANGE_LEARNING_RATE, taken.append)
        bridge.commands.append(command)
        session.log_batch(0.5, epoch=2, batch=0)
        batch = 0
        while not taken:
            batch += 1
            session.log_batch(0.5, epoch=2, batch=batch)
            session.flush()

    assert taken == [{"learning_rate": "0.1"}]
    (result,) = bridge.of("command_result")
    assert (result.command_id, result.applied) == ("c-1", True)
    assert (result.epoch, result.batch_idx) == (2, batch)


def test_credentials_and_name_go_with_every_call(bridge):
    """A token becomes a bearer token; by the name a proxy sends all calls of a session to one bridge."""
    train(bridge, batches=1, token="secret")

    assert len(bridge.metadata) >= 2
    for metadata in bridge.metadata:
        assert metadata["authorization"] == "Bearer secret"
        assert metadata["trainbridge-session"] == "run"


def _unused_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
