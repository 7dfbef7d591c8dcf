"""An Ack covers what was applied, whatever else comes on the streams of a session."""

import asyncio
import time

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from bridge.admission import Caller
from bridge.commands import Commands
from bridge.lifecycle import Ended
from bridge.model import Batch, Client, Config, Stage
from bridge.pipeline import Pipeline
from bridge.receiver.decode import decode_frame
from bridge.receiver.dependencies import StreamDependencies
from bridge.receiver.failures import ATTEMPTS
from bridge.receiver.message_limits import MessageLimits
from bridge.receiver.stream import Stream
from bridge.sessions import Sessions
from bridge.stream_proof import hash_of
from bridge.telemetry import Telemetry
from bridge.wire import metrics_pb2 as wire

LIMITS = MessageLimits(requests_per_frame=6)
NOISE = b"\x0a\x02\xff\xfe"
BROKEN = b"\x0a\x7f\x00"


class Disk:
    """A committer that is full, and commits, on demand."""

    def __init__(self):
        self.is_full = False
        self._ticket = 1
        self._listeners = {}

    def add_waiter(self, listener, size_bytes, *, is_urgent):
        self._listeners[listener] = None
        return self._ticket

    def request_commit(self):
        pass

    def commit(self):
        listeners, self._listeners = self._listeners, {}
        for listener in listeners:
            listener.on_committed(self._ticket)
        self._ticket += 1


class FaultyPipeline(Pipeline):
    """A pipeline that fails on demand, before it has done anything."""

    fails = 0

    def accept(self, update, holder, listener):
        if self.fails:
            self.fails -= 1
            raise RuntimeError("a fault of ours")
        return super().accept(update, holder, listener)


class World:
    """A bridge, the one client of its one session, and the book of what became of each message."""

    def __init__(self, loop):
        self.loop = loop
        self.disk = Disk()
        self.applied = []
        self.refused = set()
        """Sequences that INVALID_DATA has named."""
        self.given_up = []
        """Ranges of sequences that the client has begun a stream behind."""
        self.acknowledged = 0
        self.asked_for = 0
        self.answers = []
        self.next = 1
        self.sessions = Sessions(clock=lambda: 1_000.0)
        commands, telemetry = Commands(), Telemetry()
        self.pipeline = FaultyPipeline(
            sessions=self.sessions,
            commands=commands,
            sinks=[self],
            committer=self.disk,
            telemetry=telemetry,
            clock=lambda: 1_000.0,
        )
        self._deps = StreamDependencies(
            self.pipeline, self.sessions, commands, telemetry, lambda _: (0, 0)
        )
        self._stream = None
        self.connect()

    def consume(self, session, event, received):
        """Be a sink."""
        if type(event) is Batch:
            self.applied.append(event.index)

    def connect(self):
        """Register, and open a stream on which nothing has been sent."""
        self.close()
        registration = self.pipeline.register("run", Client(instance_id="i"), Config())
        caller = Caller(token_hash=hash_of(registration.token))
        self._stream = Stream(self._deps, caller)
        self._task = self.loop.create_task(self._stream.write_to(self._read))
        self._is_fresh = True

    def close(self):
        """End the stream."""
        if self._stream is not None:
            self._stream.close()
            self._task.cancel()

    def send(self, *parts):
        """Send one frame, and hear what is said to it."""
        if self._is_fresh and parts and (sequence := _sequence_of(parts[0])):
            self.given_up.append(range(self.session.accepted + 1, sequence))
        self._is_fresh = self._is_fresh and all(part is BEAT for part in parts)
        frame = b"".join(part if part == BROKEN else _enveloped(part) for part in parts)
        self._stream.receive(decode_frame(frame, LIMITS), len(frame))
        self.settle()

    def settle(self):
        """Let the stream write what it owes."""
        for _ in range(4):
            self.loop.run_until_complete(asyncio.sleep(0))

    def commit(self):
        """Have everything on disk."""
        self.disk.commit()
        self.settle()

    @property
    def session(self):
        """The session as the bridge knows it."""
        return self.sessions.find("run")

    async def _read(self, response):
        self.answers.append(response)
        if response.HasField("ack"):
            self.acknowledged = max(self.acknowledged, response.ack.sequence)
        elif response.error.code == wire.ErrorResponse.INVALID_DATA:
            self.refused.add(response.error.sequence)
            self.asked_for = 0
        elif response.error.sequence:
            assert response.error.retryable
            self.asked_for = response.error.sequence

    def check(self):
        """Hold the book against the Acks."""
        assert len(self.applied) == len(set(self.applied)), "applied twice"
        dealt_with = set(self.applied) | self.refused
        covered = range(1, min(self.acknowledged, 1_000) + 1)
        missing = [
            n for n in set(covered) - dealt_with if not any(n in gap for gap in self.given_up)
        ]
        assert not missing, f"acknowledged, neither applied nor refused: {missing}"


