"""One word for what a session is doing."""

from bridge.model import Stage, Status
from bridge.session import Session

DISCONNECTED = "disconnected"
MOVED = "moved"

STATES = (
    *("registered", "initializing", "running", "paused", DISCONNECTED),
    *("completed", "failed", "stopped", "interrupted", "terminated", "lost", MOVED, "unknown"),
)
"""Every word that `state_of` returns: those of sessions that may still send come first."""


def state_of(session: Session) -> str:
    """Return the word on the status pill, which is also its CSS class."""
    if session.has_moved:
        return MOVED
    if session.state == Status.UNKNOWN and session.stage is Stage.LIVE:
        has_begun = session.batches or session.epochs or session.scalars.newest
        return "running" if has_begun else "registered"
    return session.state


def may_send(session: Session) -> bool:
    """Return whether a session may still send to this bridge."""
    return session.stage is Stage.LIVE and not session.has_moved
