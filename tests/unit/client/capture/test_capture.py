"""What arrives is what was given at the call, in bounded memory."""

import array
import math
import random
from collections.abc import Sequence
from io import BytesIO

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from support.jpegs import jpeg

from bridge.client.capture.call_queue import CallQueue
from bridge.client.capture.capture import Capture
from bridge.client.capture.reading import images_of, number_of, value_of
from bridge.client.capture.values import Frozen, Unreadable
from bridge.client.delivery.server_config import ServerConfig
from bridge.client.encoding.images import encode_images
from bridge.client.encoding.predictions import classes_of, predictions_of
from bridge.client.left_out import LeftOut, Reason


class Loop:
    """A training loop with its capture."""

    def __init__(self, *, limit_bytes=64 << 20, rate=math.inf, is_received=True, **more):
        self.server_config = ServerConfig(image_batches_per_second=rate, is_received=is_received)
        self.queue = CallQueue(limit_bytes)
        self.left_out = LeftOut()
        self.now = 10.0
        self.capture = Capture(
            self.queue,
            limit_bytes,
            server_config=lambda: self.server_config,
            left_out=self.left_out,
            clock=lambda: self.now,
            **more,
        )
        self.step = 0

    def batch(self, loss=0.5, images=None, predictions=None, ground_truth=None, count=None):
        """Log one batch."""
        self.capture.batch(
            loss, (0, self.step, None), None, images, predictions, ground_truth, count
        )
        self.step += 1

    def calls(self):
        """Take the captured calls from the queue."""
        return self.queue.take(10_000)

    def images(self):
        """Return the images of each batch, as they would be encoded."""
        return [claimed(call) for call in self.calls()]


def claimed(call):
    """Return the images of a call."""
    pictures = call.images.claim() if call.images is not None else None
    return None if pictures is None else images_of(pictures)


NUMBERS = {
    "array of one": lambda value: np.array([value]),
    "array of no dimension": np.array,
    "array of many dimensions": lambda value: np.full((1, 1, 1), value, np.float32),
    "NumPy's scalar": np.float32,
    "whole number": int,
}


@pytest.mark.parametrize("make", NUMBERS.values(), ids=NUMBERS)
def test_an_array_of_one_element_is_a_number(make):
    """Of any shape; later changes to its array have no effect."""
    loop = Loop()
    value = make(3)
    loop.batch(value)
    if isinstance(value, np.ndarray):
        value[...] = 9

    (call,) = loop.calls()
    assert number_of(call.loss) == 3.0


MUTABLE = {
    "loss": (lambda: np.array([1.0]), lambda call: number_of(call.loss)),
    "epoch": (lambda: np.array(1), lambda call: number_of(call.epoch)),
    "predictions": (
        lambda: np.ones((4, 3), np.float32),
        lambda call: float(np.mean(value_of(call.predictions))),
    ),
    "list of predictions": (
        lambda: [np.ones(3), np.ones(3)],
        lambda call: float(np.mean(value_of(call.predictions))),
    ),
    "pair of predictions": (
        lambda: (np.ones(3, int), np.ones(3)),
        lambda call: float(np.mean([np.mean(part) for part in value_of(call.predictions)])),
    ),
    "ground_truth": (
        lambda: np.ones(4, int),
        lambda call: float(np.mean(value_of(call.ground_truth))),
    ),
    "images": (
        lambda: np.ones((4, 8, 8), np.uint8),
        lambda call: float(np.mean(claimed(call))),
    ),
    "images transposed": (
        lambda: np.ones((4, 3, 8, 8), np.uint8).transpose(0, 2, 3, 1),
        lambda call: float(np.mean(claimed(call))),
    ),
    "list of images": (
        lambda: [np.ones((8, 8), np.uint8), np.ones((8, 8), np.uint8)],
        lambda call: float(np.mean(claimed(call))),
    ),
    "single picture": (
        lambda: np.ones((8, 8, 3), np.uint8),
        lambda call: float(np.mean(claimed(call))),
    ),
    "sample_count": (lambda: np.array(1), lambda call: number_of(call.sample_count)),
}
ARGUMENT = {
    "list of predictions": "predictions",
    "pair of predictions": "predictions",
    "images transposed": "images",
    "list of images": "images",
    "single picture": "images",
    "sample_count": "count",
}


