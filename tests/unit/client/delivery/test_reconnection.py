"""What a session remembers of a bridge from one stream to the next."""

import grpc
import pytest
from support.fake_bridge import ORIGINAL, FakeBridge, serving
from support.waiting import until_true

from bridge.client import CommandType, TrainingSession
from bridge.wire import metrics_pb2 as wire

CLOSE_SECONDS = 30.0


@pytest.fixture
def bridge():
    """Return a bridge that behaves unless a test changes that."""
    with serving(FakeBridge()) as bridge:
        yield bridge


def train(bridge, batches=20):
    """Run a session to its end; return its books."""
    with TrainingSession(bridge.address, session_id="run", close_seconds=CLOSE_SECONDS) as session:
        for batch in range(batches):
            session.log_batch(0.5, epoch=0, batch=batch)
    return session.stats


class Naming(FakeBridge):
    """Gives every session a name of its own making."""

    def RegisterTrainingSession(self, request, context):  # noqa: N802 -- the protocol's name
        response = super().RegisterTrainingSession(request, context)
        response.session_id = "given"
        return response


def test_the_name_that_the_bridge_gives_is_used():
    """In every message, and when registering again; the session has it."""
    with serving(Naming()) as bridge:
        bridge.break_at = [5]
        session = TrainingSession(bridge.address, session_id="wanted", close_seconds=CLOSE_SECONDS)
        for batch in range(20):
            session.log_batch(0.5, epoch=0, batch=batch)
        assert session.close() == 0

        assert session.session_id == "given"
        assert {request.session_id for request in bridge.received} == {"given"}
        assert [registration.session_id for registration in bridge.registrations] == [
            "wanted",
            "given",
        ]


def test_it_is_one_process_however_often_it_registers(bridge):
    """The same instance each time, so that the bridge knows a replay from another run."""
    bridge.break_at = [3, 9]

    assert train(bridge).connections == 3

    assert len(bridge.registrations) == 3
    assert len({registration.client_instance_id for registration in bridge.registrations}) == 1
    assert all(registration.client_instance_id for registration in bridge.registrations)


class Mute(FakeBridge):
    """Acknowledges nothing on its first stream."""

    def _acks(self, request):
        if len(self.streams) > 1:
            yield from super()._acks(request)


def test_what_the_bridge_already_has_is_not_sent_again():
    """The answer to a registration says where to go on, although no acknowledgment came through."""
    with serving(Mute()) as bridge:
        bridge.break_at = [10]
        stats = train(bridge)

    sequences = [request.sequence for request in bridge.received if request.sequence]
    assert sequences == [*range(1, 11), *range(10, bridge.accepted + 1)]
    assert stats.acknowledged == stats.messages == bridge.accepted


def test_frames_are_not_tried_again_where_they_are_unknown():
    """A bridge that has said UNIMPLEMENTED once is not asked at every reconnection."""
    with serving(FakeBridge(frames=False)) as bridge:
        bridge.break_at = [6]

        assert train(bridge).batches_acknowledged == 20

    assert bridge.streams == ["StreamMetricsBatches", "StreamMetrics", "StreamMetrics"]


def test_an_original_bridge_that_breaks_off_misses_nothing():
    """Without sequences it may get a batch twice, since only its Acks tell what it has, but never none."""
    with serving(FakeBridge(config=ORIGINAL, frames=False, uses_sequences=False)) as bridge:
        bridge.break_at = [8]
        stats = train(bridge)

        assert {batch for _, batch in bridge.batches()} == set(range(20))
        assert stats.batches_acknowledged == 20
        assert stats.unacknowledged == 0


def test_invalid_messages_that_come_again_are_counted_once(bridge):
    """Several in a row, answered before a break and after it, cost only themselves."""
    bridge.invalid = {3, 4, 5}
    bridge.break_at = [6]
    stats = train(bridge)

    assert stats.refused == 3
    assert stats.acknowledged == stats.messages - 3
    assert not {request.sequence for request in bridge.applied} & bridge.invalid


def test_a_command_that_nobody_here_knows_is_passed_over(bridge):
    """A newer bridge may send one; the stream stays, and the commands behind it are carried out."""
    bridge.commands = [
        wire.ControlCommand(type=99, command_id="a"),
        wire.ControlCommand(type=CommandType.STOP_TRAINING, command_id="b"),
    ]
    with TrainingSession(bridge.address, close_seconds=CLOSE_SECONDS) as session:
        session.log_batch(0.5, epoch=0, batch=0)
        until_true(lambda: session.should_stop, what="the command to stop reaches the loop")

    assert session.stats.connections == 1
    assert [(result.command_id, result.applied) for result in bridge.of("command_result")] == [
        ("b", True)
    ]


