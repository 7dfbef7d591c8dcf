"""An attempt that another one has followed, as it is shown."""

from dataclasses import replace

from bridge.model import Stage
from bridge.session import Session
from bridge.web.session_view import SessionView, session_view


def former_view(session: Session, now: float) -> SessionView:
    """Return a copy of an attempt that is over: where nobody saw it end, it was lost when it was last heard of.

    One whose client this bridge had sent on was not: it may have gone on at another one.
    """
    view = session_view(session, now)
    if view.stage is not Stage.LIVE:
        return view
    return replace(
        view,
        stage=Stage.LOST,
        state=view.state if session.has_moved else str(Stage.LOST),
        is_live=False,
        connected=False,
        ended_at=view.updated_at,
        phase="",
        phase_seconds=session.phase_seconds(session.updated_at),
    )
