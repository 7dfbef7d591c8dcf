"""From the phases that a client reports to what the bridge keeps of them."""

from collections.abc import Mapping
from math import isfinite

from bridge.protocol import PHASE

PHASES_LIMIT = 16
"""Phases in one message: as many as a session may have."""


def phase_of(name: str) -> str:
    """Return the name of a phase as it is kept; anything else is not reported."""
    return name if PHASE.fullmatch(name) else ""


def phase_seconds_of(seconds: Mapping[str, float]) -> dict[str, float]:
    """Return the seconds that are numbers of seconds, of the first phases by name."""
    if not seconds:
        return {}
    names = sorted(name for name in seconds if PHASE.fullmatch(name))
    kept = {name: seconds[name] for name in names[:PHASES_LIMIT]}
    return {name: value for name, value in kept.items() if isfinite(value) and value >= 0}
