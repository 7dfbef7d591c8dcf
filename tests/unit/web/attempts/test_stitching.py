"""How attempts make up one run."""

from hypothesis import given, settings
from hypothesis import strategies as st
from support.attempts import attempt, three_attempts

from bridge.model import Batch, Epoch
from bridge.web.attempts.stitching import (
    counted_bins,
    counted_epochs,
    place_begun,
    stitched,
    stretch_of,
    thinned,
)
from bridge.web.session_view import session_view


def run_of(*sessions):
    """Return the stretches of a run."""
    stretches = ()
    for session in sessions:
        stretches = stitched(stretches, stretch_of(session_view(session, 2.0)))
    return stretches


def places(bins):
    """Return epoch and batch at which bins begin."""
    return [(bin_.first_epoch, bin_.first_batch) for bin_ in bins]


def test_a_later_attempt_is_on_top_where_both_have_been():
    """Each batch counts once, in the order of the run; what was done again is kept apart."""
    first, second, third = run_of(*three_attempts())

    counted = places(counted_bins([first, second, third]))
    assert counted == [(epoch, batch) for epoch in range(5) for batch in range(10)]
    assert {epoch for epoch, _ in places(first.superseded)} == {2}
    assert {epoch for epoch, _ in places(second.superseded)} == {3}
    assert third.superseded == ()


def test_averages_of_epochs_are_of_the_attempt_that_counts():
    """An epoch that was begun again has no average before it is done again."""
    first, second = attempt(1, 0, 1, 2, loss=3.0), attempt(2, 1, loss=2.0)

    found = counted_epochs(run_of(first, second))

    assert [(epoch.number, epoch.loss) for epoch in found] == [(0, 3.0), (1, 2.0)]


def test_an_attempt_that_starts_over_supersedes_everything():
    """What came before it is still drawn below, and counts for nothing."""
    first, second = run_of(attempt(1, 0, 1), attempt(2, 0))

    assert first.bins == ()
    assert len(first.superseded) == 20
    assert place_begun(second) == (0, 0)


def test_an_attempt_that_has_not_stepped_supersedes_nothing():
    """While it loads its checkpoint, nobody knows yet where it goes on."""
    first, second = run_of(attempt(1, 0, 1), attempt(2))

    assert len(first.bins) == 20
    assert place_begun(second) is None


def test_going_back_within_an_attempt_is_kept():
    """Both passes count: it is the same process, and its own decision; a later attempt cuts after the last one."""
    first = attempt(1, 0, 1, 2, 1, 2, 3)

    [alone] = run_of(first)
    assert len(alone.bins) == 60
    stretch, _ = run_of(first, attempt(2, 2))

    assert [epoch for epoch, _ in places(stretch.bins)[::10]] == [0, 1, 2, 1]
    assert [epoch for epoch, _ in places(stretch.superseded)[::10]] == [2, 3]


def test_a_run_without_losses_is_joined_by_its_epochs():
    """A loop that only reports averages has attempts as well."""
    first, second = attempt(1), attempt(2)
    for number in range(3):
        first.apply(Epoch(number, 3.0), 5.0)
    second.apply(Epoch(2, 1.0), 6.0)

    found = counted_epochs(run_of(first, second))

    assert [(epoch.number, epoch.loss) for epoch in found] == [(0, 3.0), (1, 3.0), (2, 1.0)]


@settings(deadline=None, max_examples=40)
@given(st.lists(st.integers(1, 300), min_size=1, max_size=30), st.integers(30, 480))
def test_a_run_of_any_length_fits(lengths, limit):
    """However many attempts there are, so many points are drawn, and none of their extremes is lost."""
    sessions = []
    for number, length in enumerate(lengths, start=1):
        session = attempt(number)
        for batch in range(length):
            session.apply(Batch(number, batch, float(batch)), 5.0)
        sessions.append(session)

    stretches = thinned(run_of(*sessions), limit)
    bins = counted_bins(stretches)

    assert len(bins) <= limit
    assert sum(bin_.count for bin_ in bins) == sum(lengths)
    assert max(bin_.high for bin_ in bins) == max(lengths) - 1
