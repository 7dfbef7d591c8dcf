"""Converts arrays of any type and range to 8-bit pixels."""

from dataclasses import dataclass
from typing import Any, TypeAlias

try:  # an extra, and imported here so that the first picture is as fast as the others
    import numpy as np
except ImportError:  # pragma: no cover
    np = None  # type: ignore[assignment]

from bridge.client.encoding.layouts import channel_axis

Pixels: TypeAlias = "np.ndarray[Any, np.dtype[np.uint8]]"
"""One picture, 0..255, grey (H,W) or RGB (H,W,3); or a channel of one."""

ROUNDING = 0.02
"""The share of a range by which values may leave it through rounding, such as 1.004 in a bfloat16
tensor that was normalised and denormalised."""

OVERSHOOT = 0.25
"""The share of a range by which values may leave it through interpolation, noise and brighter colours."""

OUTLIERS = 1_000
"""One value in so many may be anywhere."""

FAR_NOISE = 1 / 3
"""The share of the values below black, or above white, that may lie beyond the overshoot. With noise of
standard deviation 0.2 about a fifth does."""

DARKEST_WHITE = 25.5
"""A picture of 0..255 has a value of at least a tenth of white, or whole numbers only."""


@dataclass(frozen=True, slots=True)
class Range:
    """Which values are black and white, and how many values may lie outside."""

    black: float
    white: float
    below: float
    """The share of a picture's values that may lie below black."""
    above: float
    """The share that may lie above white."""

    @property
    def is_dark_at_zero(self) -> bool:
        """Return whether nothing below 0 is part of the picture itself."""
        return self.black == 0


UNIT = Range(0.0, 1.0, below=0.25, above=1.0)
SIGNED = Range(-1.0, 1.0, below=0.05, above=0.05)
"""Of standardised values (mean 0, standard deviation 1) about 16 % lie beyond each end."""
BYTE = Range(0.0, 255.0, below=0.25, above=1.0)


def pixels_of(picture: "np.ndarray[Any, Any]", *, channels_first: bool) -> Pixels:
    """Return one picture as bytes, grey (H,W) or RGB (H,W,3).

    Accepts (H,W), (H,W,C) or (C,H,W) with 1, 3 or 4 channels, also with a leading dimension of 1.
    Transparent pixels are shown on white, masked ones black. `channels_first` decides where both ends
    could be the channels. Raises ValueError for anything else.
    """
    if isinstance(picture, np.ma.MaskedArray):
        picture = _without_mask(picture)
    if picture.ndim == 4 and picture.shape[0] == 1:
        picture = picture[0]
    axis = channel_axis(picture.shape, channels_first=channels_first)
    if axis is None:
        return levels_of(picture)
    channels = np.moveaxis(picture, axis, 2)
    if channels.shape[2] == 1:
        return levels_of(channels[:, :, 0])
    if channels.shape[2] == 3:
        return levels_of(channels)
    return _on_white(*_with_opacity(channels))


def levels_of(values: "np.ndarray[Any, Any]") -> Pixels:
    """Return values as 0..255; the range is determined from these values alone.

    Booleans are black and white, unsigned 16-bit integers are 0..65535 by their type. Other
    integers are 0..255 (8-bit ones with negative values -128..127), or 0..65535; floats are 0..1,
    -1..1 or 0..255, and what overshoots is clipped. Values in none of these ranges are stretched from
    their lowest to their highest, without the outermost thousandth. NaN is black.
    """
    dtype = values.dtype
    if dtype == np.uint8:
        return values
    if dtype.kind == "b":
        return values.astype(np.uint8) * np.uint8(255)
    if dtype.kind == "u" and dtype.itemsize == 2:
        return _of_sixteen_bits(values)
    if dtype.kind in "iu":
        return _of_integers(values)
    if dtype.kind == "f":
        return _of_floats(values)
    raise ValueError(f"{dtype} values are not pixels")


def _without_mask(picture: "np.ma.MaskedArray[Any, Any]") -> "np.ndarray[Any, Any]":
    """Return a picture with its masked values replaced by NaN, or by 0 where the type has none."""
    return picture.filled(np.nan if picture.dtype.kind == "f" else 0)


def _with_opacity(channels: "np.ndarray[Any, Any]") -> tuple[Pixels, Pixels]:
    """Return the colours of a picture (H,W,4) and its opacity, whose range is determined separately.

    Where 8-bit integers have a sign, both have; their highest, 127, is opaque.
    """
    colours, alpha = channels[:, :, :3], channels[:, :, 3:]
    if channels.dtype != np.int8:
        return levels_of(colours), levels_of(alpha)
    if channels.min() < 0:
        levels = (channels.astype(np.int16) + 128).astype(np.uint8)
        return levels[:, :, :3], levels[:, :, 3:]
    return levels_of(colours), _scaled(alpha.astype(np.float32), 0, np.iinfo(np.int8).max)


