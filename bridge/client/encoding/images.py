"""From whatever a training loop calls images to JPEG files, each picture judged alone."""

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

try:  # both are extras, and imported here so that the loop's first call is as fast as the others
    import numpy as np
except ImportError:  # pragma: no cover
    np = None  # type: ignore[assignment]
try:
    from PIL import Image
except ImportError:  # pragma: no cover
    Image = None  # type: ignore[assignment]

from bridge.client.encoding.files import jpeg_of_file
from bridge.client.encoding.isolation import fault_from
from bridge.client.encoding.layouts import batch_layout, has_two_ends
from bridge.client.encoding.pictures import copied_picture, jpeg_of_picture, jpeg_of_pixels
from bridge.client.encoding.pixels import pixels_of

__all__ = [
    "Faults",
    "Jpegs",
    "Picture",
    "batch_layout",
    "copied_picture",
    "encode_images",
    "has_two_ends",
]

Picture: TypeAlias = "np.ndarray[Any, Any] | bytes | bytearray | memoryview | Image.Image"
"""One picture in the host's memory: an array, a file, or a Pillow image."""

Jpegs = list[tuple[int, bytes]]
"""JPEG files, each with its place among the pictures given."""

Faults = list[tuple[int, Exception]]
"""What was wrong with pictures, each with its place."""


def encode_images(
    pictures: Sequence[Picture],
    *,
    dimension: int,
    channels_first: bool,
    is_over: Callable[[], bool] = lambda: False,
) -> tuple[Jpegs, Faults]:
    """Return the pictures as JPEGs of at most `dimension` pixels a side, and what was wrong.

    Arrays are (H,W), (H,W,C) or (C,H,W); see `pixels.levels_of` for their values. `channels_first`:
    they come from a library whose pictures are (C,H,W), which decides where both ends could be the
    channels. What a picture raises costs that picture.
    No further picture is begun once `is_over`; those that are left are in neither list.
    """
    jpegs: Jpegs = []
    faults: Faults = []
    for place, picture in enumerate(pictures):
        if is_over():
            break
        try:
            jpegs.append((place, _jpeg_of(picture, dimension, channels_first=channels_first)))
        except BaseException as error:  # noqa: BLE001 -- anything may be given
            faults.append((place, fault_from(error)))
    return jpegs, faults


def _jpeg_of(picture: Any, dimension: int, *, channels_first: bool) -> bytes:
    if isinstance(picture, (bytes, bytearray, memoryview)):
        return jpeg_of_file(bytes(picture), dimension)
    if Image is not None and isinstance(picture, Image.Image):
        return jpeg_of_picture(picture, dimension)
    if np is not None and isinstance(picture, np.ndarray):
        return jpeg_of_pixels(pixels_of(picture, channels_first=channels_first), dimension)
    hint = "; give the file's bytes" if isinstance(picture, str) else ""
    raise ValueError(
        f"{type(picture).__name__} is neither an array, a Pillow image nor bytes{hint}"
    )