def good(sequence):
    """Return a batch that is like its sequence."""
    data = wire.BatchData(epoch=1, batch_idx=sequence & 0xFFFFFFFF, batch_loss=0.5)
    return wire.MetricsRequest(session_id="run", sequence=sequence, batch_data=data)


def invalid(sequence):
    """Return a batch that breaks a rule."""
    data = wire.BatchData(epoch=1, images=[wire.ImageData(image_bytes=b"x")] * 17)
    return wire.MetricsRequest(session_id="run", sequence=sequence, batch_data=data)


def noise(_sequence):
    """Return what cannot be read."""
    return NOISE


def _enveloped(part):
    body = part if isinstance(part, bytes) else part.SerializeToString()
    return b"\x0a" + _varint(len(body)) + body


def _varint(value):
    return bytes([value]) if value < 128 else bytes([value & 127 | 128]) + _varint(value >> 7)


def _sequence_of(part):
    return 0 if isinstance(part, bytes) else part.sequence


@pytest.fixture(scope="module")
def loop():
    """Return an event loop that runs on demand."""
    with asyncio.Runner() as runner:
        yield runner.get_loop()


@pytest.fixture
def world(loop):
    """Return a bridge with one client."""
    world = World(loop)
    yield world
    world.close()
    world.settle()


KINDS = {"good": good, "invalid": invalid, "noise": noise}
BEAT = wire.MetricsRequest(session_id="run", heartbeat=wire.Heartbeat(sequence_number=1))


def send_frame(world, kinds):
    """Send the next messages, each of a kind."""
    world.send(*(KINDS[kind](world.next + at) for at, kind in enumerate(kinds)))
    world.next += len(kinds)


def move(world, by):
    """Go back, or leave some out."""
    world.next = max(1, world.next + by)


def obey(world, _):
    """Go on with what the bridge has asked for."""
    if 0 < world.asked_for < 1_000:
        world.next = world.asked_for


STEPS = {
    "frame": send_frame,
    "move": move,
    "far": lambda world, sequence: world.send(good(sequence)),
    "fail": lambda world, times: setattr(world.pipeline, "fails", times),
    "break": lambda world, _: world.send(BROKEN),
    "beat": lambda world, _: world.send(BEAT),
    "obey": obey,
    "connect": lambda world, _: world.connect(),
    "commit": lambda world, _: world.commit(),
    "full": lambda world, _: setattr(world.disk, "is_full", True),
    "room": lambda world, _: setattr(world.disk, "is_full", False),
}
STEP = st.one_of(
    st.tuples(st.just("frame"), st.lists(st.sampled_from([*KINDS, "good", "good"]), max_size=9)),
    st.tuples(st.just("move"), st.integers(-4, 4)),
    st.tuples(st.just("far"), st.sampled_from([100, (1 << 63) - 2, 1 << 63, (1 << 64) - 1])),
    st.tuples(st.just("fail"), st.integers(1, 3)),
    st.tuples(
        st.sampled_from(["break", "obey", "connect", "commit", "full", "room", "beat"]), st.none()
    ),
)


