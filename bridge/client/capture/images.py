"""Images of a batch, copied at the call."""

from collections.abc import Callable
from itertools import islice
from typing import Any, NamedTuple

from bridge.client.capture.device import CapturingError, TransferredArray
from bridge.client.capture.host import (
    HostBuffers,
    as_array,
    copied_array,
    copied_into,
    copy_bytes,
    own_array,
)
from bridge.client.capture.kinds import Kind, kind_of, np, type_name
from bridge.client.capture.tensors import check_tensor
from bridge.client.capture.values import (
    NUMPY,
    Frozen,
    Snapshot,
    Unreadable,
    Values,
)
from bridge.client.encoding.images import batch_layout, copied_picture, has_two_ends
from bridge.client.encoding.isolation import let_through

CHECKED_ELEMENTS = 16
"""How many elements of a list are checked: where all are numbers, it is not a list of images."""

ARRAYS = frozenset({Kind.NUMPY, Kind.TORCH, Kind.FROZEN_ARRAY, Kind.ARRAY})


class GivenImages(NamedTuple):
    """What was given as the images of a batch; only its shape has been read."""

    value: Any
    kind: Kind
    total: int
    is_single: bool
    """One picture, rather than a batch of them."""
    channels_first: bool
    """Of an array; those of a list are each copied in a layout that does not depend on it."""


class Pictures(NamedTuple):
    """The first images of a batch, as they were at the call."""

    images: Any
    """A list, an array (n, ...), or `Later`; arrays may be in a buffer."""
    channels_first: bool
    total: int
    release: Callable[[], None]
    """Give the memory back; `images` must not be used after that."""


class ImageCapture:
    """The images of one call, owned by whoever claims them first: to encode them, or to discard them."""

    __slots__ = ("_pictures", "count", "is_chosen", "loss", "size_bytes")

    def __init__(self, pictures: Pictures, count: int, size_bytes: int, loss: Any) -> None:
        """Hold copies of `count` images."""
        self._pictures = [pictures]
        self.count = count
        self.size_bytes = size_bytes
        self.loss = loss
        """As captured; `Later` until it has arrived."""
        self.is_chosen: bool | None = None
        """None: not decided yet."""

    @property
    def is_waiting(self) -> bool:
        """Return whether they have not been claimed."""
        return bool(self._pictures)

    def peek(self) -> Pictures | None:
        """Return the images without claiming them."""
        return self._pictures[0] if self._pictures else None

    def claim(self) -> Pictures | None:
        """Return the images to the first caller, None to all others; safe in any thread."""
        try:
            return self._pictures.pop()
        except IndexError:
            return None


def given_images(value: Any, samples: int | None) -> GivenImages:
    """Return what was given; raises ValueError or TypeError where that cannot be images."""
    kind = kind_of(value)
    if kind is NUMPY:
        return GivenImages(value, kind, *batch_layout(value.shape, samples), channels_first=False)
    if kind is Kind.ARRAY and not hasattr(value, "shape"):
        value = np.asarray(value)
    if kind in ARRAYS:
        is_torch = kind is Kind.TORCH
        if is_torch and value.is_nested:  # it has no shape: say what is wrong
            check_tensor(value)
        layout = batch_layout(tuple(value.shape), samples)
        return GivenImages(value, kind, *layout, channels_first=is_torch)
    if kind in (Kind.FILE, Kind.BUFFER, Kind.PICTURE):
        return GivenImages((value,), Kind.SEQUENCE, 1, False, False)
    if kind is Kind.SEQUENCE:
        if len(value) and all(map(is_number, islice(value, CHECKED_ELEMENTS))):
            raise TypeError(f"a {type_name(value)} of numbers; give an array, or a file as bytes")
        return GivenImages(value, kind, len(value), False, False)
    raise TypeError(f"a {type_name(value)} is neither an array nor a list of images")


def size_of(given: GivenImages, limit: int) -> int:
    """Return how many bytes a copy of the first `limit` images takes."""
    if given.kind is Kind.SEQUENCE:
        return sum(_size_of_one(image) for image in islice(given.value, limit))
    size = copy_bytes(given.value)
    return size if given.is_single else size * min(limit, given.total) // max(1, given.total)


