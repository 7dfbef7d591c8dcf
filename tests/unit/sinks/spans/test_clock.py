"""Spans are as long as things took, however somebody sets the clock meanwhile."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.spans import START, World, averages, batch

from bridge.lifecycle import Connected, Disconnected, Ended
from bridge.model import Stage, Status, StatusChange
from bridge.sinks.spans.clock import ClockSteps

HOUR = 3_600.0


class Clocks:
    """A wall clock that anybody may set, and a monotonic one."""

    def __init__(self):
        self.wall, self.steady = START, 77.0

    def passes(self, seconds):
        self.wall += seconds
        self.steady += seconds


@pytest.fixture
def clocks():
    """Return both clocks."""
    return Clocks()


@pytest.fixture
def world(tmp_path, clocks):
    """Return a bridge with these clocks."""
    world = World(tmp_path, monotonic=lambda: clocks.steady)
    yield world
    world.close()


@pytest.mark.parametrize(
    "steps", [(2 * HOUR,), (-2 * HOUR,), (HOUR, -3 * HOUR), (-50 * 365 * 24 * HOUR,)]
)
def test_a_span_is_as_long_as_it_took(world, clocks, steps):
    """Of an epoch and of the whole session, with everything in them in its place; they end by the clock as it is."""
    session = world.register()
    world.happen(session, Connected(), at=clocks.wall)
    clocks.passes(10)
    world.happen(session, batch(1, 0, loss=9.0), Disconnected(), Connected(), at=clocks.wall)
    for step in steps:
        clocks.passes(20)
        clocks.wall += step
        world.happen(session, batch(1, 1), at=clocks.wall)
    clocks.passes(5)
    world.happen(session, averages(1), at=clocks.wall)
    ended_epoch = clocks.wall
    clocks.passes(30)
    world.happen(session, StatusChange(Status.COMPLETED), Ended(Stage.ENDED), at=clocks.wall)

    [epoch] = world.named("training.epoch")
    [end] = world.named("training.session.end")
    took = 20 * len(steps) + 5
    assert epoch.end == ended_epoch
    assert epoch.end - epoch.start == pytest.approx(took)
    for event in epoch.events:
        assert epoch.end - event.at == pytest.approx(took), event.name
    assert end.end == clocks.wall
    assert end.end - end.start == pytest.approx(10 + took + 30)


@pytest.mark.parametrize("step", [2 * HOUR, -2 * HOUR])
def test_a_lost_session_ends_when_it_was_heard_of_last(world, clocks, step):
    """Neither the silence nor the step is in its span."""
    session = world.register()
    clocks.passes(10)
    world.happen(session, batch(1, 0), at=clocks.wall)
    clocks.passes(600)
    clocks.wall += step
    world.sink.consume(session, Ended(Stage.LOST), clocks.wall)

    [end] = world.named("training.session.end")
    silent = clocks.wall - end.end
    assert 0 <= silent <= 600
    assert 10 <= end.end - end.start <= 610


@given(st.lists(st.tuples(st.floats(0, 100), st.floats(-1e9, 1e9)), max_size=30))
def test_each_step_is_returned_once(moves):
    """All steps together are what the clock was set by, less what is too little to tell."""
    clocks = Clocks()
    steps = ClockSteps(lambda: clocks.steady)
    steps.step(clocks.wall)
    returned = 0.0
    for seconds, step in moves:
        clocks.passes(seconds)
        clocks.wall += step
        returned += steps.step(clocks.wall)
        assert steps.step(clocks.wall) == 0

    total = (clocks.wall - START) - (clocks.steady - 77.0)
    assert returned == pytest.approx(total, abs=1.001)
