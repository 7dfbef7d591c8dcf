"""Numbers and times as an assistant reads them."""

import math

import pytest

from bridge.mcp.plain import LONGEST_TEXT, plain


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (1_234_567.0, 1_234_567.0),
        (0.123456789, 0.123457),
        (math.nan, "NaN"),
        (-math.inf, "-Infinity"),
        (None, None),
        ("x" * 1_000, "x" * LONGEST_TEXT + " ..."),
        ((1, 2.5), [1, 2.5]),
        ({"ended_at": 0.0, "at": None}, {"ended_at": "1970-01-01T00:00:00+00:00", "at": None}),
        ({"started_at": 1e300}, {"started_at": None}),
        ({"trace_id": "x", "loss": 0.5}, {"loss": 0.5}),
    ],
)
def test_values_are_short_and_valid_json(value, shown):
    """Nothing that JSON does not have, no digits that nobody reads, no links to other programs."""
    assert plain(value) == shown