@settings(max_examples=400, deadline=None)
@given(steps=st.lists(STEP, max_size=40))
@example(steps=[("frame", ["good"] * 9), ("move", 0), ("frame", ["good"]), ("commit", None)])
@example(steps=[("frame", ["good", "noise", "good"]), ("frame", ["good"]), ("commit", None)])
@example(steps=[("fail", 1), ("frame", ["good"] * 3), ("commit", None)])
@example(steps=[("beat", None), ("far", 100), ("commit", None)])
@example(steps=[("far", (1 << 64) - 1), ("connect", None), ("frame", ["good"]), ("commit", None)])
def test_an_ack_covers_what_was_applied_or_refused_by_its_number(loop, steps):
    """Good, invalid, unreadable, repeated and jumping messages, frames over the limit, in any mixture.

    At every Ack of n: each message up to n was applied exactly once, or an error has named it, or its
    client has begun a new stream behind it.
    """
    world = World(loop)
    for step, value in steps:
        STEPS[step](world, value)
        world.check()
    world.close()
    world.settle()


@pytest.mark.parametrize("count", [7, 20, 100])
def test_a_frame_over_the_limit_is_taken_in_parts(world, count):
    """What is above the limit is asked for by its sequence, and nothing is lost on the way."""
    while world.next <= count:
        world.send(*map(good, range(world.next, count + 1)))
        world.next = world.asked_for if world.asked_for > world.next else count + 1
        world.check()
    world.commit()

    assert world.applied == list(range(1, count + 1))
    assert world.acknowledged == count


def test_what_cannot_be_read_comes_again(world):
    """The Acks wait for it, the client is asked for it, and then everything arrives."""
    world.send(good(1), noise(2), good(3))
    world.send(good(4))
    world.commit()
    assert (world.acknowledged, world.asked_for) == (1, 2)

    world.send(good(2), good(3), good(4))
    world.commit()

    assert world.applied == [1, 2, 3, 4]
    assert world.acknowledged == 4


def test_a_last_message_that_cannot_be_read_is_asked_for(world):
    """Nothing that comes after it would show that it is missing."""
    world.send(good(1))
    world.send(noise(2))

    assert world.asked_for == 2


def test_what_can_never_be_read_is_refused_by_its_number(world):
    """A message that is damaged each time it comes does not hold up the others for good."""
    for _ in range(ATTEMPTS):
        world.send(good(1), noise(2), good(3))
    assert world.refused >= {2}
    world.send(good(3))
    world.commit()

    assert world.applied == [1, 3]
    assert world.acknowledged == 3


@settings(max_examples=150, deadline=None)
@given(
    window=st.integers(1, 4),
    one_a_frame=st.booleans(),
    kinds=st.lists(st.sampled_from(["good", "good", "noise"]), max_size=8),
    begins_with=st.sampled_from(["good", "invalid"]),
)
@example(window=1, one_a_frame=True, kinds=["noise"], begins_with="good")
@example(window=2, one_a_frame=False, kinds=["noise", "noise"], begins_with="good")
def test_no_client_waits_without_end(loop, window, one_a_frame, kinds, begins_with):
    """A client of any window, which sends no more before an answer, is through after few attempts.

    Each of its messages has been applied, or has been refused by its number since it cannot be read,
    also where it is the last one, or comes alone, or comes among others of its kind.
    """
    world = World(loop)
    kinds = [begins_with, *kinds]
    for _ in range((ATTEMPTS + 1) * len(kinds)):
        first = world.session.committed + 1
        frame = [
            KINDS[kinds[n - 1]](n) for n in range(first, min(len(kinds), first + window - 1) + 1)
        ]
        for parts in [[part] for part in frame] if one_a_frame else [frame]:
            world.send(*parts)
        world.commit()
        world.session.committed = world.acknowledged
    world.close()
    world.settle()

    numbers = range(1, len(kinds) + 1)
    assert world.acknowledged == len(kinds)
    assert world.applied == [n for n in numbers if kinds[n - 1] == "good"]
    assert world.refused - {0} == {n for n in numbers if kinds[n - 1] != "good"}


def test_a_clock_before_1970_costs_no_answer(world, monkeypatch):
    """Times of the protocol have no sign; what the clock says cannot keep an Ack back."""
    monkeypatch.setattr(time, "time_ns", lambda: -(10**18))
    world.send(good(1))
    world.commit()

    assert (world.acknowledged, world.answers[-1].timestamp_ms) == (1, 0)


