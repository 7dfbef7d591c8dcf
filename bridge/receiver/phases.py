"""From the phases that a client reports to what the bridge keeps of them."""

from collections.abc import Mapping

from bridge.protocol import LOST_PHASE, PHASE

PHASES_LIMIT = 64
"""Phases in one message; a session has fewer, and what is beyond those is counted."""

SECONDS_LIMIT = 1e10
"""Three hundred years: no loop has spent more in a phase, and any number of them still adds up."""


def phase_of(name: str) -> str:
    """Return the name of a phase as it is kept; anything else is not reported."""
    return name if _is_phase(name) else ""


def phase_seconds_of(seconds: Mapping[str, float]) -> dict[str, float]:
    """Return the seconds that are numbers of seconds, of the first phases by name."""
    if not seconds:
        return {}
    names = sorted(filter(_is_phase, seconds))
    kept = {name: seconds[name] for name in names[:PHASES_LIMIT]}
    return {name: value for name, value in kept.items() if 0 <= value <= SECONDS_LIMIT}


def _is_phase(name: str) -> bool:
    """Return whether a client may be in a phase; what is lost between attempts only the bridge sees."""
    return bool(PHASE.fullmatch(name)) and name != LOST_PHASE
