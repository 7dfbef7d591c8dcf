"""The known run."""

import io
from itertools import pairwise

from PIL import Image

from bridge.canary.run import KnownRun
from bridge.receiver.jpeg import checked

RUN = KnownRun("canary-1", samples=16)


def test_an_image_is_a_real_jpeg_that_says_which_one_it_is():
    """Any viewer opens it; its comment has the session, the batch and the position."""
    number = RUN.number(epoch=3, batch=9)
    data = RUN.images(number)[2]
    with Image.open(io.BytesIO(data), formats=["JPEG"]) as image:
        image.load()

    assert checked(data, max_dimension=64)[1] is None
    assert image.info["comment"] == b"canary-1 3-9 2"


def test_no_two_images_are_the_same():
    """Neither of two sessions, nor of two batches, nor of two positions in a batch."""
    runs = [KnownRun(name, samples=16, images_every=1) for name in ("canary-1", "canary-2")]
    images = {image for run in runs for number in range(1, 61) for image in run.images(number)}

    assert len(images) == 2 * 60 * 16


def test_only_some_batches_have_images():
    """One in so many, or none."""
    assert [number for number in range(1, 21) if RUN.images(number)] == [5, 10, 15, 20]
    assert not any(KnownRun("canary-1", images_every=0).images(number) for number in range(1, 21))


def test_numbers_are_places():
    """Epochs begin with 1, batches within them with 0."""
    assert [RUN.place(number) for number in (1, 20, 21)] == [(1, 0), (1, 19), (2, 0)]
    assert all(RUN.number(*RUN.place(number)) == number for number in range(1, 100))


def test_sums_of_losses_are_exact():
    """Whatever the order in which losses are added, the sum is the same to the last bit."""
    losses = [RUN.loss(number) for number in range(5_000)]

    assert sum(losses) == sum(reversed(losses))
    assert all(0.25 <= loss < 1.25 for loss in losses)
    assert all(one != other for one, other in pairwise(losses))
    assert RUN.epoch_loss(3) == sum(losses[41:61]) / 20


def test_predictions_are_right_more_often_than_not():
    """All classes come, and some predictions are wrong, so that every kind of series is there."""
    numbers = range(1_000)
    truths, predictions = (
        [RUN.truths(one)[0] for one in numbers],
        [RUN.predictions(one)[0] for one in numbers],
    )
    wrong = sum(one != other for one, other in zip(truths, predictions, strict=True))

    assert set(truths) == {0, 1, 2, 3}
    assert 50 < wrong < 400
    assert all(0.5 <= RUN.confidences(number)[0] < 1 for number in numbers)
