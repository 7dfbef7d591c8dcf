"""Alerts about sessions of other bridges: they leave them in the database, and decide as if the alert had come to them."""

import asyncio
from collections.abc import Callable
from dataclasses import asdict
from hashlib import sha256

from bridge.errors import LimitError, StorageError
from bridge.lifecycle import AlertReceived
from bridge.protocol import SESSION_ID
from bridge.session import Session
from bridge.storage.inbox import InboxMessage
from bridge.storage.packed import packed, unpacked
from bridge.web.alerts.intake import Outcome, Result, receive, report
from bridge.web.alerts.notification import NotifiedAlert
from bridge.web.dependencies import AppDependencies, SessionInbox

ALERT = "alert"
"""The kind of these messages."""

ANOTHER_BRIDGE = "another bridge has the session, and decides what becomes of the alert"

WAITING = (Result.RETRY, Result.ELSEWHERE)
"""Outcomes after which an alert stays in the database: it may be decided in a moment, here or by another bridge."""


async def receive_anywhere(deps: AppDependencies, notified: NotifiedAlert) -> Outcome:
    """Receive an alert as `receive` does, or pass it on to the bridge that has its session.

    Raises StorageError where it cannot be passed on at the moment.
    """
    session = deps.sessions.find(notified.session_id)
    if deps.inbox is None:
        return receive(deps, notified)
    if session is None:
        is_elsewhere = await _is_elsewhere(deps, notified.session_id)
        return await _pass_on(deps.inbox, notified) if is_elsewhere else receive(deps, notified)
    outcome = receive(deps, notified)
    if not outcome.is_news or await deps.inbox.is_kept(session):
        return outcome
    return await _pass_on(deps.inbox, notified)


def alert_receiver(deps: AppDependencies) -> Callable[[Session, InboxMessage], bool]:
    """Return what receives the alerts that other bridges have passed on."""

    def take(_session: Session, message: InboxMessage) -> bool:
        notified = _alert_of(message)
        outcome = receive(deps, notified)
        if outcome.result in WAITING:
            return False
        report(deps.telemetry, notified, outcome)
        return True

    return take


async def _is_elsewhere(deps: AppDependencies, session_id: str) -> bool:
    """Return whether a session may be in another bridge: as far as the database knows it goes on."""
    if not SESSION_ID.fullmatch(session_id):
        return False
    archived = await asyncio.to_thread(deps.archive.find, session_id)
    return archived is not None and not archived.ended_at


async def _pass_on(inbox: SessionInbox, notified: NotifiedAlert) -> Outcome:
    try:
        await inbox.pass_on(_message_of(notified))
    except LimitError as error:
        return Outcome(Result.REFUSED, str(error))
    return Outcome(Result.PASSED_ON, ANOTHER_BRIDGE)


def _message_of(notified: NotifiedAlert) -> InboxMessage:
    """Return an alert as a message: the same one where the same notification is sent anew."""
    payload = packed(asdict(notified))
    message_id = f"alert:{sha256(payload).hexdigest()[:32]}"
    return InboxMessage(notified.session_id, message_id, ALERT, payload)


def _alert_of(message: InboxMessage) -> NotifiedAlert:
    """Return the alert of a message; raises StorageError for one that is damaged."""
    fields = unpacked(message.payload)
    try:
        return NotifiedAlert(**{**fields, "alert": AlertReceived(**fields["alert"])})
    except (KeyError, TypeError) as error:
        raise StorageError(f"a damaged alert in the inbox ({type(error).__name__})") from error
