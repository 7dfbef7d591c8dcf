"""What happens to a session, as events of its spans."""

from collections.abc import Callable
from typing import Any

from bridge.model import (
    CommandAnswered,
    CommandSent,
    Connected,
    Disconnected,
    Event,
    Status,
    StatusChange,
)
from bridge.sinks.spans.span import SpanEvent, attributes

Words = tuple[str, dict[str, Any]]


def described(event: Event, received: float) -> SpanEvent | None:
    """Return the event as spans tell it, or None for one that they do not."""
    describe = _WORDS.get(type(event))
    words = describe(event) if describe is not None else None
    if words is None:
        return None
    name, found = words
    return SpanEvent(name, received, attributes(found))


def _status(change: StatusChange) -> Words | None:
    """Describe what is reported; a message that only brings a configuration reports no status."""
    status = None if change.status is Status.UNKNOWN else change.status.value
    if status is None and not change.message:
        return None
    return "status", {"training.status": status, "training.status.message": change.message}


def _command_sent(sent: CommandSent) -> Words:
    return "command sent", {
        "training.command": sent.type.name,
        "training.command.id": sent.command_id,
        **{f"training.command.{name}": value for name, value in sent.parameters.items()},
    }


def _command_answered(answered: CommandAnswered) -> Words:
    result = answered.result
    return "command applied" if result.applied else "command refused", {
        "training.command": answered.type.name,
        "training.command.id": result.command_id,
        "training.command.message": result.message,
        "training.epoch": result.epoch,
        "training.batch": result.batch,
    }


_WORDS: dict[type, Callable[[Any], Words | None]] = {
    StatusChange: _status,
    CommandSent: _command_sent,
    CommandAnswered: _command_answered,
    Connected: lambda _: ("reconnected", {}),
    Disconnected: lambda _: ("disconnected", {}),
}
