"""When one attempt of a session takes the place of another, and what it takes over from it."""

from bridge.model import Client, Status
from bridge.phases import PhaseClock, began_after
from bridge.session import Session

FORMER_KEPT = 200
"""Earlier attempts of a session whose clients are known."""


def supersedes(session: Session, client: Client, now: float) -> bool:
    """Return whether an attempt has taken the place of the one that a client belongs to.

    What a process has left says when that began: it never replaces an attempt that began later. A
    process that registers alive comes later whatever its clock says, unless it was here before.
    """
    if client.instance_id in session.former:
        return True
    began_ms = session.client.started_ms or session.registered_at * 1000
    return client.is_left_over and not began_ms < client.started_ms <= now * 1000


def follow(session: Session, before: Session) -> None:
    """Make a session the attempt after another one, whose client counts as a former one from now on."""
    former = before.client.instance_id
    session.former = (*before.former, *([former] if former else []))[-FORMER_KEPT:]
    has_gone_on = before.status is Status.COMPLETED or before.has_moved
    began = began_after(before.updated_at, session.registered_at, session.client.started_ms)
    lost = 0.0 if has_gone_on else began - before.updated_at
    session.phases = PhaseClock(began)
    session.phases.follow(before.run_phase_seconds(before.updated_at), lost)
    session.restored_state = before.restored_state
