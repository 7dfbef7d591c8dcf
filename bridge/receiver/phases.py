"""From the phases that a client reports to what the bridge keeps of them."""

from collections.abc import Mapping
from math import isfinite

from bridge.protocol import LOST_PHASE, PHASE

PHASES_LIMIT = 64
"""Phases in one message; a session has fewer, and what is beyond those is counted."""


def phase_of(name: str) -> str:
    """Return the name of a phase as it is kept; anything else is not reported."""
    return name if _is_phase(name) else ""


def phase_seconds_of(seconds: Mapping[str, float]) -> dict[str, float]:
    """Return the seconds that are numbers of seconds, of the first phases by name."""
    if not seconds:
        return {}
    names = sorted(filter(_is_phase, seconds))
    kept = {name: seconds[name] for name in names[:PHASES_LIMIT]}
    return {name: value for name, value in kept.items() if isfinite(value) and value >= 0}


def _is_phase(name: str) -> bool:
    """Return whether a client may be in a phase; what is lost between attempts only the bridge sees."""
    return bool(PHASE.fullmatch(name)) and name != LOST_PHASE
