"""Each kind of message becomes what is kept of it; what was not set is not reported."""

import pytest

from bridge.errors import InvalidDataError
from bridge.hardware import Gpu
from bridge.model import Level, Message, Occurrence, Performance, Scalars, Status, StatusChange
from bridge.receiver.message_limits import MessageLimits
from bridge.receiver.messages import MESSAGES
from bridge.wire import metrics_pb2 as wire


def read(**payload) -> Message:
    """Return the message of a request with this payload."""
    (kind,) = payload
    return MESSAGES[kind](wire.MetricsRequest(**payload), MessageLimits(text=20, label=8), [])


@pytest.mark.parametrize("rest", [{}, {"ground_truth": [3]}])
def test_a_batch_may_count_by_steps(rest):
    """Step 0 is a step; with images and classes or without."""
    batch = read(batch_data=wire.BatchData(global_step=0, token_count=2**40, **rest))
    plain = read(batch_data=wire.BatchData(**rest))

    assert (batch.step, batch.tokens) == (0, 2**40)
    assert (plain.step, plain.tokens) == (None, 0)


def test_scalars_may_have_a_step_and_a_split():
    """A name of a split is bounded."""
    data = wire.ScalarData(values={"a": 1.0}, global_step=9, split="validation")

    assert read(scalar_data=data) == Scalars(0, 0, {"a": 1.0}, 9, "validati")
    assert read(scalar_data=wire.ScalarData(values={"a": 1.0})) == Scalars(0, 0, {"a": 1.0})


@pytest.mark.parametrize(
    ("status", "ending", "expected"),
    [
        (wire.COMPLETED, "stopped", Status.STOPPED),
        (wire.FAILED, "interrupted", Status.INTERRUPTED),
        (wire.FAILED, "terminated", Status.TERMINATED),
        (wire.FAILED, "", Status.FAILED),
        (wire.COMPLETED, "exploded", Status.COMPLETED),
        (wire.RUNNING, "stopped", Status.RUNNING),
        (wire.COMPLETED, "failed", Status.COMPLETED),
    ],
)
def test_an_ending_refines_a_status_that_ends(status, ending, expected):
    """Nothing else does: a word that is not known leaves the status as it is."""
    change = read(status_update=wire.StatusUpdate(status=status, ending=ending))

    assert change.status is expected


def test_a_status_may_come_with_phases():
    """What the loop is busy with, and how long it has been in each."""
    update = wire.StatusUpdate(phase="validation", phase_seconds={"training": 1.5, "": 2.0})

    expected = StatusChange(Status.UNKNOWN, "", None, "validation", {"training": 1.5})
    assert read(status_update=update) == expected


def test_a_process_without_batches_reports_how_far_it_is():
    """As the light ranks of a run do."""
    data = wire.PerformanceData(
        phase="data", phase_seconds={"data": 2.0}, batch_count=0, global_step=7
    )

    assert read(performance_data=data) == Performance(
        phase="data", phase_seconds={"data": 2.0}, batches=0, step=7
    )
    assert read(performance_data=wire.PerformanceData()) == Performance()


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, Gpu(0)),
        ({"throttle_reported": True}, Gpu(0, throttle_reasons=())),
        (
            {"throttle_reported": True, "throttle_reasons": ["power", "x" * 99]},
            Gpu(0, throttle_reasons=("power", "x" * 32)),
        ),
        ({"throttle_reasons": ["power"]}, Gpu(0)),
        (
            {"ecc_errors": 0, "xid_errors": 3, "sm_clock_mhz": 1500.0},
            Gpu(0, ecc_errors=0, xid_errors=3, sm_clock_hertz=1.5e9),
        ),
    ],
)
def test_the_health_of_a_gpu_is_reported_or_not(fields, expected):
    """No throttling is not the same as not knowing; 0 errors are 0."""
    usage = wire.ResourceUsage(gpus=[wire.GpuUsage(**fields)])

    message = read(performance_data=wire.PerformanceData(resource_usage=usage))

    assert message.resources.gpus == (expected,)


def test_an_event_says_what_happened_and_where():
    """All of it is bounded."""
    event = wire.Event(
        name="lr drop and more",
        message="m" * 99,
        level=wire.Event.WARNING,
        details={"from": "0.1"},
        epoch=1,
        batch_idx=2,
        global_step=3,
    )

    expected = Occurrence("lr drop ", "m" * 20, Level.WARNING, {"from": "0.1"}, 1, 2, 3)
    assert read(event=event) == expected


@pytest.mark.parametrize(
    ("event", "reason"),
    [(wire.Event(), "name: is empty"), (wire.Event(name="a", level=9), "level: 9 is not")],
)
def test_an_event_that_breaks_a_rule_is_refused(event, reason):
    """Field and reason are named."""
    with pytest.raises(InvalidDataError, match=reason):
        read(event=event)
