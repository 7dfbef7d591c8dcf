"""Reads captured values as plain values, once they have arrived."""

from math import inf, isfinite, isnan, nan
from typing import Any

from bridge.client.capture.device import TransferredArray
from bridge.client.capture.images import Pictures
from bridge.client.capture.values import BestRows, Frozen, Snapshot, Unreadable
from bridge.client.encoding import scalars
from bridge.client.encoding.isolation import fault_from
from bridge.client.encoding.output_layout import is_distribution
from bridge.client.encoding.predictions import NO_CLASS

UINT32_MAX = (1 << 32) - 1
INT64_MAX = (1 << 63) - 1

LATER = (TransferredArray, Frozen, Snapshot)


class NotArrivedError(RuntimeError):
    """A device was asked for a copy and has not delivered it."""


def value_of(captured: Any) -> Any:
    """Return a captured value in host memory; raises the error of an unreadable one."""
    if type(captured) is Unreadable:
        raise captured.error
    if type(captured) is BestRows:
        return _predictions(captured.parts.array)
    if isinstance(captured, LATER):
        if not captured.has_arrived and type(captured) is TransferredArray:
            raise NotArrivedError("the device did not deliver its copy")
        return captured.array
    if type(captured) in (list, tuple):
        return type(captured)(value_of(part) for part in captured)
    return captured


def number_of(captured: Any) -> float:
    """Return a captured number; raises as `scalars.number_of` does, or the error of an unreadable one."""
    return scalars.number_of(value_of(captured))


def whole_number_of(captured: Any) -> int:
    """Return a captured whole number; raises as `number_of` does, and ValueError for a fraction."""
    value = value_of(captured)
    if type(value) is int:
        return value
    number = scalars.number_of(value)
    if not number.is_integer():
        raise ValueError(f"{number:g} is not a whole number")
    return int(number)


def index_of(captured: Any, name: str) -> int:
    """Return a captured number of an epoch or a batch; raises ValueError, which calls it by `name`."""
    if captured is None:
        raise ValueError(f"{name}: None is not a number; count from 0 or from 1")
    number = whole_number_of(captured)
    if not 0 <= number <= UINT32_MAX:
        raise ValueError(
            f"{name}: {number} is not a number from 0 to {UINT32_MAX}; count from 0 or from 1"
        )
    return number


def count_of(captured: Any) -> int:
    """Return a captured number of steps or tokens; raises ValueError for what cannot be one."""
    number = whole_number_of(captured)
    if not 0 <= number <= INT64_MAX:
        raise ValueError(f"{number} is not a number from 0 to {INT64_MAX}")
    return number


def rate_of(captured: Any) -> float:
    """Return a captured learning rate; raises as `number_of` does, and ValueError for what cannot be one."""
    rate = number_of(captured)
    if not isfinite(rate) or rate < 0:
        raise ValueError(f"{rate:g} is not a learning rate; leave it out where it is not known")
    return rate


def ratio_of(captured: Any, name: str = "accuracy") -> float:
    """Return a captured ratio; raises as `number_of` does, and ValueError, which says `name`, for one outside 0..1."""
    return scalars.ratio_of(value_of(captured), name)


def images_of(pictures: Pictures) -> list[Any]:
    """Return captured images as a list of arrays, Pillow images and files, or `Unreadable`."""
    if not isinstance(pictures.images, list):
        return list(value_of(pictures.images))
    return [_image_of(image) for image in pictures.images]


def _image_of(image: Any) -> Any:
    """Return one image of a list, or `Unreadable`, without failing the others."""
    if type(image) is Unreadable:
        return image
    try:
        return value_of(image)
    except NotArrivedError:
        raise
    except BaseException as error:  # noqa: BLE001 -- a Rust extension's panic is not an Exception
        return Unreadable(fault_from(error))


def _predictions(parts: Any) -> list[tuple[int, float]]:
    """Return class and confidence of each row of scores that a device has reduced (`best_rows`)."""
    rows = parts.T.tolist()
    are_probabilities = all(
        is_distribution(total, low) for best, *_, total, low in rows if not isnan(best)
    )
    return [_best(*row[:4], are_probabilities=are_probabilities) for row in rows]


def _best(
    best: float, class_: float, weight: float, infinite: float, *, are_probabilities: bool
) -> tuple[int, float]:
    if isnan(best) or best == -inf:
        return NO_CLASS, nan
    if are_probabilities:
        return int(class_), min(best, 1.0)
    return int(class_), 1 / (infinite if best == inf else weight)
