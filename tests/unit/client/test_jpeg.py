"""From whatever a loop calls an image to a JPEG file."""

from io import BytesIO

import numpy as np
import pytest
from PIL import Image
from support.jpegs import jpeg

from bridge.client.jpeg import NotAnImageError, encode_images


class Tensor:
    """As much of a torch tensor as is used."""

    def __init__(self, array):
        """Hold what it holds."""
        self.array = array
        self.shape = array.shape
        self.dtype = "torch.float32"

    def __getitem__(self, place):
        """Return a part."""
        return Tensor(self.array[place])

    def detach(self):
        """Leave the graph."""
        return self

    def cpu(self):
        """Leave the GPU."""
        return self

    def __array__(self, dtype=None, copy=None):
        """Become NumPy's."""
        return self.array


def decoded(images, *, dimension=1_000):
    """Return the pictures as arrays."""
    jpegs, faults = encode_images(images, limit=16, dimension=dimension)
    assert faults == []
    return [np.asarray(Image.open(BytesIO(file))) for _, file in jpegs]


@pytest.mark.parametrize(
    ("shape", "picture"),
    [
        ((2, 24, 16), (24, 16)),
        ((2, 24, 16, 1), (24, 16)),
        ((2, 24, 16, 3), (24, 16, 3)),
        ((2, 24, 16, 4), (24, 16, 3)),
        ((2, 1, 24, 16), (24, 16)),
        ((2, 3, 24, 16), (24, 16, 3)),
    ],
)
def test_batches_of_every_layout(shape, picture):
    """Grey or coloured, channels first or last."""
    assert [found.shape for found in decoded(np.zeros(shape, np.uint8))] == [picture] * 2
    assert [found.shape for found in decoded(list(np.zeros(shape, np.uint8)))] == [picture] * 2


def test_tensors_have_their_channels_first():
    """Where both ends could be the channels, the library decides."""
    array = np.zeros((1, 3, 8, 3), np.float32)

    assert decoded(Tensor(array))[0].shape == (8, 3, 3)
    assert decoded(array)[0].shape == (3, 8, 3)


@pytest.mark.parametrize(
    ("low", "high", "dtype"),
    [
        (0, 255, np.uint8),
        (0, 255, np.int64),
        (0.0, 1.0, np.float32),
        (0.0, 1.0, np.float16),
        (-1.0, 1.0, np.float64),
        (0.0, 255.0, np.float32),
        (-2.1, 2.6, np.float32),
        (False, True, np.bool_),
    ],
)
def test_values_of_every_range(low, high, dtype):
    """The lowest is black and the highest white, whichever way they are written."""
    array = np.full((1, 16, 16), low, dtype)
    array[:, 8:] = high

    picture = decoded(array)[0]

    assert picture[:7].max() <= 2
    assert picture[9:].min() >= 253


@pytest.mark.parametrize("value", [np.nan, np.inf, 300.0, -5.0])
def test_odd_values_are_pictures_too(value):
    """Not-a-number, infinity and one flat value do not stand in the way."""
    assert decoded(np.full((1, 8, 8), value, np.float32))[0].shape == (8, 8)


def test_jpegs_are_left_as_they_are():
    """A ready file is not encoded again."""
    jpegs, _ = encode_images([jpeg()], limit=16, dimension=1_000)

    assert jpegs == [(0, jpeg())]


@pytest.mark.parametrize(
    "image",
    [
        np.zeros((40, 80), np.uint8),
        jpeg(80, 40),
        Image.new("RGBA", (80, 40)),
        Image.new("P", (80, 40)),
    ],
)
def test_large_pictures_are_made_smaller(image):
    """No side has more pixels than allowed, and the shape stays."""
    assert decoded([image], dimension=20)[0].shape[:2] == (10, 20)


def test_no_more_than_the_limit():
    """The first images of a batch are taken."""
    jpegs, _ = encode_images(np.zeros((40, 8, 8), np.uint8), limit=16, dimension=100)

    assert [place for place, _ in jpegs] == list(range(16))


@pytest.mark.parametrize("images", [np.zeros(3), np.zeros((1, 2, 3, 4, 5)), 7, "text", b"bytes"])
def test_what_is_no_batch_of_images(images):
    """The error says what was wrong."""
    with pytest.raises(NotAnImageError):
        encode_images(images, limit=16, dimension=100)


def test_one_bad_image_costs_that_image():
    """The others are encoded, and keep their places."""
    jpegs, faults = encode_images([jpeg(), object(), b"x", jpeg()], limit=16, dimension=100)

    assert [place for place, _ in jpegs] == [0, 3]
    assert len(faults) == 2
