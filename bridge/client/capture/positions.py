"""Where in a run a call belongs: in an epoch, or at a step of the run."""

from typing import Any, TypeAlias

from bridge.client.capture.kinds import Kind, kind_of
from bridge.client.capture.reading import whole_number_of

Position: TypeAlias = tuple[Any, Any, Any]
"""Epoch, batch and step of a batch as captured; without epoch and batch it is counted by steps."""


def known_step(step: Any) -> int | None:
    """Return a captured step as a number; None where there is none, or where it has not arrived from a device."""
    if type(step) is int:
        return step
    if step is None or kind_of(step) is not Kind.CONSTANT:
        return None
    try:
        return whole_number_of(step)
    except (ValueError, OverflowError):  # reported when it is encoded
        return None


def place_of(last: Position, epoch: Any, batch: Any, step: Any) -> Position:
    """Return where a call belongs that may leave out all of these: where the last batch was, as far as they say nothing.

    A step alone, or none of them, stays in the epoch of the last batch.
    """
    if epoch is batch is None:
        return last if step is None else (last[0], last[1], step)
    last_epoch, last_batch = (0 if part is None else part for part in last[:2])
    return (last_epoch if epoch is None else epoch, last_batch if batch is None else batch, step)
