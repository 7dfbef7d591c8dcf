"""Decide what becomes of an alert: it is kept with its session, and may send it a command."""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import StrEnum
from hashlib import sha256

from bridge.commands import ALERT_SOURCE, Command
from bridge.errors import InvalidDataError, LimitError
from bridge.lifecycle import AlertReceived
from bridge.session import Session
from bridge.telemetry import Telemetry
from bridge.web.alerts.command_check import checked_type, checked_values
from bridge.web.alerts.notification import NotifiedAlert
from bridge.web.dependencies import AppDependencies
from bridge.web.errors import ConflictError, ForbiddenError

HOUR_SECONDS = 3_600.0

REFUSALS = (InvalidDataError, LimitError, ConflictError, ForbiddenError)

NO_SESSION = "it has no label session_id, so it is not about a session of a bridge"
ELSEWHERE = (
    "this bridge does not have the session, or no longer: it is with another bridge, which must get the alert too, or it"
    " is over"
)
OVER = "the session is over: no training loop is left to carry out a command"
EARLIER = (
    "the alert began to fire before this attempt of the session did, so its command is not meant for this one; it may"
    " send one once it has resolved and fires again"
)
ABSENT = "the training loop has not been heard of for three heartbeats: it is gone, or with another bridge"
NOT_CONNECTED = "the training loop is not connected at the moment; send the alert again"


class Result(StrEnum):
    """What became of an alert."""

    QUEUED = "queued"
    """Its command is on its way."""
    DUPLICATE = "duplicate"
    """It has sent its command before."""
    REFUSED = "refused"
    """It may not send its command, or the command cannot be carried out."""
    RETRY = "retry"
    """Its command cannot be sent now, but may be in a moment."""
    KEPT = "kept"
    """It sends no command; the page of its session shows it."""
    PASSED_ON = "passed_on"
    """It is on its way to the bridge that has its session."""
    ELSEWHERE = "elsewhere"
    """Its session is not here."""
    NO_SESSION = "no_session"
    """It is not about a session."""
    INVALID = "invalid"
    """It could not be read."""
    LEFT_OUT = "left_out"
    """There were too many in one notification."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of an alert, and why."""

    result: Result
    reason: str = ""
    command: Command | None = None
    is_news: bool = False
    """Whether the session's page shows something that it did not before."""


def receive(
    deps: AppDependencies, notified: NotifiedAlert, clock: Callable[[], float] = time.time
) -> Outcome:
    """Keep an alert with its session, send its command if it may, and return what became of it."""
    if not notified.session_id:
        return Outcome(Result.NO_SESSION, NO_SESSION)
    session = deps.sessions.find(notified.session_id)
    if session is None or (session.has_moved and deps.inbox is None):
        return Outcome(Result.ELSEWHERE, ELSEWHERE)
    known = session.alerts.find(notified.alert.fingerprint, notified.alert.starts_at)
    alert = notified.alert if known is None else _continued(notified.alert, known)
    outcome = _outcome(deps, session, replace(notified, alert=alert), clock())
    if outcome.result is Result.RETRY:
        return outcome
    kept = _with_outcome(alert, outcome)
    if known is not None and (kept == known or _is_late(notified.alert, known)):
        return outcome
    deps.note_alert(session.id, kept)
    return replace(outcome, is_news=True)


def report(
    telemetry: Telemetry, notified: NotifiedAlert, outcome: Outcome, remote: str | None = None
) -> None:
    """Count what became of an alert, and log it where that is news."""
    telemetry.alerts_received(
        outcome.result,
        is_news=outcome.is_news,
        alert=notified.alert.name,
        fingerprint=notified.alert.fingerprint,
        session_id=notified.session_id[:64],
        command_id=outcome.command.id if outcome.command else None,
        reason=outcome.reason or None,
        remote=remote,
    )


def _is_late(alert: AlertReceived, known: AlertReceived) -> bool:
    """Return whether it was sent before the end of the alert, which is known by now."""
    return not alert.ends_at and alert.starts_at < known.ends_at


def _continued(alert: AlertReceived, known: AlertReceived) -> AlertReceived:
    """Return an alert as one that has been received before: what was said of its command still holds.

    Notifications may overtake each other: its end holds, too, whatever was sent before that and comes late.
    """
    return replace(
        alert,
        starts_at=known.starts_at,
        ends_at=known.ends_at if _is_late(alert, known) else alert.ends_at,
        command_id=known.command_id,
        refusal=known.refusal,
    )


def _with_outcome(alert: AlertReceived, outcome: Outcome) -> AlertReceived:
    if outcome.command is not None:
        return replace(alert, command_id=outcome.command.id, refusal="")
    if outcome.result is Result.REFUSED:
        return replace(alert, refusal=outcome.reason)
    return alert


def _outcome(
    deps: AppDependencies, session: Session, notified: NotifiedAlert, now: float
) -> Outcome:
    alert = notified.alert
    if alert.ends_at or not notified.command:
        return Outcome(Result.KEPT)
    sent = deps.commands.find(session.id, alert.command_id or command_id_of(alert))
    if sent is not None or alert.command_id:
        return Outcome(Result.DUPLICATE, command=sent)
    try:
        return _send(deps, session, notified, now)
    except REFUSALS as error:
        return Outcome(Result.REFUSED, str(error))


def _send(deps: AppDependencies, session: Session, notified: NotifiedAlert, now: float) -> Outcome:
    """Send the command of an alert that has not sent it yet; raises what REFUSALS lists."""
    alert, bounds = notified.alert, deps.alert_bounds
    kind = checked_type(bounds, notified.command)
    _check_session(session, alert)
    parameters = checked_values(bounds, kind, notified.parameters, session)
    _check_count(deps, session, now)
    if not session.connected:
        return Outcome(Result.RETRY, NOT_CONNECTED)
    command = deps.submit_command(
        session.id, kind, parameters, command_id_of(alert), f"{ALERT_SOURCE}{alert.name}"
    )
    return Outcome(Result.QUEUED, command=command)


def _check_session(session: Session, alert: AlertReceived) -> None:
    if session.ended_at:
        raise ConflictError(OVER)
    if session.is_absent:
        raise ConflictError(ABSENT)
    if alert.starts_at < session.registered_at:
        raise ConflictError(EARLIER)


def _check_count(deps: AppDependencies, session: Session, now: float) -> None:
    """Raise LimitError where alerts have sent a session as many commands as they may within an hour."""
    recent = [
        command
        for command in deps.commands.of(session.id)
        if command.source.startswith(ALERT_SOURCE) and command.queued_at > now - HOUR_SECONDS
    ]
    limit = deps.alert_bounds.per_hour
    if len(recent) >= limit:
        raise LimitError(
            f"alerts have sent this session {len(recent)} commands within the last hour, and may send {limit}"
            " (--alert-commands-per-hour)"
        )


def command_id_of(alert: AlertReceived) -> str:
    """Return the id of the command that an alert sends: the same however often, and to whichever bridge, it is sent."""
    identity = f"{alert.fingerprint} {alert.starts_at:.3f}"
    return f"alert-{sha256(identity.encode()).hexdigest()[:24]}"