def test_a_command_that_is_repeated_on_the_next_stream_is_carried_out_once(bridge):
    """A bridge sends again what may have been lost with a stream, and gets the same answer again."""
    command = wire.ControlCommand(type=CommandType.SAVE_CHECKPOINT, command_id="a")
    saved = []
    with TrainingSession(bridge.address, close_seconds=CLOSE_SECONDS) as session:
        session.on(CommandType.SAVE_CHECKPOINT, lambda _: saved.append(1))

        def log_two_batches() -> None:
            """The command comes with the answer to the first and is carried out at the second."""
            for batch in range(2):
                session.log_batch(0.5, epoch=0, batch=batch)
                assert session.flush(CLOSE_SECONDS) == 0

        bridge.commands = [command]
        log_two_batches()
        bridge.break_at = [session.stats.messages + 1]
        log_two_batches()
        bridge.commands = [command]
        log_two_batches()

    assert session.stats.connections == 2
    assert bridge.commands == []
    assert len(saved) == 1
    first, second = bridge.of("command_result")
    assert (first.command_id, first.applied) == ("a", True)
    assert second == first


class Breaking(FakeBridge):
    """Breaks the stream at the first answer to a command, and sends it again on the next one."""

    def _answers(self, request, context):
        if request.HasField("command_result") and self.given:
            self.commands, self.given = self.given, []
            context.abort(grpc.StatusCode.UNAVAILABLE, "broken on purpose")
        yield from super()._answers(request, context)


def test_an_answer_that_was_lost_with_a_stream_is_given_once():
    """It is on its way again when the command is repeated; a second one would be one too many."""
    with serving(Breaking()) as bridge:
        with TrainingSession(bridge.address, close_seconds=CLOSE_SECONDS) as session:
            bridge.given = [wire.ControlCommand(type=CommandType.STOP_TRAINING, command_id="a")]
            bridge.commands = list(bridge.given)
            session.log_batch(0.5, epoch=0, batch=0)
            until_true(lambda: session.should_stop, what="the command to stop reaches the loop")
            until_true(lambda: bridge.of("command_result"), what="the answer is sent again")
            session.log_batch(0.5, epoch=0, batch=1)
            assert session.flush(CLOSE_SECONDS) == 0

        assert session.stats.connections == 2
        assert bridge.commands == []
        assert [result.command_id for result in bridge.of("command_result")] == ["a"]


class Misrouted(FakeBridge):
    """Registers a session, and knows nothing of it on its streams, as another bridge behind a proxy."""

    rewinds = False
    """Asks for what was acknowledged already, as a bridge with an older state."""

    def RegisterTrainingSession(self, request, context):  # noqa: N802 -- the protocol's name
        response = super().RegisterTrainingSession(request, context)
        response.resume_sequence = 1 if self.rewinds else 0
        return response

    def _answers(self, request, context):
        code = (
            wire.ErrorResponse.BUFFER_FULL if self.rewinds else wire.ErrorResponse.INVALID_SESSION
        )
        error = wire.ErrorResponse(code=code, message="on purpose", sequence=1)
        yield wire.MetricsResponse(error=error)


@pytest.mark.parametrize("rewinds", [False, True])
def test_a_stream_that_never_works_is_not_opened_over_and_over(rewinds, caplog, monkeypatch):
    """The pauses grow until something is acknowledged, and the log says what the proxy has to do."""
    pauses = []

    def record(failures, **_):
        pauses.append(failures)
        return 0.0

    monkeypatch.setattr("bridge.client.delivery.connection.backoff_seconds", record)
    bridge = Misrouted()
    bridge.rewinds = rewinds
    with serving(bridge), caplog.at_level("WARNING", "trainbridge"):
        session = TrainingSession(bridge.address)
        session.log_batch(0.5, epoch=0, batch=0)
        until_true(lambda: len(pauses) >= 5)
        session.close(0)

    assert pauses[:5] == [1, 2, 3, 4, 5]
    (advice,) = (
        r.getMessage() for r in caplog.records if "proxy or load balancer" in r.getMessage()
    )
    assert "with the same trainbridge-session header to the same bridge" in advice


def test_a_stream_that_works_starts_the_pauses_anew(bridge, monkeypatch):
    """Each of these breaks comes after something was acknowledged."""
    pauses = []

    def record(failures, **_):
        pauses.append(failures)
        return 0.0

    monkeypatch.setattr("bridge.client.delivery.connection.backoff_seconds", record)
    bridge.break_at = [5, 9, 13]

    train(bridge)

    assert pauses == [0, 0, 0]


def test_a_name_that_no_header_can_carry_costs_the_header_alone():
    """An original bridge may call a session what it likes."""

    class Odd(FakeBridge):
        def RegisterTrainingSession(self, request, context):  # noqa: N802 -- the protocol's name
            response = super().RegisterTrainingSession(request, context)
            response.session_id = "é\n"
            return response

    with serving(Odd()) as bridge:
        assert train(bridge).unacknowledged == 0

    assert "trainbridge-session" not in bridge.metadata[-1]
