"""Sequences against a model that is simple enough to be seen to be right: one mark, that rises by one."""

import asyncio
from collections import deque

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from bridge.admission import Caller
from bridge.commands import Commands
from bridge.errors import InvalidDataError
from bridge.model import Batch, Client, Config, Heartbeat, Update
from bridge.pipeline import RETRY_AFTER_MS, Pipeline
from bridge.receiver.dependencies import StreamDependencies
from bridge.receiver.stream import Stream
from bridge.session_snapshot import session_from, snapshot_of
from bridge.sessions import Sessions
from bridge.stream_proof import hash_of
from bridge.telemetry import Telemetry
from bridge.wire import metrics_pb2 as wire

PAUSE = RETRY_AFTER_MS / 1000


class Disk:
    """A committer that writes when the test says so, in two steps, as a real one does."""

    def __init__(self, world):
        self.is_full = False
        self._world = world
        self._ticket = 1
        self._waiters = {}
        self._group = None

    def add_waiter(self, listener, size_bytes, *, is_urgent):
        self._waiters[listener] = None
        return self._ticket

    def request_commit(self):
        pass

    def begin(self):
        """Take a group: what has been applied by now, and who waits for it."""
        if self._group is None:
            session = self._world.session
            state = (snapshot_of(session), session.accepted, len(self._world.applied))
            self._group = (self._ticket, state, self._waiters)
            self._ticket += 1
            self._waiters = {}

    def finish(self):
        """Have the group on disk, and tell."""
        if self._group is None:
            return
        (ticket, state, listeners), self._group = self._group, None
        self._world.on_disk = state
        self._world.session.committed = state[1]
        for listener in listeners:
            listener.on_committed(ticket)

    def turn(self, step):
        """Do what a step says."""
        if step in ("full", "room"):
            self.is_full = step == "full"
        else:
            getattr(self, step)()


class World:
    """A bridge with one session and one client, which can be killed."""

    def __init__(self, loop):
        self.loop = loop
        self.now = 1_000.0
        self.applied = []
        self.on_disk = None
        self.start()
        self.register()
        for step in ("begin", "finish"):
            self.disk.turn(step)

    def start(self):
        """Start with what is on disk, and nothing else."""
        self.disk = Disk(self)
        self.sessions = Sessions(clock=lambda: self.now)
        commands, telemetry = Commands(), Telemetry()
        self.pipeline = Pipeline(
            sessions=self.sessions,
            commands=commands,
            sinks=[self],
            committer=self.disk,
            telemetry=telemetry,
            clock=lambda: self.now,
        )
        self.deps = StreamDependencies(
            self.pipeline, self.sessions, commands, telemetry, lambda _: (0, 0)
        )
        if self.on_disk is not None:
            state, mark, applied = self.on_disk
            del self.applied[applied:]
            session = session_from(state)
            session.accepted = session.committed = mark
            self.pipeline.restore(session)

    def register(self):
        """Register the client, and return the sequence to resume from."""
        registration = self.pipeline.register("run", Client(instance_id="i"), Config())
        self.caller = Caller(token_hash=hash_of(registration.token))
        return registration.session.committed

    def consume(self, session, event, received):
        """Be a sink: note what is applied."""
        if type(event) is Batch:
            self.applied.append(event.index)

    def settle(self):
        """Let every stream write what it owes."""
        for _ in range(4):
            self.loop.run_until_complete(asyncio.sleep(0))

    @property
    def session(self):
        """The session as the bridge knows it."""
        return self.sessions.find("run")

    @property
    def safe(self):
        """What a kill would leave."""
        return self.applied[: self.on_disk[2]]


class Line:
    """One stream: what is on its way to the bridge, and what has come back."""

    def __init__(self, world):
        self.under_way = deque()
        self.acknowledged = 0
        self.asked_for = None
        """What the bridge wants to have next, where it has not taken a message."""
        self.is_fresh = True
        """Nothing numbered has been sent."""
        self._world = world
        self._stream = Stream(world.deps, world.caller)
        self._task = world.loop.create_task(self._stream.write_to(self._read))

    def take(self, sequence):
        """Have a message arrive, a heartbeat for 0; tell whether it was accepted."""
        message = Batch(0, sequence, 0.5) if sequence else Heartbeat()
        self.asked_for = None
        self.is_fresh = self.is_fresh and not sequence
        self._stream.receive([Update("run", message, sequence)], 1)
        self._world.settle()
        return self.asked_for is None

    def take_noise(self):
        """Have a message arrive that cannot be read."""
        self.asked_for = None
        self.is_fresh = False
        self._stream.receive([InvalidDataError("noise", is_unreadable=True)], 1)
        self._world.settle()

    def end(self):
        """Break off."""
        self._stream.close()
        self._task.cancel()

    async def _read(self, response):
        self.acknowledged = max(self.acknowledged, response.ack.sequence)
        if response.error.code == wire.ErrorResponse.BUFFER_FULL:
            assert 0 < response.error.retry_after_ms <= RETRY_AFTER_MS
            self.asked_for = response.error.sequence


