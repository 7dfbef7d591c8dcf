"""Captures what a training loop reports as events, under few names."""

import time
from collections.abc import Mapping
from itertools import islice
from typing import Any

from bridge.client.calls import EventCall
from bridge.client.capture.kinds import Kind, kind_of
from bridge.client.capture.positions import Position
from bridge.client.capture.values import Values
from bridge.client.encoding.encoder import text
from bridge.client.encoding.isolation import let_through
from bridge.client.left_out import LeftOut, Reason
from bridge.client.plain_values import plain_value

LEVELS = ("info", "warning", "error")
"""By number of the protocol's Event.Level."""

MAX_NAMES = 64
"""Names of events in one session: each is a label of a series."""

NAME_CHARACTERS = 128
OTHER = "other"
"""The name of events beyond those."""

MAX_DETAILS = 64
DETAIL_CHARACTERS = 256


class EventCapture:
    """Reads the arguments of events as they are at the call; what cannot be used is left out and counted."""

    def __init__(self, values: Values, account: LeftOut) -> None:
        """Capture numbers on a device with `values`; count into `account`."""
        self._values = values
        self._account = account
        self._names: set[str] = set()

    def read(
        self, position: Position, name: Any, message: Any, level: Any, details: Mapping[str, Any]
    ) -> EventCall | None:
        """Return a captured event; None for one without a name. Raises ValueError in strict mode."""
        at = time.monotonic()
        named = self._name(name)
        if named is None:
            return None
        explained = self._message(message)
        sent = self._known(named)
        if sent != named:
            explained = f"{named}: {explained}" if explained else named
        number = self._level(level)
        captured = self._details(details)
        return EventCall(
            at, sent, explained, number, captured, *position, transfer=self._values.seal()
        )

    def _name(self, name: Any) -> str | None:
        named = text(name).strip() if isinstance(name, str) else ""
        if named:
            return named
        given = "an empty text" if isinstance(name, str) else f"a {type(name).__name__}"
        error = ValueError(f"name: {given} is not the name of an event; give a short text")
        self._account.add("events", Reason.UNREADABLE, error=error)
        return None

    def _known(self, name: str) -> str:
        """Return the name that is sent: at most so many different ones, each short enough for a label."""
        short = name if len(name) <= NAME_CHARACTERS else f"{name[: NAME_CHARACTERS - 3]}..."
        if short in self._names or len(self._names) < MAX_NAMES:
            self._names.add(short)
            return short
        error = ValueError(
            f"more than {MAX_NAMES} names in this session, so this one is sent as {OTHER!r}; put what"
            " varies into the message or the details"
        )
        self._account.add("names of events", Reason.UNREADABLE, error=error)
        return OTHER

    def _message(self, message: Any) -> str:
        try:
            return "" if message is None else text(message)
        except BaseException as error:  # noqa: BLE001 -- __str__ may raise anything
            let_through(error)
            fault = error
        self._account.add("message", Reason.UNREADABLE, error=fault)
        return ""

    def _level(self, level: Any) -> int:
        if isinstance(level, str) and level.lower() in LEVELS:
            return LEVELS.index(level.lower())
        given = repr(level[:32]) if isinstance(level, str) else f"a {type(level).__name__}"
        error = ValueError(f"{given} is not a level; give one of {', '.join(LEVELS)}")
        self._account.add("level", Reason.UNREADABLE, error=error)
        return 0

    def _details(self, details: Mapping[str, Any]) -> dict[str, Any]:
        if len(details) > MAX_DETAILS:
            error = ValueError(f"more than {MAX_DETAILS}: only the first are sent")
            self._account.add("details", Reason.UNREADABLE, error=error)
        captured: dict[str, Any] = {}
        for name, value in islice(details.items(), MAX_DETAILS):
            try:
                captured[text(name)[:DETAIL_CHARACTERS]] = self._detail(value)
            except BaseException as error:  # noqa: BLE001 -- anything may be given
                let_through(error)
                fault = error
            else:
                continue
            self._account.add(f"details[{text(name)[:64]!r}]", Reason.UNREADABLE, error=fault)
        return captured

    def _detail(self, value: Any) -> Any:
        """Return a detail as text, or a number that is still on its way from a device."""
        kind = kind_of(value)
        if kind is Kind.TORCH and value.numel() == 1 and not value.is_meta:
            return self._values.number(value)
        if kind is Kind.FROZEN_ARRAY and getattr(value, "size", 0) == 1:
            return self._values.number(value)
        return str(plain_value(value))[:DETAIL_CHARACTERS]
