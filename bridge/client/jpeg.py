"""From whatever a training loop calls an image to a JPEG file."""

from collections.abc import Sequence
from io import BytesIO
from typing import Any

try:  # both are extras, and imported here so that the loop's first call is as fast as the others
    import numpy as np
except ImportError:  # pragma: no cover
    np = None  # type: ignore[assignment]
try:
    from PIL import Image, JpegImagePlugin  # noqa: F401 -- the plugin would be imported at first use
except ImportError:  # pragma: no cover
    Image = None  # type: ignore[assignment]

QUALITY = 90
START_OF_JPEG = b"\xff\xd8\xff"
CHANNELS = (1, 3, 4)

Jpegs = list[tuple[int, bytes]]
"""JPEG files, each with the place in the batch that it had."""


class NotAnImageError(ValueError):
    """Nothing that can be shown as a picture."""


def encode_images(images: Any, *, limit: int, dimension: int) -> tuple[Jpegs, list[Exception]]:
    """Return the first `limit` images as JPEGs, and what was wrong with those that are missing.

    Takes a batch as an array or tensor (N,H,W), (N,H,W,C) or (N,C,H,W), or a list whose elements are
    arrays (H,W), (H,W,C), (C,H,W), PIL images, or ready JPEG files as bytes. Values are 0..255, or
    floats 0..1 or -1..1; floats of any other range are stretched from their lowest to their highest.
    Pictures with more than `dimension` pixels a side are made smaller.
    """
    jpegs: Jpegs = []
    faults: list[Exception] = []
    for position, image in enumerate(_pictures(images, limit)):
        try:
            jpegs.append((position, _jpeg(image, dimension)))
        except Exception as error:  # noqa: BLE001 -- one bad image costs that image
            faults.append(error)
    return jpegs, faults


def _pictures(images: Any, limit: int) -> Sequence[Any]:
    """Cut the batch down before anything is copied, and bring its values to 0..255."""
    if isinstance(images, Sequence) and not isinstance(images, (bytes, bytearray, str)):
        return [_pixels(image) if hasattr(image, "shape") else image for image in images[:limit]]
    if not hasattr(images, "shape"):
        raise NotAnImageError(f"images: {type(images).__name__} is neither an array nor a list")
    if len(images.shape) not in (3, 4):
        raise NotAnImageError(f"images: a batch has 3 or 4 dimensions, not {len(images.shape)}")
    first = is_tensor(images)
    return [_channels_last(pixels, first=first) for pixels in _bytes_of(as_array(images[:limit]))]


def is_tensor(value: Any) -> bool:
    """Tell whether this is a torch tensor, without knowing torch."""
    return hasattr(value, "detach") and hasattr(value, "cpu")


def as_array(value: Any) -> "np.ndarray[Any, Any]":
    """Copy an array of whichever library into NumPy's; waits for a GPU where it lies on one."""
    if np is None:
        raise NotAnImageError("arrays need NumPy")
    if is_tensor(value):
        value = value.detach().cpu()
        if str(value.dtype) == "torch.bfloat16":  # which NumPy does not have
            value = value.float()
    array: np.ndarray[Any, Any] = np.asarray(value)
    return array


def _pixels(image: Any) -> "np.ndarray[Any, Any]":
    if len(image.shape) not in (2, 3):
        raise NotAnImageError(f"images: an image has 2 or 3 dimensions, not {len(image.shape)}")
    return _channels_last(_bytes_of(as_array(image)), first=is_tensor(image))


def _bytes_of(values: "np.ndarray[Any, Any]") -> "np.ndarray[Any, Any]":
    """Bring values to 0..255."""
    if values.dtype == np.uint8:
        return values
    if values.dtype == np.bool_:
        return values.astype(np.uint8) * 255
    if values.dtype.kind not in "iuf":
        raise NotAnImageError(f"images: {values.dtype} is no kind of pixel")
    if values.size == 0:
        raise NotAnImageError("images: there is nothing in them")
    finite = np.nan_to_num(values.astype(np.float32), posinf=0.0, neginf=0.0)
    lowest, highest = _range_of(finite)
    scaled = (finite - lowest) * (255.0 / max(highest - lowest, 1e-9))
    pixels: np.ndarray[Any, Any] = np.clip(np.rint(scaled), 0, 255).astype(np.uint8)
    return pixels


def _range_of(values: "np.ndarray[Any, Any]") -> tuple[float, float]:
    """Guess which values mean black and white."""
    lowest, highest = float(values.min()), float(values.max())
    for black, white in ((0.0, 1.0), (-1.0, 1.0), (0.0, 255.0)):
        if black <= lowest and highest <= white:
            return black, white
    return lowest, highest


def _channels_last(pixels: "np.ndarray[Any, Any]", *, first: bool) -> "np.ndarray[Any, Any]":
    """Return (H,W) or (H,W,3); `first` decides where both ends could be the channels."""
    if pixels.ndim == 2:
        return pixels
    ends = (pixels.shape[0], pixels.shape[-1]) if first else (pixels.shape[-1], pixels.shape[0])
    wanted = next((end for end in ends if end in CHANNELS), None)
    if wanted is None:
        raise NotAnImageError(f"images: {pixels.shape} has no end with 1, 3 or 4 channels")
    is_first = wanted == pixels.shape[0] and (first or pixels.shape[-1] != wanted)
    turned = pixels.transpose(1, 2, 0) if is_first else pixels
    return turned[:, :, 0] if wanted == 1 else turned[:, :, :3]


def _jpeg(image: Any, dimension: int) -> bytes:
    if isinstance(image, (bytes, bytearray, memoryview)):
        return _checked(bytes(image), dimension)
    if Image is None:
        raise NotAnImageError("making JPEGs needs Pillow: pip install trainbridge[images]")
    if np is not None and isinstance(image, np.ndarray):
        return _written(Image.fromarray(np.ascontiguousarray(image)), dimension)
    if isinstance(image, Image.Image):
        return _written(image, dimension)
    raise NotAnImageError(f"images: {type(image).__name__} is no image")


def _checked(file: bytes, dimension: int) -> bytes:
    """Return a file as it is if it is a JPEG of at most the size allowed, else a new one."""
    is_jpeg = file.startswith(START_OF_JPEG)
    if Image is None:
        if is_jpeg:
            return file
        raise NotAnImageError("images: these bytes are no JPEG file")
    with Image.open(BytesIO(file)) as picture:
        if is_jpeg and max(picture.size) <= dimension:
            return file
        return _written(picture, dimension)


def _written(picture: "Image.Image", dimension: int) -> bytes:
    if picture.mode not in ("RGB", "L"):
        picture = picture.convert("RGB")
    if max(picture.size) > dimension:
        picture = picture.copy()
        picture.thumbnail((dimension, dimension))
    file = BytesIO()
    picture.save(file, "JPEG", quality=QUALITY)
    return file.getvalue()
