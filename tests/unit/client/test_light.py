"""Ranks that report lightly: what they measure, and nothing else."""

import sys
import timeit

import numpy as np
import pytest
from support.distributed import Distributed
from support.fake_bridge import FakeBridge, serving
from support.waiting import until_true

from bridge.client import TrainingSession
from bridge.client.light import REFUSAL, LightSteps
from bridge.client.ranks import KNOWN_LATE, NOT_NAMED
from bridge.client.testing import RecordingBridge
from bridge.wire import metrics_pb2 as wire


class Clock:
    """A clock that stands still until it is set."""

    seconds = 100.0

    def __call__(self):
        return self.seconds


class Untouchable:
    """Anything that is done with it fails."""

    def __getattribute__(self, name):
        raise AssertionError(f"{name} was read")

    def __float__(self):
        raise AssertionError("it was read as a number")


@pytest.fixture
def bridge():
    """Return a bridge that behaves."""
    with serving(FakeBridge()) as one:
        yield one


@pytest.fixture
def rank(monkeypatch):
    """Return a function that makes this process a rank, as torchrun does."""

    def become(number, **variables):
        for name, value in {"RANK": str(number), "WORLD_SIZE": "4", **variables}.items():
            monkeypatch.setenv(name, value)

    return become


def counted(*positions, seconds=0.5, steps=None):
    """Return steps that took as long each."""
    clock = Clock()
    steps = steps or LightSteps(clock=clock)
    for position in positions:
        steps.batch(0.5, position, None, None, None, None, None)
        clock.seconds += seconds
    return steps


def test_steps_are_counted_and_timed():
    """The first has no beginning, so it is counted and not timed."""
    steps = counted(*((0, index, None) for index in range(5)))

    assert (steps.batches, steps.timed, steps.busy_seconds) == (5, 4, 2.0)
    assert steps.batch_seconds == 0.5
    assert (steps.position, steps.step) == ((0, 4, None), None)


def test_what_lies_between_epochs_is_not_a_step():
    """Such as a validation, whether or not the loop reports the end of its epochs."""
    steps = counted((0, 0, None), (0, 1, None), (1, 0, None), (1, 1, None))
    assert (steps.batches, steps.timed) == (4, 2)

    steps.epoch(1, 0.5, None, None, None, None)
    assert counted((1, 2, None), steps=steps).timed == 2


def test_a_loop_without_epochs_counts_by_steps():
    """From where the run goes on, one by one, or as it says itself."""
    steps = LightSteps(700)
    counted((None, None, None), (None, None, None), steps=steps)
    assert steps.step == 701

    for step in (900, np.int64(900)):
        counted((None, None, step), (None, None, None), steps=steps)
        assert steps.step == 901
        steps.next_step = 0


def test_a_measurement_is_of_the_steps_since_the_last_one():
    """Where there was none since, it is what a step takes on average."""
    clock = Clock()
    steps = LightSteps(clock=clock)
    assert steps.measure() is None
    for seconds in (0.0, 1.0, 1.0, 3.0):
        clock.seconds += seconds
        steps.batch(0.5, (0, 0, None))
        if seconds == 1.0:
            assert steps.measure().batch_seconds == 1.0

    assert steps.measure().batch_seconds == 3.0
    assert steps.measure().batch_seconds == pytest.approx(5 / 3)


def test_nothing_that_is_given_is_touched():
    """A loss on a GPU is not read, images are not looked at, and no tensor is kept alive."""
    image, loss, step = Untouchable(), Untouchable(), Untouchable()
    steps = LightSteps()
    before = [sys.getrefcount(one) for one in (image, loss)]

    steps.batch(loss, (0, 1, step), None, image, image, image, None)
    steps.epoch(0, loss, loss, loss, loss, loss)
    steps.scalars({"loss": loss}, 0, 1, step, "")

    assert [sys.getrefcount(one) for one in (image, loss)] == before
    assert steps.batches == 1


def test_a_step_does_nothing_that_could_take_long():
    """It costs less than a microsecond, and not ten of them on a machine that is busy with other things."""
    steps = LightSteps()
    position = (0, 7, None)

    seconds = min(timeit.repeat(lambda: steps.batch(0.5, position), number=1_000, repeat=20))

    assert seconds / 1_000 < 10e-6


def train(bridge, batches=20, **options):
    """Train for a few steps, with everything that can be logged."""
    address = bridge if isinstance(bridge, RecordingBridge) else bridge.address
    with TrainingSession(address, session_id="night", ranks="light", **options) as session:
        data = iter(range(batches))
        for index in range(batches):
            with session.phase("data"):
                next(data)
            session.log_batch(0.5, epoch=0, batch=index, images=[bytes(8)], ground_truth=[1])
        session.log_scalars({"x": 1.0})
        session.log_epoch(0, loss=0.5)
    return session


def test_a_rank_reports_its_steps_and_phases_and_nothing_else(bridge, rank):
    """In a session of its own, whose registration says which rank of which run it is."""
    rank(3)

    session = train(bridge)

    (who,) = bridge.registrations
    assert (who.session_id, who.run_id, who.rank, who.world_size) == ("night-rank3", "night", 3, 4)
    assert session.session_id == "night-rank3"
    assert bridge.batches() == []
    assert not bridge.of("epoch_data")
    assert not bridge.of("scalar_data")
    said = [status.status for status in bridge.of("status_update") if status.status]
    assert said[0] == wire.INITIALIZING
    assert said[-1] == wire.COMPLETED
    last = bridge.of("performance_data")[-1]
    assert last.batch_count == 20
    assert not last.HasField("global_step")
    assert last.time_per_batch_ms > 0
    assert last.phase_seconds["data"] > 0
    assert (last.current_fps, last.total_time_for_epoch_sec) == (0, 0), "not reported"


