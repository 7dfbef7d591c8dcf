"""From many measured values to few."""

import pytest
from figures import median, percentile


@pytest.mark.parametrize(("share", "expected"), [(0.0, 1), (0.5, 50), (0.99, 99), (1.0, 100)])
def test_percentile_is_a_measured_value(share, expected):
    """The nearest rank is taken, so that no figure is reported that was never measured."""
    assert percentile(list(range(100, 0, -1)), share) == expected


def test_median_of_one():
    """A single value is its own median."""
    assert median([3.5]) == 3.5