def copied_images(given: GivenImages, count: int, values: Values, buffers: HostBuffers) -> Pictures:
    """Copy the first `count` images; those on a device are copied by it.

    Raises whatever the library that they come from raises.
    """
    if given.kind is Kind.SEQUENCE:
        return _copied_list(given, count, values)
    rows = given.value
    if given.kind is Kind.TORCH:
        check_tensor(rows)
        rows = rows.detach()
    rows = rows[None] if given.is_single else rows[:count]
    if given.kind is Kind.FROZEN_ARRAY:
        return Pictures(Frozen(rows), given.channels_first, count, _nothing)
    if given.kind is Kind.ARRAY:
        return Pictures(own_array(rows), given.channels_first, count, _nothing)
    if given.kind is Kind.TORCH and values.devices.copier.holds(rows):
        transferred = values.transfer().add(rows, is_separate=True)
        return Pictures(transferred, True, count, transferred.release)
    if given.kind is Kind.TORCH and rows.device.type != "cpu":
        return Pictures(Snapshot(rows), True, count, _nothing)
    rows = as_array(rows)
    buffer = buffers.take(max(1, int(rows.nbytes)))
    copied = copied_into(buffer, rows)
    return Pictures(copied, given.channels_first, count, lambda: buffers.give_back(buffer))


def _copied_list(given: GivenImages, count: int, values: Values) -> Pictures:
    images = [_copied_one(image, values) for image in islice(given.value, count)]
    transferred = [image for image in images if isinstance(image, TransferredArray)]

    def release() -> None:
        for image in transferred:
            image.release()

    return Pictures(images, given.channels_first, count, release)


def _copied_one(image: Any, values: Values) -> Any:
    """Return a copy of one image of a list, or `Unreadable`, without failing the others."""
    try:
        return _copied(image, kind_of(image), values)
    except CapturingError:
        raise
    except BaseException as error:  # noqa: BLE001 -- a Rust extension's panic is not an Exception
        let_through(error)
        return Unreadable(error)


def _copied(image: Any, kind: Kind, values: Values) -> Any:
    if kind is Kind.TORCH:
        return _copied_tensor(image, values)
    copied = _COPIED.get(kind)
    if copied is None:
        return Unreadable(TypeError(f"a {type_name(image)} is not an image"))
    return copied(image)


def _copied_tensor(image: Any, values: Values) -> Any:
    check_tensor(image)
    if has_two_ends(tuple(image.shape)):
        image = image.movedim(-3, -1)  # as in NumPy arrays, which may be in the same list
    if values.devices.copier.holds(image):
        return values.transfer().add(image.detach(), is_separate=True)
    return copied_array(image) if image.device.type == "cpu" else Snapshot(image)


_COPIED: dict[Kind, Callable[[Any], Any]] = {
    Kind.FILE: lambda file: file,
    Kind.BUFFER: bytes,
    Kind.NUMPY: lambda array: array.copy(),
    Kind.PICTURE: copied_picture,
    Kind.FROZEN_ARRAY: Frozen,
    Kind.ARRAY: own_array,
}


def _size_of_one(image: Any) -> int:
    """Return how many bytes a copy takes; 0 where that cannot be read: copying it will fail."""
    try:
        return _size_of_kind(image, kind_of(image))
    except BaseException as error:  # noqa: BLE001 -- anything may be given
        let_through(error)
        return 0


def _size_of_kind(image: Any, kind: Kind) -> int:
    if kind in ARRAYS:
        return copy_bytes(image)
    if kind in (Kind.FILE, Kind.BUFFER):
        return len(image)
    if kind is Kind.PICTURE:
        return int(image.width * image.height * len(image.getbands()))
    return 0


def is_number(value: Any) -> bool:
    """Return whether a value is a plain number, which is not an image."""
    return kind_of(value) is Kind.CONSTANT and not isinstance(value, (str, type(None)))


def _nothing() -> None:
    """Give nothing back."""