def test_rank_0_reports_all_the_rest_under_the_name_of_the_run(bridge, rank):
    """As if it were the only one, so that the run is found where it has always been."""
    rank(0)

    train(bridge)

    (who,) = bridge.registrations
    assert (who.session_id, who.run_id, who.rank) == ("night", "night", 0)
    assert len(bridge.batches()) == 20
    assert bridge.of("epoch_data")
    assert not any(each.HasField("batch_count") for each in bridge.of("performance_data"))


def test_steps_of_the_run_are_reported_where_the_loop_counts_them(bridge, rank):
    """Beside the number of steps of this process."""
    rank(1)

    with TrainingSession(bridge.address, session_id="night", ranks="light") as session:
        for step in range(1_000, 1_007):
            session.log_batch(0.5, step=step)
        assert session.step == 1_006

    last = bridge.of("performance_data")[-1]
    assert (last.batch_count, last.global_step) == (7, 1_006)


def test_a_command_is_refused_with_where_to_send_it(bridge, rank):
    """One rank that pauses or stops alone leaves the others waiting in a collective."""
    rank(2)
    stop = wire.ControlCommand(type=wire.ControlCommand.STOP_TRAINING, command_id="c-1")
    bridge.commands.append(stop)

    with TrainingSession(bridge.address, session_id="night", ranks="light") as session:
        session.log_batch(0.5, epoch=0, batch=0)
        until_true(lambda: bridge.of("command_result"))
        assert not session.should_stop

    (result,) = bridge.of("command_result")
    assert (result.applied, result.message) == (False, REFUSAL)


def test_ranks_without_a_name_in_common_leave_it_to_rank_0(rank, caplog):
    """Sessions under names made at random would be as many runs; the log says how to name the run."""
    rank(2, LOCAL_WORLD_SIZE="2")
    recording = RecordingBridge()

    with TrainingSession(recording, ranks="light") as session:
        session.log_batch(0.5, epoch=0, batch=0)

    assert recording.statuses == []
    assert NOT_NAMED % 2 in caplog.text


@pytest.mark.parametrize("number", [0, 1])
def test_a_rank_that_is_known_later_reports_as_it_should(bridge, monkeypatch, number):
    """The session is often made before the process group: it connects, under the right name, once there is one."""
    group = Distributed()
    monkeypatch.setitem(sys.modules, "torch.distributed", group)
    session = TrainingSession(bridge.address, session_id="night", ranks="light")
    assert not bridge.registrations

    group.rank = number
    for index in range(5):
        session.log_batch(0.5, epoch=0, batch=index)
    session.close()

    (who,) = bridge.registrations
    assert (who.session_id, who.run_id, who.rank, who.world_size) == (
        "night-rank1" if number else "night",
        "night",
        number,
        2,
    )
    assert len(bridge.batches()) == (0 if number else 5)
    if number:
        assert bridge.of("performance_data")[-1].batch_count == 5


def test_a_rank_that_is_known_too_late_leaves_the_name_of_the_run_to_rank_0(
    bridge, monkeypatch, caplog
):
    """It has connected under it by then, and must not report its own steps as those of the run."""
    group = Distributed()
    monkeypatch.setitem(sys.modules, "torch.distributed", group)
    monkeypatch.setattr("bridge.client.ranks.WAIT_ALONE_SECONDS", 0.01)
    session = TrainingSession(bridge.address, session_id="night", ranks="light")
    until_true(lambda: bridge.of("status_update"))

    group.rank = 1
    for index in range(5):
        session.log_batch(0.5, epoch=0, batch=index)
    session.close()

    assert [who.session_id for who in bridge.registrations] == ["night"]
    assert not any(each.batch_count for each in bridge.of("performance_data"))
    assert caplog.text.count(KNOWN_LATE % 1) == 1


@pytest.mark.parametrize("options", [{}, {"session_id": "night"}])
def test_a_rank_that_is_known_later_says_why_it_cannot_report(
    monkeypatch, caplog, tmp_path, options
):
    """Without a name in common, or with a spool, which has had a name since it was made."""
    group = Distributed()
    monkeypatch.setitem(sys.modules, "torch.distributed", group)
    bridge = RecordingBridge()
    if options:
        options["spool_dir"] = tmp_path
    session = TrainingSession(bridge, ranks="light", **options)

    group.rank = 1
    for index in range(5):
        session.log_batch(0.5, epoch=0, batch=index)
    session.close()

    assert bridge.statuses == []
    assert caplog.text.count((KNOWN_LATE if options else NOT_NAMED) % 1) == 1


def test_a_light_rank_leaves_no_spool(bridge, rank, tmp_path):
    """What it measures is of the moment; rank 0 keeps what must not be lost."""
    rank(1)

    train(bridge, spool_dir=tmp_path)

    assert list(tmp_path.iterdir()) == []