@pytest.mark.parametrize("name", MUTABLE)
def test_what_is_overwritten_afterwards_does_not_arrive(name):
    """Every argument that can change is copied at the call: the next step reuses its buffers."""
    make, read = MUTABLE[name]
    loop = Loop()
    value = make()
    if name == "epoch":
        loop.capture.batch(0.5, (value, 0, None), None, None, None, None, None)
    else:
        loop.batch(**{ARGUMENT.get(name, name): value})
    for part in value if isinstance(value, (list, tuple)) else [value]:
        part[...] = 9

    (call,) = loop.calls()
    assert read(call) == 1.0


def test_a_list_that_is_cleared_afterwards_arrives():
    """Lists and dictionaries are copied too, not only what is in them."""
    loop = Loop()
    images, classes, values = [jpeg(), bytearray(jpeg())], [1, 2], {}
    loop.batch(images=images, predictions=classes, ground_truth=classes)
    images[1][:] = b""
    images.clear()
    classes.clear()
    for number in range(5):
        values["loss"] = float(number)
        loop.capture.scalars(values, 0, number)
    values.clear()

    batch, *scalars = loop.calls()
    assert claimed(batch) == [jpeg(), jpeg()]
    assert (batch.predictions, batch.ground_truth) == ([1, 2], [1, 2])
    assert [call.values for call in scalars] == [{"loss": float(number)} for number in range(5)]


class PanicException(BaseException):
    """Not an Exception."""


class PanickingNumber:
    """A number whose conversion panics in an extension."""

    def __init__(self, error):
        self.error = error

    def __float__(self):
        raise self.error


class Panicking(Sequence):
    """A list of an extension that panics."""

    def __init__(self, error):
        self.error = error

    def __len__(self):
        raise self.error

    def __getitem__(self, place):
        raise self.error


@pytest.mark.parametrize("error", [PanicException("panic"), ValueError("no"), RecursionError()])
def test_what_a_value_raises_costs_that_value(error):
    """Whether it is an Exception or not: the batch is kept with all other arguments."""
    loop = Loop()
    number, bad = PanickingNumber(error), Panicking(error)
    loop.batch(number, images=[jpeg()], predictions=[1], ground_truth=[1])
    loop.batch(0.5, images=bad, predictions=bad, ground_truth=bad, count=bad)
    loop.capture.scalars({"bad": number, "good": 1.0}, number, number)
    loop.capture.epoch(1, number, number, bad, number, number)

    first, second, scalars, epoch = loop.calls()
    with pytest.raises(type(error)):
        number_of(first.loss)
    assert (claimed(first), first.predictions) == ([jpeg()], [1])
    assert second.loss == 0.5
    assert scalars.values["good"] == 1.0
    assert epoch.epoch == 1


@pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit(3)])
def test_what_ends_a_program_goes_through(error):
    """A signal handler may raise at any moment, even in the middle of a call: it must end the program."""
    with pytest.raises(type(error)):
        Loop().batch(PanickingNumber(error))


def test_a_batch_that_does_not_beat_its_window_is_not_copied():
    """Decided at the call where the loss is a number: the worst of the window waits, and no other."""
    loop = Loop(rate=2.0)
    images = np.zeros((4, 8, 8, 1), np.uint8)
    losses = [random.Random(1).random() for _ in range(100)]
    for loss in losses:
        loop.batch(loss, images=images)
        assert loop.capture.copies.held_bytes <= 2 * images.nbytes

    waiting = [place for place, found in enumerate(loop.images()) if found is not None]
    assert waiting == sorted({0, losses.index(max(losses))})
    assert loop.left_out.of("images", Reason.SAMPLED_OUT) == 4 * (100 - len(waiting))


