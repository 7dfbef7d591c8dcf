"""The images of a batch that is plainly images and labels."""

from collections.abc import Callable
from typing import Any

Images = Callable[[Any, Any], tuple[Any, Any, Any] | None]
"""Takes a batch, or a model's arguments by name, and what was made of it; returns images, predictions and truth, or None."""

CHANNELS = (1, 3, 4)

NOTHING = (None, None, None)

PREDICTIONS = ("logits", "predictions", "preds")
"""Under these names a training step may return what the model has predicted."""


def images_and_labels(batch: Any, outputs: Any) -> tuple[Any, Any, Any]:
    """Return images, predictions and ground truth of a batch, as far as it is plain what they are.

    Plain is a pair of images (N,C,H,W) or (N,H,W,C), with 1, 3 or 4 channels, and whole numbers (N,).
    """
    if not isinstance(batch, tuple | list) or len(batch) != 2:
        return NOTHING
    images, labels = batch
    shape, count = _shape(images), _shape(labels)
    if len(shape) != 4 or count != shape[:1] or not is_whole(labels):
        return NOTHING
    if shape[1] not in CHANNELS and shape[3] not in CHANNELS:
        return NOTHING
    return images, _predictions(outputs), labels


def _predictions(outputs: Any) -> Any:
    get = getattr(outputs, "get", None)
    return next((get(name) for name in PREDICTIONS if get(name) is not None), None) if get else None


def _shape(value: Any) -> tuple[int, ...]:
    return tuple(getattr(value, "shape", ()))


def is_whole(labels: Any) -> bool:
    """Return whether an array or a tensor holds whole numbers, as classes are."""
    return "int" in str(getattr(labels, "dtype", ""))
