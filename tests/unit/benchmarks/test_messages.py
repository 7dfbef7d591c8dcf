"""What the benchmarks send."""

import io

from messages import IMAGES_PER_BATCH, Batches, jpegs, staggered
from PIL import Image

from bridge.receiver.decode import decode_frame, decode_request
from bridge.receiver.message_limits import MessageLimits


def test_jpegs_are_real_and_of_about_30_kb():
    """The images are different JPEG files of the size that a full-rate run has."""
    images = jpegs()
    for image in images:
        Image.open(io.BytesIO(image)).verify()

    assert len(set(images)) == IMAGES_PER_BATCH
    assert all(28_000 < len(image) < 32_000 for image in images)


def test_batches_are_what_the_bridge_takes():
    """Each is a valid message with the next sequence and its own place in the run."""
    batches = Batches("run", images=jpegs(16))
    updates = [
        result for _ in range(3) for result in decode_request(batches.next(), MessageLimits())
    ]

    assert [update.sequence for update in updates] == [1, 2, 3]
    assert [(update.message.epoch, update.message.index) for update in updates] == [
        (0, 0),
        (0, 1),
        (0, 2),
    ]
    assert {len(update.message.images) for update in updates} == {IMAGES_PER_BATCH}


def test_frame_holds_the_next_ones():
    """A frame goes on where the last message ended; without numbering there are no sequences."""
    batches = Batches("run", numbered=False)
    batches.next()
    updates = decode_frame(batches.frame(4), MessageLimits())

    assert [update.message.index for update in updates] == [1, 2, 3, 4]
    assert {update.sequence for update in updates} == {0}


def test_streams_start_one_after_the_other():
    """Their starts are spread over the time of one round."""
    assert list(staggered(4, 2.0)) == [0.0, 0.5, 1.0, 1.5]