def test_the_lowest_loss_gives_up_its_images_never_the_newest():
    """Where more images wait than there is room for, in whatever order they came."""
    image = np.zeros((1, 100, 100), np.uint8)
    losses = list(range(30))
    random.Random(2).shuffle(losses)
    loop = Loop(limit_bytes=2 * 10 * image.nbytes)
    for loss in losses:
        loop.batch(float(loss), images=image)

    calls = loop.calls()
    kept = [call.loss for call in calls if claimed(call) is not None]
    assert sorted(kept) == list(range(20, 30))
    assert loop.left_out.of("images", Reason.MEMORY) == 20
    assert len(calls) == 30


def test_nothing_is_given_up_for_a_lower_loss():
    """A new batch with the lowest loss is itself left out."""
    image = np.zeros((1, 100, 100), np.uint8)
    loop = Loop(limit_bytes=4 * image.nbytes)
    for loss in (5.0, 4.0, 1.0):
        loop.batch(loss, images=image)

    assert [found is not None for found in loop.images()] == [True, True, False]


def test_of_a_batch_that_is_too_large_the_first_images_are_kept():
    """As many as there is room for, and at least one."""
    images = np.zeros((8, 100, 100), np.uint8)
    loop = Loop(limit_bytes=2 * 3 * 10_000)
    loop.batch(images=images)
    (found,) = loop.images()

    assert len(found) == 3
    assert loop.left_out.of("images", Reason.MEMORY) == 5
    tiny = Loop(limit_bytes=64)
    tiny.batch(images=images)
    assert [len(found) for found in tiny.images()] == [1]


@given(
    st.lists(
        st.tuples(st.floats(0, 100), st.integers(0, 20), st.booleans()), min_size=1, max_size=60
    ),
    st.sampled_from([2.0, math.inf]),
)
def test_the_account_is_whole(batches, rate):
    """Images given = waiting + taken + left out, at any moment and whatever happens."""
    loop = Loop(limit_bytes=5_000, rate=rate)
    taken = 0
    for loss, count, takes in batches:
        loop.batch(loss, images=np.zeros((count, 8, 8, 1), np.uint8))
        if takes:
            for call in loop.calls():
                pictures = call.images.claim() if call.images else None
                if pictures is not None:
                    taken += call.images.count
                    loop.capture.copies.release(call.images, pictures)
    waiting = 0
    for call in loop.calls():
        waiting += call.images.count if call.images and call.images.is_waiting else 0

    out = sum(count for (what, _), count in loop.left_out.counts.items() if what == "images")
    assert loop.left_out.images_given == sum(count for _, count, _ in batches)
    assert loop.left_out.images_given == taken + waiting + out
    assert 0 <= loop.capture.copies.held_bytes <= 5_000


def test_before_the_bridge_has_answered_everything_waits():
    """What it wants is not known yet: as many are kept as there is room for, and chosen later."""
    loop = Loop(rate=2.0, is_received=False)
    for _ in range(20):
        loop.batch(0.5, images=[jpeg()])

    calls = loop.calls()
    assert all(call.images.is_chosen is None for call in calls)


def test_a_bridge_that_wants_no_images_gets_none():
    """Nothing is copied for it."""
    loop = Loop(rate=0.0)
    loop.batch(images=np.zeros((4, 8, 8, 1)))

    assert loop.images() == [None]
    assert loop.left_out.of("images", Reason.SAMPLED_OUT) == 4


def test_a_full_queue_costs_the_newest_batches():
    """Where the thread cannot keep up, calls are dropped instead of filling the memory; epochs are kept."""
    loop = Loop(limit_bytes=512 * 100)
    for _ in range(150):
        loop.batch()
    loop.capture.epoch(0, 0.5, None, None, None, None)

    assert len(loop.calls()) == 101
    assert loop.left_out.of("batches", Reason.MEMORY) == 50


