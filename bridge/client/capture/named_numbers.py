"""Captures the numbers of one call of log_scalars, by name."""

from collections.abc import Mapping
from itertools import islice
from typing import Any

from bridge.client.capture.kinds import type_name
from bridge.client.capture.values import Values
from bridge.client.encoding.isolation import let_through
from bridge.client.left_out import LeftOut, Reason

MAX_SCALARS = 1_000
"""How many numbers one call of log_scalars may have; a bridge shows 50 names of a session."""


class NamedNumbers:
    """Captures numbers by name, each as it is at the call."""

    def __init__(self, values: Values, left_out: LeftOut) -> None:
        """Capture with `values`; what cannot be used is counted in `left_out`."""
        self._values = values
        self._left_out = left_out

    def numbers(self, values: Any) -> Mapping[str, Any]:
        """Return numbers by name; a name that is not a string is converted to one that no other number has."""
        try:
            given = dict(values)
            if len(given) > MAX_SCALARS:
                surplus = ValueError(
                    f"{len(given)} names in one call; only {MAX_SCALARS} are taken"
                )
                self._left_out.add("scalars", Reason.UNREADABLE, error=surplus)
                given = dict(islice(given.items(), MAX_SCALARS))
        except BaseException as error:  # noqa: BLE001 -- anything may be given
            let_through(error)
            self._left_out.add("scalars", Reason.UNREADABLE, error=error)
            return {}
        number = self._values.number
        named = {name: number(value) for name, value in given.items() if type(name) is str}
        for name, value in given.items():
            if type(name) is not str:
                self._add(named, name, value)
        return named

    def _add(self, named: dict[str, Any], name: Any, value: Any) -> None:
        try:
            text = str(name)
        except BaseException as error:  # noqa: BLE001 -- __str__ may raise anything
            let_through(error)
            self._left_out.add("values", Reason.UNREADABLE, error=error)
            return
        key = f"{text} ({type_name(name)})" if text in named else text
        named[key] = self._values.number(value)