def test_a_message_that_could_be_read_is_not_refused_for_one_behind_it(world):
    """While the disk has no room for one message, what cannot be read behind it is another one."""
    world.send(good(1))
    world.disk.is_full = True
    for _ in range(2 * ATTEMPTS):
        world.send(good(2), noise(3))
        world.send(good(4))
    world.disk.is_full = False
    world.send(good(2))

    assert world.applied == [1, 2]
    assert 2 not in world.refused


@pytest.mark.parametrize("build", [good, invalid], ids=["good", "invalid"])
@pytest.mark.parametrize("is_known", [True, False], ids=["known", "unknown"])
def test_a_message_of_another_session_has_no_number_here(world, build, is_known):
    """What does not belong to a stream's session is refused, and under none of that session's numbers."""
    if is_known:
        world.pipeline.register("other", Client(instance_id="o"), Config())
    world.send(good(1))
    for session_id in ("other", ""):
        foreign = build(2)
        foreign.session_id = session_id
        world.send(foreign)
    errors = [answer.error for answer in world.answers if answer.HasField("error")]

    assert errors
    assert {error.sequence for error in errors} == {0}
    world.send(good(2))
    assert world.applied == [1, 2]


def test_a_stream_of_an_earlier_attempt_gives_up_no_message_of_the_next(world):
    """What cannot be read on it, however often, is not taken for what the new process sends."""
    world.send(good(1))
    session = world.session
    session.apply(Ended(Stage.ENDED), 1_000.0)
    world.pipeline.register("run", Client(instance_id="other"), Config())

    for _ in range(2 * ATTEMPTS):
        world.send(noise(2))

    assert world.session.attempt == 2
    assert world.session.accepted == 0
    assert world.refused == {0}


def test_what_meets_a_fault_of_ours_is_tried_again_and_then_refused(world):
    """INTERNAL_ERROR names the message and may be retried; one that always fails costs only itself."""
    world.pipeline.fails = 1
    world.send(good(1), good(2))
    assert (world.applied, world.asked_for) == ([], 1)
    world.send(good(1), good(2))
    assert world.applied == [1, 2]

    for _ in range(ATTEMPTS):
        world.pipeline.fails = 1
        world.send(good(3))
    world.send(good(4))
    world.commit()
    assert (world.applied, world.acknowledged) == ([1, 2, 4], 4)
    assert 3 in world.refused


def test_a_refused_message_is_covered_by_an_ack(world):
    """INVALID_DATA has named it, so its client knows; it need not be sent again and again."""
    world.send(good(1), invalid(2))
    world.commit()

    assert world.refused == {2}
    assert world.acknowledged == 2


def test_an_invalid_message_out_of_its_turn_is_not_refused_for_good(world):
    """What should have come before it is asked for first."""
    world.send(good(1), invalid(5))

    assert not world.refused
    assert world.asked_for == 2


def test_a_client_whose_bridge_has_lost_its_state_goes_on(world):
    """The first message of a stream may come from further on; the next ones may not."""
    world.send(good(5_000), good(5_001), good(6_000))
    world.commit()

    assert world.applied == [5_000, 5_001]
    assert (world.acknowledged, world.asked_for) == (5_001, 5_002)


def test_a_gap_is_answered_once_a_frame(world):
    """Thousands of messages behind a missing one do not make as many answers."""
    world.send(good(1))
    world.answers.clear()
    world.send(*map(good, range(3, 9)))

    (answer,) = world.answers
    assert (answer.error.code, answer.error.sequence) == (wire.ErrorResponse.BUFFER_FULL, 2)


def test_a_numbered_heartbeat_is_acknowledged_with_its_commit(world):
    """Not at once: the Ack covers its sequence, which is not on disk yet."""
    beat = wire.Heartbeat(sequence_number=1)
    world.send(good(1), wire.MetricsRequest(session_id="run", sequence=2, heartbeat=beat))
    assert world.answers == []

    world.commit()

    assert world.acknowledged == 2