def test_epochs_take_a_bounded_amount_of_memory():
    """A loop that reports one at every step loses those that are too many, and they are counted."""
    loop = Loop(limit_bytes=512 * 100)
    for _ in range(250):
        loop.capture.epoch(0, 0.5, None, None, None, None)

    assert len(loop.calls()) == 200
    assert loop.left_out.of("epochs", Reason.MEMORY) == 50


def test_large_predictions_are_bounded_too():
    """They displace images first, and are left out where there is still no room."""
    loop = Loop(limit_bytes=4 << 20)
    scores = np.zeros((16, 16_384), np.float32)
    loop.batch(images=np.zeros((16, 100, 100), np.uint8))
    for _ in range(4):
        loop.batch(predictions=scores)

    first, *others = loop.calls()
    assert claimed(first) is None
    assert [call.predictions is not None for call in others] == [True, True, False, False]
    assert loop.left_out.of("predictions", Reason.MEMORY) == 2


@pytest.mark.parametrize(
    "shape", [(8, 512, 320), (16, 21, 12, 12)], ids=["language model", "segmentation"]
)
def test_shapes_are_looked_at_before_anything_is_copied(shape):
    """Scores of more than two dimensions are rejected at once, without taking seconds and gigabytes."""
    loop = Loop()
    loop.batch(predictions=np.zeros(shape, np.float32), ground_truth=np.zeros(shape, int))

    (call,) = loop.calls()
    for captured in (call.predictions, call.ground_truth):
        with pytest.raises(ValueError, match="dimensions"):
            value_of(captured)


ROWS = np.random.default_rng(1).normal(size=(2, 100))
ROWS[0, 50], ROWS[1, 70] = 9, 9
TWO_ROWS = {
    "arrays": tuple(ROWS),
    "arrays of 32 bits": tuple(ROWS.astype(np.float32)),
    "lists": tuple(ROWS.tolist()),
    "tuples": tuple(map(tuple, ROWS.tolist())),
    "arrays of one row": (ROWS[:1], ROWS[1:]),
    "whole logits": (np.eye(100)[50] * 9, np.eye(100)[70] * 9),
    "integer logits": (np.eye(100, dtype=int)[50] * 9, np.eye(100, dtype=int)[70] * 9),
    "saturated": (np.eye(100)[50], np.eye(100)[70]),
    "saturated lists": (np.eye(100)[50].tolist(), np.eye(100)[70].tolist()),
    "integers among floats": ([0] * 50 + [1.0] + [0] * 49, [0.0] * 70 + [1] + [0.0] * 29),
}


@pytest.mark.parametrize("rows", TWO_ROWS.values(), ids=TWO_ROWS)
def test_two_rows_are_scores_of_two_samples(rows):
    """A tuple of two may be two rows, of however many classes: none of them is cut off."""
    loop = Loop()
    loop.batch(predictions=rows)

    (call,) = loop.calls()
    assert [number for number, _ in predictions_of(value_of(call.predictions), 16)] == [50, 70]
    assert call.counted == 2


@pytest.mark.parametrize("name", ["saturated", "saturated lists", "integers among floats"])
def test_two_labels_are_two_labels(name):
    """Two one-hot rows are two labels, never classes and confidences."""
    loop = Loop()
    loop.batch(ground_truth=TWO_ROWS[name])

    (call,) = loop.calls()
    assert classes_of(value_of(call.ground_truth), 16) == [50, 70]
    assert call.counted == 2


@pytest.mark.parametrize(
    "columns",
    [
        (np.arange(100), np.full(100, 0.5)),
        (np.full(100, 0.5), np.arange(100)),
        (list(range(100)), [0.5] * 100),
        (np.full((100, 3), 0.5), np.arange(100)[:, None].repeat(3, 1)),
    ],
    ids=["classes, confidences", "values, indices", "lists", "the k best"],
)
def test_two_columns_are_cut_to_the_first_samples(columns):
    """Of columns, which their types distinguish from rows, no more is copied than is sent."""
    loop = Loop()
    loop.batch(predictions=columns)

    (call,) = loop.calls()
    assert [len(part) for part in value_of(call.predictions)] == [16, 16]
    assert predictions_of(value_of(call.predictions), 16) == [(n, 0.5) for n in range(16)]
    assert call.counted == 100