def _on_white(colours: "np.ndarray[Any, Any]", alpha: "np.ndarray[Any, Any]") -> Pixels:
    opacity = alpha.astype(np.uint32)
    blended: Pixels = ((colours * opacity + 255 * (255 - opacity) + 127) // 255).astype(np.uint8)
    return blended


def _of_sixteen_bits(values: "np.ndarray[Any, Any]") -> Pixels:
    return ((values.astype(np.uint32) + 128) // 257).astype(np.uint8)


def _of_integers(values: "np.ndarray[Any, Any]") -> Pixels:
    lowest, highest = int(values.min()), int(values.max())
    if lowest == -1 and highest <= 1:
        return _scaled(values.astype(np.float32), SIGNED.black, SIGNED.white)
    if values.dtype.itemsize == 1 and lowest < 0:
        return (values.astype(np.int16) + 128).astype(np.uint8)
    if lowest >= 0 and highest <= 255:
        return values.astype(np.uint8)
    numbers = values.astype(np.float64)
    if _fits(numbers.ravel(), BYTE):
        return _scaled(numbers, BYTE.black, BYTE.white)
    if lowest >= 0 and highest <= 65_535:
        return _of_sixteen_bits(values)
    return _stretched(numbers, numbers.ravel())


def _of_floats(values: "np.ndarray[Any, Any]") -> Pixels:
    with np.errstate(all="ignore"):  # NaN, infinity and overflow are handled
        numbers = values.astype(np.float32 if values.dtype.itemsize <= 4 else np.float64)
        if (
            numbers.min() >= -ROUNDING and numbers.max() <= 1 + ROUNDING
        ):  # the common case, without NaN
            return _scaled(numbers, UNIT.black, UNIT.white)
        finite = numbers[np.isfinite(numbers)]
        if not finite.size:
            return _scaled(numbers, UNIT.black, UNIT.white)
        for wanted in (UNIT, SIGNED, BYTE):
            if _fits(finite, wanted):
                return _scaled(numbers, wanted.black, wanted.white)
        return _stretched(numbers.astype(np.float64), finite.astype(np.float64))


def _fits(values: "np.ndarray[Any, Any]", wanted: Range) -> bool:
    """Return whether finite values are in this range, apart from overshoot, outliers and noise."""
    return _fits_closely(values, wanted) or (wanted.is_dark_at_zero and _is_noisy(values, wanted))


def _is_noisy(values: "np.ndarray[Any, Any]", wanted: Range) -> bool:
    """Return whether this is a picture of a range from 0, with noise far below its black.

    Most of the noise around black and white is close to them, whereas in a picture of -1..1 what is
    darker than mid-grey is anywhere down to -1, and nothing is above 1.
    """
    white, reach, few = wanted.white, OVERSHOOT * wanted.white, values.size // OUTLIERS
    below, above = np.count_nonzero(values < 0), np.count_nonzero(values > white)
    return bool(
        min(below, above) > few
        and np.count_nonzero(values < -reach) <= FAR_NOISE * below
        and np.count_nonzero(values > white + reach) <= FAR_NOISE * above
        and np.count_nonzero(values <= -white) <= few
    )


def _fits_closely(values: "np.ndarray[Any, Any]", wanted: Range) -> bool:
    black, white = wanted.black, wanted.white
    span = white - black
    is_far = (values < black - OVERSHOOT * span) | (values > white + OVERSHOOT * span)
    far = int(np.count_nonzero(is_far))
    if far > (max(1, values.size // OUTLIERS) if values.size >= 16 else 0):
        return False
    core = values[~is_far] if far else values
    below = np.count_nonzero(core < black - ROUNDING * span)
    above = np.count_nonzero(core > white + ROUNDING * span)
    if below > wanted.below * core.size or above > wanted.above * core.size:
        return False
    if wanted is BYTE:
        return _uses_bytes(core, must_be_bright=far > 0)
    return not far or _has_fractions(core)


def _uses_bytes(values: "np.ndarray[Any, Any]", *, must_be_bright: bool) -> bool:
    """Return whether values are 0..255 rather than a few units around 0."""
    if values.max() >= DARKEST_WHITE:
        return True
    return not must_be_bright and bool(values.min() >= 0) and not _has_fractions(values)


def _has_fractions(values: "np.ndarray[Any, Any]") -> bool:
    """Return whether any value is not a whole number; a few whole ones beside an outlier do not prove a range."""
    return bool((values != np.rint(values)).any())


def _stretched(numbers: "np.ndarray[Any, Any]", finite: "np.ndarray[Any, Any]") -> Pixels:
    """Map the lowest value to black and the highest to white; a single value becomes mid-grey."""
    outliers = finite.size // OUTLIERS
    ordered = np.partition(finite, (outliers, finite.size - 1 - outliers))
    lowest, highest = float(ordered[outliers]), float(ordered[finite.size - 1 - outliers])
    if lowest == highest:  # all but the outliers are the same
        lowest, highest = float(finite.min()), float(finite.max())
    if lowest == highest:
        return np.full(numbers.shape, 128, np.uint8)
    with np.errstate(all="ignore"):
        return _scaled(
            numbers / 4, lowest / 4, highest / 4
        )  # the difference of large ones may overflow


def _scaled(values: "np.ndarray[Any, Any]", black: float, white: float) -> Pixels:
    levels = (values - black) * (255 / (white - black))
    return np.nan_to_num(np.rint(np.clip(levels, 0, 255)), nan=0.0).astype(np.uint8)
