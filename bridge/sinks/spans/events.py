"""Turns what happens to a session into events of its spans."""

from collections.abc import Callable
from typing import Any

from bridge.lifecycle import CommandAnswered, CommandSent, Connected, Disconnected, Event
from bridge.model import Occurrence, Status, StatusChange
from bridge.sinks.spans.span import SpanEvent, attributes, cut_name

DETAILS_LIMIT = 16
"""Details of an event that a span has room for."""

Named = tuple[str, dict[str, Any]]
"""The name and the attributes of a span event."""


def to_span_event(event: Event, received: float) -> SpanEvent | None:
    """Return the event as spans record it, or None for one that they do not record."""
    convert = _CONVERTERS.get(type(event))
    named = convert(event) if convert is not None else None
    if named is None:
        return None
    name, values = named
    return SpanEvent(name, received, attributes(values))


def _status(change: StatusChange) -> Named | None:
    """Return None for a message that only brings a configuration."""
    status = None if change.status is Status.UNKNOWN else change.status.value
    if status is None and not change.message:
        return None
    return "status", {"training.status": status, "training.status.message": change.message}


def _occurrence(occurrence: Occurrence) -> Named:
    details = list(occurrence.details.items())[:DETAILS_LIMIT]
    return "event", {
        "training.event": occurrence.name,
        "training.event.message": occurrence.message,
        "training.event.level": occurrence.level.value,
        "training.epoch": occurrence.epoch,
        "training.batch": occurrence.batch,
        "training.step": occurrence.step,
        **{f"training.event.detail.{cut_name(name)}": value for name, value in details},
    }


def _command_sent(sent: CommandSent) -> Named:
    return "command sent", {
        "training.command": sent.type.name,
        "training.command.id": sent.command_id,
        **{f"training.command.{name}": value for name, value in sent.parameters.items()},
    }


def _command_answered(answered: CommandAnswered) -> Named:
    result = answered.result
    return "command applied" if result.applied else "command refused", {
        "training.command": answered.type.name,
        "training.command.id": result.command_id,
        "training.command.message": result.message,
        "training.epoch": result.epoch,
        "training.batch": result.batch,
    }


_CONVERTERS: dict[type, Callable[[Any], Named | None]] = {
    StatusChange: _status,
    Occurrence: _occurrence,
    CommandSent: _command_sent,
    CommandAnswered: _command_answered,
    Connected: lambda _: ("reconnected", {}),
    Disconnected: lambda _: ("disconnected", {}),
}
