"""Links to the Grafana boards that show what a page is about, over the time that it is about."""

from collections.abc import Sequence
from urllib.parse import urlencode

from bridge.web.session_view import SessionView

FLEET = "trainbridge-fleet"
"""The uid of the board of all sessions in grafana/dashboards, as of those below."""

SESSION = "trainbridge-session"

COMPARE = "trainbridge-compare"

SESSION_VARIABLE = "var-session"
"""The parameter that chooses sessions on each of them."""

MARGIN_SECONDS = 5 * 60
"""Shown before and after what a link is about."""

LONGEST_SECONDS = 24 * 60 * 60
"""Of a run that goes on: a board that is read again every half minute shows no more."""


Parameters = Sequence[tuple[str, str]]


def fleet_board(grafana_url: str) -> str:
    """Return a link to the board of all sessions."""
    return f"{grafana_url}/d/{FLEET}"


def session_board(grafana_url: str, session: SessionView) -> str:
    """Return a link to the board of a session that shows the attempt from its beginning, or its last day."""
    return _link(grafana_url, SESSION, [session.id], _time_of([session]))


def moment_board(grafana_url: str, session_id: str, at_ms: int) -> str:
    """Return a link to the board of a session that shows the minutes around a time."""
    margin_ms = MARGIN_SECONDS * 1000
    return _link(grafana_url, SESSION, [session_id], _time(at_ms - margin_ms, at_ms + margin_ms))


def rank_board(grafana_url: str, session_id: str) -> str:
    """Return a link to the board of a session that shows the time the board shows at first."""
    return _link(grafana_url, SESSION, [session_id], ())


def compare_board(grafana_url: str, sessions: Sequence[SessionView]) -> str:
    """Return a link to the board that shows sessions side by side, from when the first of them began."""
    return _link(grafana_url, COMPARE, [session.id for session in sessions], _time_of(sessions))


def _link(grafana_url: str, uid: str, session_ids: Sequence[str], time: Parameters) -> str:
    chosen = [(SESSION_VARIABLE, name) for name in session_ids]
    return f"{grafana_url}/d/{uid}?{urlencode([*chosen, *time])}"


def _time_of(sessions: Sequence[SessionView]) -> Parameters:
    """Return the parameters of the time from the first beginning to the last end, or to now."""
    start = min(session.registered_at for session in sessions) - MARGIN_SECONDS
    if any(session.is_live for session in sessions):
        is_long = sessions[0].now - start > LONGEST_SECONDS
        return _time("now-24h" if is_long else int(start * 1000), "now")
    end = max(session.ended_at or session.updated_at for session in sessions) + MARGIN_SECONDS
    return _time(int(start * 1000), int(end * 1000))


def _time(start: int | str, end: int | str) -> Parameters:
    """Return the parameters of a time in milliseconds, or in words of Grafana."""
    return ("from", str(start)), ("to", str(end))
