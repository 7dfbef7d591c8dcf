"""A finished span, as it waits in the outbox."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from hashlib import sha256
from typing import Any

TEXT_LIMIT = 1_024
"""Characters; longer texts are cut: trace backends are not made for them, and one span must not fill a request."""

NAME_LIMIT = 128

Value = str | bool | int | float


class Outcome(StrEnum):
    """The status of a span."""

    UNSET = "unset"
    OK = "ok"
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class SpanEvent:
    """Something that happened within a span."""

    name: str
    at: float
    """Seconds since 1970, as all times here."""
    attributes: Mapping[str, Value] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class SpanLink:
    """A link to a related span."""

    trace_id: str
    span_id: str
    attributes: Mapping[str, Value] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Span:
    """One span; ids are hex digits, `parent_id` is "" for the first one of a trace."""

    name: str
    trace_id: str
    span_id: str
    start: float
    end: float
    parent_id: str = ""
    is_parent_remote: bool = False
    attributes: Mapping[str, Value] = field(default_factory=dict)
    events: tuple[SpanEvent, ...] = ()
    links: tuple[SpanLink, ...] = ()
    outcome: Outcome = Outcome.UNSET
    message: str = ""
    """The reason for an error."""

    def to_json(self) -> str:
        """Return what `from_json` takes."""
        return as_json(self)

    @classmethod
    def from_json(cls, text: str) -> "Span":
        """Return the span that `to_json` was called on."""
        state = json.loads(text)
        state["events"] = tuple(SpanEvent(**event) for event in state["events"])
        state["links"] = tuple(SpanLink(**link) for link in state["links"])
        state["outcome"] = Outcome(state["outcome"])
        return cls(**state)


def as_json(value: object) -> str:
    """Return dataclasses with slots as JSON; `asdict`, which copies deeply, takes five times as long."""
    return json.dumps(value, default=_parts, separators=(",", ":"), allow_nan=False)


def attributes(values: Mapping[str, Any]) -> dict[str, Value]:
    """Return the values that are neither empty nor non-finite, which many backends cannot store."""
    return {name: cut(value) for name, value in values.items() if _is_storable(value)}


def cut(value: Value) -> Value:
    """Return a value, cut if it is a long text."""
    return value[:TEXT_LIMIT] if isinstance(value, str) else value


def cut_name(name: str) -> str:
    """Return a name, cut if it is long; two different names stay different."""
    if len(name) <= NAME_LIMIT:
        return name
    digest = sha256(name.encode("utf-8", "surrogatepass")).hexdigest()
    return f"{name[:NAME_LIMIT]}~{digest[:10]}"


def _parts(value: Any) -> dict[str, Any]:
    return {name: getattr(value, name) for name in value.__slots__}


def _is_storable(value: object) -> bool:
    if isinstance(value, float):
        return math.isfinite(value)
    return value is not None and value != ""
