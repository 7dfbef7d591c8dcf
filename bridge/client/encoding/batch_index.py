"""Where in a run a message belongs, as the protocol counts it."""

from collections.abc import Callable
from typing import Any, NamedTuple

from bridge.client.capture.reading import count_of, index_of

Read = Callable[[str, Any, Callable[[Any], int]], int | None]
"""Returns a captured value by its name; None where it is unreadable, which is counted."""


class BatchIndex(NamedTuple):
    """Epoch and batch, and the step of the run where that is known."""

    epoch: int
    batch: int
    step: int | None
    is_by_step: bool
    """The loop counts by steps alone: all of them are in epoch 0."""


NOWHERE = BatchIndex(0, 0, None, is_by_step=False)
"""Before the first batch."""


def batch_index_of(epoch: Any, batch: Any, step: Any, read: Read) -> BatchIndex:
    """Return where a captured call belongs. Raises ValueError where nobody could know where it belongs.

    A run without epochs has one, 0, whose batches have the numbers of its steps. Where there are epochs, an
    unreadable step costs only itself.
    """
    if epoch is not None or batch is not None:
        _check_both(epoch, batch)
        index = index_of(epoch, "epoch"), index_of(batch, "batch")
        return BatchIndex(*index, read("step", step, count_of), is_by_step=False)
    if step is None:
        return NOWHERE
    number = index_of(step, "step")
    return BatchIndex(0, number, number, is_by_step=True)


def _check_both(epoch: Any, batch: Any) -> None:
    for name, captured in (("epoch", epoch), ("batch", batch)):
        if captured is None:
            raise ValueError(
                f"{name}: None is not a number; give epoch and batch, or neither of them"
            )
