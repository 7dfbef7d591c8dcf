"""One word for what a session is doing."""

from bridge.model import Stage, Status

STATES = (
    *("registered", "initializing", "running", "paused", "silent"),
    *("completed", "failed", "lost", "unknown"),
)
"""Every word that `state_of` returns: those of sessions that may still send come first."""


def state_of(*, stage: Stage, status: Status, connected: bool, has_begun: bool) -> str:
    """Return the word on the status pill, which is also its CSS class."""
    if stage is Stage.LOST:
        return "lost"
    if stage is Stage.LIVE and not connected and has_begun:
        return "silent"
    if status is Status.UNKNOWN and stage is Stage.LIVE:
        return "running" if has_begun else "registered"
    return str(status)
