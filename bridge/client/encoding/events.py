"""Events as the protocol says them."""

from collections.abc import Callable
from typing import Any

from bridge.client.calls import EventCall
from bridge.client.capture.reading import number_of
from bridge.client.encoding.batch_index import BatchIndex
from bridge.wire import metrics_pb2 as wire

Read = Callable[[str, Any, Callable[[Any], str]], str | None]
"""Returns a captured value by its name; None where it is unreadable, which is counted."""


def event(call: EventCall, index: BatchIndex, read: Read) -> wire.Event:
    """Return the protocol's message; a detail that has not arrived from its device is left out."""
    details = {
        name: read(f"details[{name[:64]!r}]", value, _detail)
        for name, value in call.details.items()
    }
    return wire.Event(
        name=call.name,
        message=call.message,
        level=wire.Event.Level.ValueType(call.level),
        details={name: value for name, value in details.items() if value is not None},
        epoch=index.epoch,
        batch_idx=index.batch,
        global_step=index.step,
    )


def _detail(captured: Any) -> str:
    return captured if isinstance(captured, str) else f"{number_of(captured):.9g}"
