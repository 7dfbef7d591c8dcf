"""Which batches' images are sent."""

import math

from hypothesis import given
from hypothesis import strategies as st

from bridge.client.choice import FREE_CHOICES, STEEP, Candidate, Chooser

RATE = 2.0


def chosen(losses, *, at=10.0, chooser=None, epoch=0):
    """Return the losses chosen among batches of one moment."""
    candidates = [Candidate(at, loss, epoch) for loss in losses]
    return [losses[place] for place in sorted((chooser or Chooser()).choose(candidates, RATE))]


def test_the_highest_loss_of_a_window_is_chosen():
    """Of what is there at once, the worst; and the first batch of the epoch."""
    assert chosen([0.5, 0.9, 0.7]) == [0.5, 0.9]


def test_what_is_not_a_number_counts_as_highest():
    """A loss that exploded is worth a look."""
    assert chosen([0.5, math.nan, 0.7])[-1] is not None
    assert math.isnan(chosen([0.5, math.nan, 0.7])[-1])


def test_a_later_batch_of_the_window_must_be_worse():
    """Within a window only a new highest loss is taken; the next window starts anew."""
    chooser = Chooser()

    assert chosen([0.5], chooser=chooser) == [0.5]
    assert chosen([0.4], chooser=chooser) == []
    assert chosen([0.6], chooser=chooser) == [0.6]
    assert chosen([0.4], chooser=chooser, at=10.5) == [0.4]


def test_the_first_batch_of_each_epoch_is_chosen():
    """However low its loss."""
    chooser = Chooser()
    chosen([0.5], chooser=chooser)

    assert chosen([0.1], chooser=chooser, epoch=1) == [0.1]


def test_nothing_is_chosen_where_nothing_is_wanted():
    """A bridge that keeps no images gets none."""
    assert Chooser().choose([Candidate(0.0, 1.0, 0)], 0.0) == set()


def test_everything_is_chosen_where_everything_is_wanted():
    """A bridge that keeps all images gets all."""
    candidates = [Candidate(1.0, 1.0 / (1 + place), 0) for place in range(50)]

    assert Chooser().choose(candidates, math.inf) == set(range(50))


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=60))
def test_the_worst_of_a_window_is_never_missed_by_much(losses):
    """One by one or at once: what was taken is at least as bad as the worst, but for a slow rise."""
    chooser = Chooser()
    taken = [loss for loss in losses if chosen([loss], chooser=chooser)]

    assert max(losses) <= max(taken) * STEEP
    if len(taken) < FREE_CHOICES:
        assert max(losses) == max(taken)