def test_two_large_rows_are_bounded_too():
    """Copies of a tuple of two count toward the memory limit."""
    loop = Loop(limit_bytes=4 << 20)
    rows = tuple(np.full((2, 65_536), 0.5))
    for _ in range(4):
        loop.batch(predictions=rows)

    assert [call.predictions is not None for call in loop.calls()] == [True, True, False, False]


@pytest.mark.parametrize(
    ("given_", "count"),
    [
        ({"count": 5, "images": [1, 2]}, 5),
        ({"images": [jpeg()] * 3, "ground_truth": [1]}, 3),
        ({"images": np.zeros((64, 64, 3), np.uint8)}, 1),
        ({"images": jpeg()}, 1),
        ({"ground_truth": np.zeros(7)}, 7),
        ({"predictions": np.zeros((6, 3))}, 6),
        ({"predictions": (np.zeros(6), np.zeros(6))}, 6),
        ({"predictions": (np.zeros(6, int), np.full(6, 0.5))}, 6),
        ({"predictions": (np.full(3, 8.5), np.zeros(3, int))}, 3),
        ({"predictions": (np.eye(3)[0], np.eye(3)[1])}, 2),
        ({"predictions": ([0.1, 0.2, 0.7], [0.5, 0.3, 0.2])}, 2),
        ({"predictions": (np.array([-1.0, 2.0, 3.0]), np.zeros(3)), "ground_truth": [1, 2]}, 2),
        ({"ground_truth": (np.eye(3)[0], np.eye(3)[1])}, 2),
        ({}, 0),
    ],
)
def test_samples_are_counted(given_, count):
    """As given, else as many as there are images, classes or predictions of; one picture is one."""
    loop = Loop()
    loop.batch(**given_)

    (call,) = loop.calls()
    assert (call.counted if call.sample_count is None else call.sample_count) == count


class OnlyArray:
    """An object that NumPy can convert, with neither a shape nor a size."""

    def __init__(self, array):
        """Hold it."""
        self.content = array

    def __array__(self, dtype=None, copy=None):
        """Return it."""
        return self.content


def released():
    """Return a view of memory that has been released."""
    view = memoryview(bytearray(b"x"))
    view.release()
    return view


class NoSize(OnlyArray):
    """Raises when its size is read."""

    @property
    def nbytes(self):
        """Raise."""
        raise RuntimeError("no size")

    def __array__(self, dtype=None, copy=None):
        """Raise."""
        raise RuntimeError("no content")


@pytest.mark.parametrize(
    "bad",
    [released(), NoSize(None), OnlyArray, None, [1]],
    ids=["released memory", "no size", "a class", "nothing", "a list"],
)
def test_an_image_whose_size_is_not_known_costs_itself(bad):
    """The other pictures of the list are copied."""
    loop = Loop()
    picture = np.full((8, 8), 100, np.uint8)
    loop.batch(images=[picture, bad, picture])

    first, second, third = loop.images()[0]
    assert type(second) is Unreadable
    assert np.array_equal([first, third], [picture, picture])


class Deleted(OnlyArray):
    """An array whose memory was handed to another owner before it was read."""

    shape, nbytes = (8, 8), 64

    def __array__(self, dtype=None, copy=None):
        """Raise."""
        raise RuntimeError("Array has been deleted")


def test_an_image_that_cannot_be_read_later_costs_itself():
    """An image that is kept without a copy may be gone when it is read."""
    make = type("ArrayImpl", (Deleted,), {"__module__": "jaxlib._jax"})
    loop = Loop()
    picture = np.full((8, 8), 100, np.uint8)
    loop.batch(images=[picture, make(None), picture])

    first, second, third = loop.images()[0]
    assert type(second) is Unreadable
    assert np.array_equal([first, third], [picture, picture])


