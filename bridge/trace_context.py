"""Identities of traces and spans: the W3C trace context of a client, and the ids a session attempt has by itself."""

import re
from dataclasses import dataclass
from hashlib import sha256

TRACEPARENT = re.compile(
    r"(?!ff)[0-9a-f]{2}"
    r"-(?!0{32})(?P<trace_id>[0-9a-f]{32})"
    r"-(?!0{16})(?P<span_id>[0-9a-f]{16})"
    r"-(?P<flags>[0-9a-f]{2})"
)
"""https://www.w3.org/TR/trace-context/#traceparent-header, version 00."""

SAMPLED = 0x01


@dataclass(frozen=True, slots=True)
class TraceContext:
    """The span a client was in when it registered."""

    trace_id: str
    """32 hex digits."""
    span_id: str
    """16 hex digits."""
    flags: int

    @property
    def is_sampled(self) -> bool:
        """Whether the client records the trace, so that it has spans of it to show."""
        return bool(self.flags & SAMPLED)

    @property
    def traceparent(self) -> str:
        """The value of the header, from which `parse` returns the same again."""
        return f"00-{self.trace_id}-{self.span_id}-{self.flags:02x}"

    @classmethod
    def parse(cls, traceparent: str) -> "TraceContext | None":
        """Return the context of a traceparent header, or None where it is malformed."""
        match = TRACEPARENT.fullmatch(traceparent)
        return cls(match["trace_id"], match["span_id"], int(match["flags"], 16)) if match else None


def trace_id_of(session_id: str, attempt: int) -> str:
    """Return the trace id of a session attempt: 32 hex digits, the same after a restart."""
    return _digest("trace", session_id, attempt)[:32]


def span_id_of(session_id: str, attempt: int, name: str) -> str:
    """Return the id of one span of a session attempt: 16 hex digits, the same after a restart."""
    return _digest("span", session_id, attempt, name)[:16]


def _digest(*parts: object) -> str:
    """Hash the parts; all zeros, which W3C Trace Context forbids, does not happen in practice."""
    return sha256("/".join(map(str, parts)).encode()).hexdigest()