class Trainer:
    """A client that behaves as the SDK does: in order, again from what was refused, after a pause."""

    def __init__(self, world):
        self.said = 0
        self._world = world
        self._line = Line(world)
        self._old = Line(world)
        self._next = 1
        self._held_until = 0.0

    def say(self, count):
        """Have more to tell."""
        self.said += count

    def send(self, count):
        """Put so many messages on the way, unless they have to wait."""
        if self._world.now >= self._held_until:
            first, self._next = self._next, min(self.said + 1, self._next + count)
            self._line.under_way.extend(range(first, self._next))

    def arrive(self, count):
        """Have so many messages arrive; of what is refused, the trainer hears at once."""
        waiting = self._line.under_way
        for _ in range(min(count, len(waiting))):
            self._line.take(waiting.popleft())
            self._obey()
        assert self._line.acknowledged <= len(self._world.safe)

    def garble(self, count):
        """Have so many messages arrive of which nothing can be read."""
        waiting = self._line.under_way
        for _ in range(min(count, len(waiting))):
            waiting.popleft()
            self._line.take_noise()
            self._obey()

    def _obey(self):
        """Send again from where the bridge says, after a pause."""
        asked_for = self._line.asked_for
        if asked_for is not None and asked_for < self._next:
            self._next = asked_for
            self._held_until = self._world.now + PAUSE

    def arrive_late(self, count):
        """Have messages arrive on the stream before, which the bridge does not know to be dead."""
        waiting = self._old.under_way
        for _ in range(min(count, len(waiting))):
            self._old.take(waiting.popleft())

    def reconnect(self, _=None):
        """Register, and open a new stream."""
        self._old.end()
        self._next = self._world.register() + 1
        self._old, self._line = self._line, Line(self._world)
        assert self._next > self._old.acknowledged
        self._held_until = 0.0

    def restart(self, _=None):
        """Have the bridge killed and started, and come back."""
        for line in (self._old, self._line):
            line.end()
            line.under_way.clear()
        self._world.start()
        self.reconnect()

    def wait(self, seconds):
        """Let time pass."""
        self._world.now += seconds

    def deliver(self):
        """Deliver all that is left and a last word, to a bridge with nothing in its way."""
        self.said += 1
        self._world.disk.is_full = False
        for _ in range(5):
            self.wait(PAUSE)
            self.arrive(self.said)
            self.send(self.said)
        for step in ("begin", "finish") * 2:
            self._world.disk.turn(step)

    def leave(self):
        """Break off for good."""
        self._old.end()
        self._line.end()


@pytest.fixture(scope="module")
def loop():
    """Return an event loop that runs on demand."""
    with asyncio.Runner() as runner:
        yield runner.get_loop()


DISK = ("begin", "finish", "full", "room")
WILD = st.one_of(
    st.integers(-4, 4),  # above the mark: old, repeated, the next one, gaps
    st.sampled_from(["heartbeat", "noise", "reconnect", "restart", *DISK]),
)


@settings(max_examples=200)
@given(steps=st.lists(WILD, max_size=50))
def test_whatever_arrives_is_applied_in_its_turn(loop, steps):
    """Only what comes next is applied, once; what is refused leaves no trace; marks never fall.

    Only the first message of a stream may come from further on: its client has nothing before it. And an Ack never covers more than a kill at that moment would leave.
    """
    world = World(loop)
    line, committed = Line(world), 0
    for step in steps:
        before = list(world.applied)
        if isinstance(step, int):
            mark = world.session.accepted
            sequence = max(1, mark + step)
            is_in_order = sequence <= mark + 1 or line.is_fresh
            is_wanted = not world.session.has_skipped(sequence)
            accepted = line.take(sequence)
            assert accepted == (is_in_order and not (world.disk.is_full and is_wanted))
            assert world.applied == before + [sequence] * (accepted and sequence > mark)
        elif step == "noise":
            line.take_noise()
            assert world.applied == before
        elif step == "heartbeat":
            assert line.take(0)
        elif step in DISK:
            world.disk.turn(step)
            world.settle()
        else:
            line.end()
            if step == "restart":
                world.start()
            assert world.register() == world.on_disk[1] >= max([line.acknowledged, *world.safe])
            line = Line(world)

        assert world.applied == sorted(set(world.applied))
        assert line.acknowledged <= world.on_disk[1]
        assert world.session.committed >= committed
        committed = world.session.committed
    line.end()
    world.settle()


RUN = st.one_of(
    st.tuples(
        st.sampled_from(["say", "send", "arrive", "arrive_late", "garble"]), st.integers(1, 6)
    ),
    st.tuples(st.just("wait"), st.sampled_from([PAUSE / 2, PAUSE])),
    st.tuples(st.sampled_from(["reconnect", "restart", *DISK]), st.none()),
)
REFUSED = [("say", 2), ("send", 2), ("full", None), ("arrive", 1), ("room", None)]


@settings(max_examples=200)
@given(steps=st.lists(RUN, max_size=60))
@example(steps=[*REFUSED, ("wait", PAUSE), ("arrive", 1)])
@example(steps=[*REFUSED, ("reconnect", None), ("arrive_late", 1)])
@example(steps=[("say", 3), ("send", 3), ("garble", 1), ("arrive", 2)])
@example(steps=[("say", 3), ("send", 3), ("arrive", 2), ("garble", 1)])
def test_a_run_arrives_whole_in_order_and_once(loop, steps):
    """However often the bridge is full, killed, out of reach or reads nothing but noise: nothing is missing.

    And nothing overtakes. (What is garbled again and again is refused in the end: see test_acks.py.)
    """
    world = World(loop)
    trainer = Trainer(world)
    for step, value in steps:
        if step in DISK:
            world.disk.turn(step)
        else:
            getattr(trainer, step)(value)
        assert world.applied == list(range(1, len(world.applied) + 1))
    trainer.deliver()
    trainer.leave()
    world.settle()

    assert world.safe == list(range(1, trainer.said + 1))
    assert world.register() == trainer.said
