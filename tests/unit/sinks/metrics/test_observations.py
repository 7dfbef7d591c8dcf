"""Tests of histograms and extremes."""

from hypothesis import given
from hypothesis import strategies as st

from bridge.sinks.metrics.observations import INTERVAL_SECONDS, Extremes, Histogram

NOON = 1_800_000_000.0
FINITE = st.floats(allow_nan=False, allow_infinity=False, width=32)


@given(st.lists(FINITE))
def test_a_histogram_counts_what_is_not_above_each_bound(values):
    """Its counts are what `le` says, the last one all values, and the sum is their sum."""
    bounds = (0.1, 1.0, 10.0)
    histogram = Histogram(bounds)
    for value in values:
        histogram.observe(value)

    below = [sum(value <= bound for value in values) for bound in bounds]

    assert histogram.cumulative() == [*below, len(values)]
    assert histogram.total == sum(values, 0.0)


@given(
    st.lists(st.tuples(st.floats(0, 20), FINITE), min_size=1, max_size=40),
    st.floats(0.5, INTERVAL_SECONDS),
    st.floats(0, 15),
)
def test_no_extreme_hides_between_scrapes(steps, pace, offset):
    """Every loss lies between the extremes of at least one scrape, however scrapes fall, if 15 s apart or less."""
    losses, at = [], NOON
    for pause, loss in steps:
        at += pause
        losses.append((at, loss))
    extremes, seen, scrape = Extremes(), [], NOON + offset
    waiting = list(losses)
    while scrape < at + 2 * INTERVAL_SECONDS:
        while waiting and waiting[0][0] <= scrape:
            moment, loss = waiting.pop(0)
            extremes.add(loss, moment)
        seen.append((scrape, extremes.at(scrape)))
        scrape += pace

    for moment, loss in losses:
        assert any(
            pair is not None and pair[0] <= loss <= pair[1]
            for scraped, pair in seen
            if scraped >= moment
        )


def test_extremes_are_forgotten():
    """Two intervals after a spike nothing speaks of it."""
    extremes = Extremes()
    extremes.add(9.0, NOON + 1)
    extremes.add(1.0, NOON + 16)

    assert extremes.at(NOON + 29) == (1.0, 9.0)
    assert extremes.at(NOON + 30) == (1.0, 1.0)
    assert extremes.at(NOON + 45) is None


def test_a_value_of_before_counts_for_now():
    """What is replayed a moment late costs nothing that was seen, and is seen itself."""
    extremes = Extremes()
    extremes.add(9.0, NOON + 1)
    extremes.add(1.0, NOON - 1)

    assert extremes.at(NOON) == (1.0, 9.0)


def test_extremes_outlive_a_restart():
    """A monotonic clock that has started anew changes nothing about how long an extreme is shown."""
    before, after = Extremes(), Extremes()
    before.add(9.0, NOON + 1)

    after.restore(before.snapshot(NOON + 14), 44.0)

    assert after.at(45.0) == (9.0, 9.0)
    assert after.at(59.0) == (9.0, 9.0)
    assert after.at(60.0) is None


def test_no_values_have_no_extremes():
    """Before the first value there is nothing to show."""
    assert Extremes().at(0.0) is None
