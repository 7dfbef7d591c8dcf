"""Which batches' images are copied and sent."""

import math
import random

from hypothesis import given
from hypothesis import strategies as st

from bridge.client.capture.image_sampler import FREE_CHOICES, STEEP, Candidate, ImageSampler

RATE = 2.0


class Images:
    """Images that wait until they are discarded."""

    def __init__(self, loss):
        self.loss = loss
        self.is_waiting = True

    def discard(self):
        was_waiting, self.is_waiting = self.is_waiting, False
        return was_waiting


def chosen(losses, *, at=10.0, sampler=None, epoch=0):
    """Return the losses chosen among batches that are encoded together."""
    candidates = [Candidate(at, loss, epoch) for loss in losses]
    indices = (sampler or ImageSampler()).choose(candidates, RATE)
    return [losses[index] for index in sorted(indices)]


def waiting_after(losses, *, rate=RATE, epoch=0, sampler=None):
    """Return the losses of the images that wait after these batches, one call each, of one window."""
    sampler = sampler or ImageSampler()
    kept = []
    for loss in losses:
        if sampler.wants(Candidate(10.0, loss, epoch), rate):
            kept.append(Images(loss))
            sampler.keep(kept[-1])
    return [images.loss for images in kept if images.is_waiting]


def test_the_highest_loss_of_a_window_is_chosen():
    """Of several at once the worst, and the first batch of the epoch."""
    assert chosen([0.5, 0.9, 0.7]) == [0.5, 0.9]
    assert waiting_after([0.5, 0.9, 0.7, 1.5, 0.2]) == [0.5, 1.5]


def test_what_is_not_a_number_counts_as_highest():
    """The images of a diverged loss are worth seeing."""
    assert math.isnan(chosen([0.5, math.nan, 0.7])[-1])


def test_a_later_batch_of_the_window_must_be_worse():
    """Within a window only a new highest loss is taken; the next window starts anew."""
    sampler = ImageSampler()

    assert chosen([0.5], sampler=sampler) == [0.5]
    assert chosen([0.4], sampler=sampler) == []
    assert chosen([0.6], sampler=sampler) == [0.6]
    assert chosen([0.4], sampler=sampler, at=10.5) == [0.4]


def test_the_first_batch_of_each_epoch_is_chosen():
    """However low its loss, and whatever comes after it."""
    sampler = ImageSampler()
    chosen([0.5], sampler=sampler)

    assert chosen([0.1], sampler=sampler, epoch=1) == [0.1]
    assert waiting_after([0.1, 0.2, 0.3]) == [0.1, 0.3]


def test_nothing_is_chosen_where_nothing_is_wanted():
    """A bridge that keeps no images gets none."""
    assert ImageSampler().choose([Candidate(0.0, 1.0, 0)], 0.0) == set()


def test_everything_is_chosen_where_everything_is_wanted():
    """A bridge that keeps all images gets all of them, whatever their losses."""
    candidates = [Candidate(1.0, 1.0 / (1 + place), 0) for place in range(50)]

    assert ImageSampler().choose(candidates, math.inf) == set(range(50))
    sampler = ImageSampler()
    assert all(sampler.choose([candidate], math.inf) == {0} for candidate in candidates)


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=60))
def test_the_worst_of_a_window_is_never_missed_by_much(losses):
    """Where each is sent at once, what was taken is at least as bad as the worst, but for a slow rise."""
    sampler = ImageSampler()
    taken = [loss for loss in losses if chosen([loss], sampler=sampler)]

    assert max(losses) - min(losses) <= (max(taken) - min(losses)) * STEEP + 1e-6
    if len(taken) < FREE_CHOICES:
        assert max(losses) == max(taken)


@given(st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=60))
def test_the_worst_that_waits_is_the_worst(losses):
    """Where nothing has been sent yet, only the first of the epoch and the worst of the window wait."""
    waiting = waiting_after(losses)

    assert max(losses) in waiting
    assert waiting[0] == losses[0]
    assert len(waiting) <= 2


def test_a_spike_is_seen_beside_any_other_loss():
    """A window that has sent many slowly rising losses still sends one that stands out, at any level."""
    for level in (0.0, 100.0, -100.0, 1e6):
        sampler = ImageSampler()
        rising = [level + step / 10 for step in range(40)]
        taken = [loss for loss in rising if chosen([loss], sampler=sampler)]
        assert len(taken) < 12
        assert chosen([level + 50], sampler=sampler) == [level + 50]


def test_long_windows_send_more():
    """A bridge that wants a batch every ten seconds still gets every new highest loss of a slow loop."""
    sampler = ImageSampler()
    losses = [10 + step / 10 for step in range(40)]

    assert all(sampler.wants(Candidate(10.0, loss, 0), 0.1) for loss in losses)


def test_few_are_copied():
    """Of n batches of a window in random order about ln(n) beat all before them."""
    shuffled = random.Random(3)
    copied = 0
    for _ in range(200):
        losses = [shuffled.random() for _ in range(100)]
        sampler = ImageSampler()
        copied += sum(sampler.wants(Candidate(10.0, loss, 0), RATE) for loss in losses)

    assert copied / 200 < math.log(100) + 1
