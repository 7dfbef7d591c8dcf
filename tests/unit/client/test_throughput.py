"""Training throughput."""

import math

import pytest

from bridge.client.throughput import FIRST_REPORT_SECONDS, REPORT_SECONDS, ThroughputMeter


def test_durations_lie_between_calls():
    """The first batch has none, nor has the first of an epoch whose start was not reported."""
    meter = ThroughputMeter(epochs=0, batches_per_epoch=0)

    assert meter.record_batch(10.0, 0, 32) is None
    assert meter.record_batch(10.5, 0, 32) == 0.5
    assert meter.record_batch(14.0, 1, 32) is None
    meter.record_epoch(15.0)
    assert meter.record_batch(15.25, 2, 32) == 0.25


def test_speed_is_recent_and_average():
    """Samples per second since the last report, and since the start."""
    meter = ThroughputMeter(epochs=0, batches_per_epoch=0)
    assert meter.measure(0.0) is None
    for tick in range(11):
        meter.record_batch(tick * 0.1, 0, 10)
    first = meter.measure(1.0)
    for tick in range(1, 11):
        meter.record_batch(1.0 + tick * 0.2, 0, 10)
    second = meter.measure(3.0)

    assert first.samples_per_second == pytest.approx(100)
    assert first.batch_seconds == pytest.approx(0.1)
    assert second.samples_per_second == pytest.approx(50)
    assert second.samples_per_second_average == pytest.approx(200 / 3)
    assert second.remaining_seconds == 0.0


@pytest.mark.parametrize("base", [0, 1])
def test_remaining_time(base):
    """The rest of this epoch and the epochs to come, counted from 0 or from 1."""
    meter = ThroughputMeter(epochs=4, batches_per_epoch=10)
    for batch in range(10):
        meter.record_batch(batch * 1.0, base, 1)
    meter.record_epoch(10.0)
    assert meter.measure(10.0).remaining_seconds == pytest.approx(30)
    assert meter.measure(10.0).epoch_seconds == pytest.approx(10)

    meter.record_batch(11.0, base + 1, 1)
    meter.record_batch(14.0, base + 1, 1)
    assert meter.measure(14.0).remaining_seconds == pytest.approx(26)


def test_the_time_left_of_a_run_by_steps():
    """What is left of all its steps, wherever this attempt began; such a run has no epochs that take time."""
    meter = ThroughputMeter(epochs=1, batches_per_epoch=1_000)
    for step in range(900, 910):
        meter.record_batch(step * 0.5, 0, 1, step)

    measured = meter.measure(455.0)
    assert measured.remaining_seconds == pytest.approx(90 * 0.5)
    assert measured.epoch_seconds == 0.0

    meter.record_batch(1_000.0, 0, 1, 1_200)
    assert meter.measure(1_000.0).remaining_seconds == 0.0


def test_a_pause_is_not_training():
    """The time between the last batch and the resumption is not counted."""
    meter = ThroughputMeter(epochs=0, batches_per_epoch=0)
    meter.record_batch(0.0, 0, 1)
    meter.record_batch(1.0, 0, 1)
    meter.record_resume(100.0)

    assert meter.record_batch(101.0, 0, 1) == 1.0
    assert meter.measure(101.0).epoch_seconds == pytest.approx(2.0)


def test_a_measurement_is_due_soon_after_the_first_batch_then_at_epochs_and_at_intervals():
    """A short run reports its throughput too, and an epoch's end is not reported late."""
    meter = ThroughputMeter(epochs=0, batches_per_epoch=0)
    assert meter.due_at == math.inf
    meter.record_batch(10.0, 0, 1)
    meter.record_batch(10.5, 0, 1)
    assert meter.due_at == 10.0 + FIRST_REPORT_SECONDS
    meter.measure(11.0)
    assert meter.due_at == 11.0 + REPORT_SECONDS
    meter.record_epoch(12.0)
    assert meter.due_at == 12.0
