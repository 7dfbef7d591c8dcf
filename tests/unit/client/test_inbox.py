"""What the loop has said and nobody has looked at yet."""

import numpy as np
import pytest
from support.jpegs import jpeg

from bridge.client.inbox import EpochItem, Inbox, size_of
from bridge.client.stats import Stats


def fill(inbox, count, images=None):
    """Tell of some batches."""
    for batch in range(count):
        inbox.put_batch(0.5, 0, batch, images, None, None, None)


def test_it_is_bounded_and_counts_what_it_drops():
    """A thread that cannot keep up costs messages, not memory; epochs are kept."""
    stats = Stats()
    inbox = Inbox(512 * 100, stats)
    fill(inbox, 150)
    inbox.put(EpochItem(0.0, 0, 0.5, None, None, None, None))

    taken = inbox.take(1_000)

    assert len(taken) == 101
    assert type(taken[-1]) is EpochItem
    assert stats.dropped == 50


def test_arrays_are_bounded_too():
    """Batches over the limit lose their images; one batch, however large, is always taken."""
    stats = Stats()
    inbox = Inbox(400_000, stats)
    large = np.zeros((4, 200, 200), np.uint8)
    fill(inbox, 3, large)

    assert [item.images is None for item in inbox.take(10)] == [False, True, True]
    assert stats.images_shed == 8
    fill(inbox, 1, large)
    assert inbox.take(1)[0].images is large


@pytest.mark.parametrize(
    ("images", "size"),
    [
        (np.zeros((2, 8, 8)), 1_024),
        ([np.zeros(8), np.zeros(8)], 128),
        ([jpeg()], len(jpeg())),
        (object(), 0),
        ([None], 0),
        (7, 0),
    ],
)
def test_sizes(images, size):
    """Whatever tells its size is counted with it; nothing raises."""
    assert size_of(images) == size


def test_a_closed_inbox_keeps_nothing():
    """And takes no lock, which a fork may have left held for ever."""
    inbox = Inbox(1 << 20, Stats())
    inbox.is_watched = True
    inbox.close()
    with inbox.wake._cond:
        fill(inbox, 3)

    assert len(inbox) == 0
