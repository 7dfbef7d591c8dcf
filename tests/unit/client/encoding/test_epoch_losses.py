"""The mean loss of an epoch, where the loop leaves that to the SDK."""

import pytest

from bridge.client.encoding.epoch_losses import EpochLosses


def test_a_mean_is_of_what_was_reported():
    """A batch without a loss is none of a loss 0."""
    losses = EpochLosses()
    for loss in (1.0, None, 2.0):
        losses.add(3, loss)

    assert losses.mean(3) == pytest.approx(1.5)


def test_each_epoch_has_its_own():
    """Also one that is trained twice, after a rollback."""
    losses = EpochLosses()
    losses.add(3, 1.0)
    losses.add(4, 5.0)
    assert losses.mean(3) is None
    losses.add(3, 7.0)

    assert losses.mean(3) == pytest.approx(7.0)


def test_what_has_no_losses_has_no_mean():
    """Not reported is not 0."""
    losses = EpochLosses()
    assert losses.mean(0) is None
    losses.add(0, None)
    assert losses.mean(0) is None
