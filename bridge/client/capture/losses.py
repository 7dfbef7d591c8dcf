"""Losses that may not have arrived from a device yet, and how batches are compared by them."""

from math import inf, isfinite
from typing import Any

from bridge.client.capture.images import ImageCapture
from bridge.client.capture.reading import number_of
from bridge.client.encoding.isolation import let_through

LOWEST = -1e300


def has_arrived(loss: Any) -> bool:
    """Return whether a captured number can be read without waiting."""
    return bool(getattr(loss, "has_arrived", True))


def number_or_lowest(loss: Any) -> float:
    """Return a loss that has arrived; `LOWEST` where it cannot be read."""
    try:
        return number_of(loss)
    except BaseException as error:  # noqa: BLE001 -- logged when the batch is encoded
        let_through(error)
        return LOWEST


def loss_while_waiting(images: ImageCapture) -> float | None:
    """Return a loss that has arrived; None where the images have been claimed.

    The memory of the loss may be released then, and hold that of a later batch.
    """
    loss = number_or_lowest(images.loss) if images.is_waiting else None
    return loss if images.is_waiting else None


def badness_of(loss: Any) -> float:
    """Return the value that batches are compared by; a loss that is not known yet may be the highest."""
    if not has_arrived(loss):
        return inf
    number = number_or_lowest(loss)
    return number if isfinite(number) else inf
