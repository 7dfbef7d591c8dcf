"""The known run."""

import io
from itertools import pairwise

from PIL import Image

from bridge.canary.run import (
    EPOCH_BATCHES,
    Place,
    epoch_loss_of,
    image_of,
    loss_of,
    sample_of,
)
from bridge.receiver.jpeg import fault_of


def test_an_image_is_a_real_jpeg_that_shows_its_number():
    """Any viewer opens it; its blocks, white for 1, are the number of batch and place in bits."""
    data = image_of("canary-1", Place(epoch=3, batch=7, position=2))
    with Image.open(io.BytesIO(data), formats=["JPEG"]) as image:
        greys = [image.getpixel((8 * x + 4, 8 * y + 4)) for y in range(4) for x in range(8)]

    assert fault_of(data, max_dimension=64) is None
    assert int("".join("1" if grey > 128 else "0" for grey in greys), 2) == (3 * 20 + 7) << 4 | 2


def test_no_two_images_are_the_same():
    """Neither of two sessions, nor of two batches, nor of two places in a batch."""
    images = {
        image_of(session, Place(epoch, batch, position))
        for session in ("canary-1", "canary-2")
        for epoch in range(3)
        for batch in range(EPOCH_BATCHES)
        for position in range(16)
    }

    assert len(images) == 2 * 3 * EPOCH_BATCHES * 16


def test_sums_of_losses_are_exact():
    """Whatever the order in which losses are added, the sum is the same to the last bit."""
    losses = [loss_of(number) for number in range(5_000)]

    assert sum(losses) == sum(reversed(losses))
    assert all(0.25 <= loss < 1.25 for loss in losses)
    assert all(one != other for one, other in pairwise(losses))
    assert epoch_loss_of(2) == sum(losses[40:60]) / 20


def test_predictions_are_right_more_often_than_not():
    """All classes come, and some predictions are wrong, so that every kind of series is there."""
    samples = [sample_of(number, 0) for number in range(1_000)]
    wrong = sum(sample.predicted_class != sample.true_class for sample in samples)

    assert {sample.true_class for sample in samples} == {0, 1, 2, 3}
    assert 50 < wrong < 400
    assert all(0.5 <= sample.confidence < 1 for sample in samples)
