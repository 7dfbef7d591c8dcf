"""No life is measured by a clock that somebody can set: leases, silence, loss and linger are what has passed."""

from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.errors import ForeignSessionError
from bridge.lifecycle import Absent, Connected, Disconnected, Ended, Expired
from bridge.model import Client, Config, Stage
from bridge.session_snapshot import session_from, snapshot_of
from bridge.sessions import Sessions
from bridge.storage.packed import packed, unpacked

HEARTBEAT, LEASE, LINGER, LOST = 10, 30, 120, 600
HOUR = 3_600.0
STEPS = st.sampled_from(
    [-50 * 365 * 24 * HOUR, -24 * HOUR, -2 * HOUR, -7, -1, 1, 7, 2 * HOUR, 24 * HOUR]
)


@dataclass
class World:
    """A bridge whose wall clock anybody may set, and whose monotonic one starts anew with each start."""

    wall: float = 1_800_000_000.0
    steady: float = 0.0
    gone: list = field(default_factory=list)
    """What was due: session id and kind of event."""

    def __post_init__(self):
        self.start(())

    def start(self, states):
        """Begin a new life with the sessions of the one before."""
        self.steady = 3.0
        self.sessions = Sessions(
            heartbeat_seconds=HEARTBEAT,
            linger_seconds=LINGER,
            lost_seconds=LOST,
            clock=lambda: self.wall,
            monotonic=lambda: self.steady,
        )
        for state in states:
            self.sessions.restore(session_from(unpacked(packed(state))))
        self.tidy()

    def restart(self):
        """Stop and start, as a bridge with a state folder does."""
        self.start([snapshot_of(session) for session in self.sessions])

    def tidy(self):
        """Do what is due."""
        for session, event in self.sessions.due():
            self.gone.append((session.id, type(event)))
            session.apply(event, self.wall)
            if isinstance(event, Expired):
                self.sessions.expire(session)

    def passes(self, seconds):
        """Let real time pass, second by second."""
        for _ in range(seconds):
            self.wall += 1
            self.steady += 1
            self.tidy()

    def register(self, name, instance="a"):
        """Register a session."""
        return self.sessions.register(name, Client("c", "1", instance), Config()).session

    def speaks(self, name):
        """Have the client of a session say something, which connects it."""
        session = self.sessions.get(name)
        self.sessions.touch(session, self.wall)
        if not session.connected:
            session.apply(Connected(), self.wall)

    def ends(self, name):
        """Have a session say that it is over."""
        self.speaks(name)
        self.sessions.get(name).apply(Ended(Stage.ENDED), self.wall)


ACTIONS = st.lists(
    st.one_of(
        st.tuples(st.just("pass"), st.integers(1, LEASE - 2)),
        st.tuples(st.just("set"), STEPS),
        st.tuples(st.just("restart"), st.one_of(st.just(0), STEPS)),
    ),
    max_size=25,
)


@given(ACTIONS)
@settings(max_examples=200)
def test_a_session_that_streams_is_never_lost(actions):
    """However clocks are set, while it runs, between restarts and during one: nobody has been silent."""
    world = World()
    world.register("run")
    for action, amount in actions:
        world.speaks("run")
        if action == "pass":
            world.passes(amount)
        elif action == "set":
            world.wall += amount
            world.tidy()
        else:
            world.wall += amount
            world.restart()
        with pytest.raises(ForeignSessionError):
            world.register("run", "b")

    assert world.gone == []


@given(
    st.lists(
        st.one_of(st.tuples(st.just("pass"), st.integers(1, 40)), st.tuples(st.just("set"), STEPS)),
        max_size=20,
    )
)
@settings(max_examples=200)
def test_an_ended_session_lingers_its_time(actions):
    """What has passed since its end decides, to the second, whatever the clock said then and says now."""
    world = World()
    world.register("run")
    world.ends("run")
    passed = 0
    for action, amount in actions:
        if action == "set":
            world.wall += amount
            world.tidy()
        else:
            world.passes(amount)
            passed += amount
        assert (world.sessions.find("run") is None) == (passed >= LINGER)


@given(st.integers(0, LINGER - 1), STEPS)
def test_an_ended_session_lingers_on_after_a_restart(before, step):
    """For the rest of its time by the wall clock, for a lease at least, and never for longer than the whole."""
    world = World()
    world.register("run")
    world.ends("run")
    world.passes(before)
    world.wall += step
    world.restart()

    world.passes(LEASE - 1)
    assert world.sessions.find("run") is not None
    world.passes(LINGER - LEASE + 1)
    assert world.sessions.find("run") is None


@pytest.mark.parametrize("step", [0, 7, -7])
def test_a_restart_does_not_begin_the_linger_anew(step):
    """Where the clock was not set, or by seconds only, what has passed before the restart counts."""
    world = World()
    world.register("run")
    world.ends("run")
    world.passes(60)
    world.wall += step
    world.restart()

    world.passes(LINGER - 60 - 8)
    assert world.sessions.find("run") is not None
    world.passes(16)
    assert world.sessions.find("run") is None


@pytest.mark.parametrize("step", [0, 2 * HOUR, -2 * HOUR, -50 * 365 * 24 * HOUR])
def test_silence_is_what_has_passed(step):
    """A clock that is set neither hides a silence nor makes one longer."""
    world = World()
    world.register("run")
    world.speaks("run")
    world.passes(10)
    world.wall += step
    world.passes(LEASE - 11)
    assert world.gone == []
    world.passes(1)
    assert world.gone == [("run", Disconnected), ("run", Absent)]
    world.passes(LOST - LEASE - 1)
    assert world.gone == [("run", Disconnected), ("run", Absent)]
    world.passes(1)
    assert world.gone[2:] == [("run", Ended)]
    world.passes(LINGER)
    assert world.gone[3:] == [("run", Expired)]


def test_a_session_that_ends_in_1970_has_ended():
    """A machine without a clock of its own starts at 0, which is not a reason to live indefinitely."""
    world = World(wall=0.0)
    world.register("run")
    world.ends("run")

    assert world.sessions.get("run").ended_at > 0
