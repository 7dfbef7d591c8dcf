"""Curves in a fixed number of points."""

import json
import math

from hypothesis import given
from hypothesis import strategies as st

from bridge.history import Curve

VALUES = st.lists(st.floats(width=32), max_size=300)


def curve_of(values, size=8) -> Curve:
    """Return a curve of the values, one a second."""
    curve = Curve(size)
    for index, value in enumerate(values):
        curve.add(value, at=float(index), epoch=index // 10, batch=index % 10)
    return curve


@given(VALUES)
def test_nothing_is_hidden_by_thinning(values):
    """However long the run: the extremes, the count and every non-finite value are still there."""
    curve = curve_of(values)

    finite = [value for value in values if math.isfinite(value)]
    assert len(curve.bins) <= 8
    assert sum(part.count for part in curve.bins) == len(finite)
    assert sum(part.nonfinite for part in curve.bins) == len(values) - len(finite)
    if finite:
        assert max(part.high for part in curve.bins if part.count) == max(finite)
        assert min(part.low for part in curve.bins if part.count) == min(finite)


def test_a_spike_is_found_again():
    """The bin of the highest value knows the batch it came from."""
    curve = curve_of([1.0] * 57 + [99.0] + [1.0] * 200)

    worst = max(curve.bins, key=lambda part: part.high)
    assert (worst.epoch, worst.batch) == (5, 7)


def test_not_a_number_outranks_a_high_value():
    """A bin with a NaN in it points to the NaN."""
    curve = curve_of([1.0, 50.0, math.nan, 60.0] + [1.0] * 30, size=2)

    assert (curve.bins[0].epoch, curve.bins[0].batch) == (0, 2)


@given(VALUES)
def test_a_snapshot_brings_everything_back(values):
    """A curve goes through JSON unharmed, and goes on growing."""
    curve = curve_of(values)

    restored = Curve.restored(json.loads(json.dumps(curve.snapshot(), allow_nan=False)))

    restored.add(1.0, at=999.0, epoch=1, batch=1)
    curve.add(1.0, at=999.0, epoch=1, batch=1)
    assert restored.snapshot() == curve.snapshot()


def test_a_bin_knows_its_first_batch_and_its_worst_one():
    """Where a bin begins, when its worst value came, and how many images came with that, outlive thinning."""
    curve = Curve(2)
    for index, value in enumerate((1.0, 1.0, 1.0, 1.0, 1.0, 9.0, 1.0)):
        curve.add(value, at=100.0 + index, epoch=0, batch=index, images=index)

    first, second = curve.bins
    assert (first.first_epoch, first.first_batch) == (0, 0)
    assert (second.first_batch, second.batch, second.worst_at, second.images) == (4, 5, 105.0, 5)


def test_a_snapshot_of_an_older_version_is_read():
    """What it does not hold is taken for unknown, and the curve goes on."""
    snapshot = curve_of([1.0, 9.0, 2.0]).snapshot()
    del snapshot["places"]

    restored = Curve.restored(snapshot)

    assert [(part.batch, part.first_batch, part.images) for part in restored.bins] == [
        (0, 0, None),
        (1, 1, None),
        (2, 2, None),
    ]