def test_what_only_gives_its_content_is_a_picture():
    """As a single image, as a batch, and in a list."""
    loop = Loop()
    pictures = np.arange(128, dtype=np.uint8).reshape(2, 8, 8)
    for images in (OnlyArray(pictures), list(map(OnlyArray, pictures))):
        loop.batch(images=images)
    pictures_then = pictures.copy()
    pictures[...] = 0

    assert all(np.array_equal(found, pictures_then) for found in loop.images())


@pytest.mark.parametrize(
    "numbers", [list(jpeg()), array.array("B", jpeg()), [0.5, 0.25], np.arange(64.0).tolist()]
)
def test_a_list_of_numbers_is_one_fault(numbers):
    """A picture as a list of its bytes or values is not a list of that many images."""
    loop = Loop()
    loop.batch(images=numbers)

    assert loop.left_out.of("images", Reason.UNREADABLE) == 1
    assert loop.left_out.of("images", Reason.SAMPLED_OUT) == 0
    assert loop.calls()[0].counted == 0


def test_masked_values_stay_masked():
    """In a batch, in a list, and of one element: masked values are ignored."""
    loop = Loop()
    picture = np.ma.array(np.full((2, 8, 8), 0.5), mask=np.zeros((2, 8, 8)))
    picture[:, :4] = np.ma.masked
    picture.data[:, :4] = 1e20
    loop.batch(images=picture)
    loop.batch(images=list(picture))
    loop.batch(predictions=np.ma.array([[0.5, 0.5]], mask=[[False, True]]))
    picture.data[...] = 0.9
    picture.mask = False

    for image in (image for images in loop.images()[:2] for image in images):
        ((_, shown),), faults = encode_images([image], dimension=8, channels_first=False)
        assert faults == []
        pixels = np.asarray(Image.open(BytesIO(shown)))
        assert abs(pixels[:4].mean()) < 2
        assert abs(pixels[4:].mean() - 128) < 2


class Variable(OnlyArray):
    """An array that looks like another library's."""

    shape = property(lambda self: self.content.shape)
    dtype = property(lambda self: self.content.dtype)
    ndim = property(lambda self: self.content.ndim)

    def __len__(self):
        """Return how many rows it has."""
        return len(self.content)

    def __getitem__(self, rows):
        """Return some of them."""
        return type(self)(self.content[rows])


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("tensorflow.python.ops.resource_variable_ops", "ResourceVariable"),
        ("tensorflow.python.ops.variables", "Variable"),
        ("jax._src.core", "Ref"),
        ("jaxlib.next", "Unheard"),
    ],
)
def test_what_can_be_assigned_to_is_copied(module, name):
    """Only immutable arrays of these packages are kept without a copy; variables are copied."""
    make = type(name, (Variable,), {"__module__": module})
    loop = Loop()
    loss, labels, images = np.array(2.0), np.array([2, 1]), np.full((2, 8, 8), 100, np.uint8)
    loop.batch(make(loss), images=make(images), ground_truth=make(labels))
    loop.batch(images=[make(image) for image in images])
    for content in (loss, labels, images):
        content[...] = 0

    first, second = loop.calls()
    assert number_of(first.loss) == 2.0
    assert list(value_of(first.ground_truth)) == [2, 1]
    assert np.mean(claimed(first)) == np.mean(claimed(second)) == 100


@pytest.mark.parametrize(
    ("module", "name"),
    [("jaxlib._jax", "ArrayImpl"), ("tensorflow.python.framework.ops", "EagerTensor")],
)
def test_arrays_that_never_change_are_kept(module, name):
    """They are read later, and like TensorFlow's may have no `nbytes`."""
    make = type(name, (Variable,), {"__module__": module})
    loop = Loop()
    loop.batch(make(np.array(2.0)), images=make(np.full((2, 8, 8), 100, np.uint8)))

    (call,) = loop.calls()
    assert type(call.loss) is Frozen
    assert number_of(call.loss) == 2.0
    assert np.mean(claimed(call)) == 100
