"""What has happened to a session, as its page lists it: what the bridge has noticed, what the loop has reported, and alerts."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from operator import attrgetter

from bridge.commands import ALERT_SOURCE, Command, State
from bridge.model import Level
from bridge.occurrences import Happened
from bridge.protocol import CommandType
from bridge.received_alerts import KeptAlert
from bridge.web.formatting import duration
from bridge.web.session_view import SessionView

NOTICED = ""
"""The level of what the bridge has noticed."""

PAUSING = (CommandType.PAUSE_TRAINING, CommandType.RESUME_TRAINING)

LIMIT = 100
"""Lines of the list; the newest."""


@dataclass(frozen=True, slots=True)
class Happening:
    """One line of the list."""

    at: float
    text: str
    level: str = NOTICED
    """Of an event of the loop, or an alert."""
    details: str = ""
    place: str = ""
    """Where the loop was."""


def happenings(session: SessionView, commands: Sequence[Command] = ()) -> tuple[Happening, ...]:
    """Return what has happened, the newest first; `commands` are those of the session."""
    noticed = (Happening(notice.at, notice.text) for notice in session.notices)
    alerts = (_alert(session, kept, commands) for kept in session.alerts)
    lines = sorted([*noticed, *_reported(session), *alerts], key=attrgetter("at"), reverse=True)
    return tuple(lines[:LIMIT])


def firing(session: SessionView, commands: Sequence[Command] = ()) -> tuple[Happening, ...]:
    """Return the alerts that fire, the newest first."""
    alerts = [_alert(session, kept, commands) for kept in session.alerts if kept.fires]
    return tuple(sorted(alerts, key=attrgetter("at"), reverse=True))


def pause_sender(session: SessionView, commands: Sequence[Command]) -> str:
    """Return which alert has paused a session that is paused; "" where it was none."""
    applied = [one for one in commands if one.state is State.APPLIED and one.type in PAUSING]
    is_paused = session.state == "paused" and applied
    if not is_paused or applied[-1].type is not CommandType.PAUSE_TRAINING:
        return ""
    source = applied[-1].source
    return source if source.startswith(ALERT_SOURCE) else ""


def alert_details(session: SessionView, kept: KeptAlert, commands: Sequence[Command]) -> str:
    """Return what has become of an alert and its command."""
    alert = kept.alert
    lasted = duration(max(0.0, alert.ends_at - alert.starts_at))
    resolved = "" if kept.fires else f"resolved after {lasted}"
    command = next((one for one in commands if one.id == alert.command_id), None)
    sent = "" if command is None else f"sent {_command_text(session, command)}"
    refused = f"its command was refused: {alert.refusal}" if alert.refusal else ""
    return "; ".join(filter(None, (resolved, sent, refused)))


def _alert(session: SessionView, kept: KeptAlert, commands: Sequence[Command]) -> Happening:
    alert = kept.alert
    verb = "fires" if kept.fires else "fired"
    text = f"alert {alert.name} {verb}{f': {alert.summary}' if alert.summary else ''}"
    level = Level.WARNING if kept.fires else Level.INFO
    return Happening(alert.starts_at, text, str(level), alert_details(session, kept, commands))


def _command_text(session: SessionView, command: Command) -> str:
    name, result = command.type.name.replace("_", " ").lower(), command.result
    values = "".join(f" {key}={value}" for key, value in command.parameters.items())
    if result is None:
        return f"{name}{values}, which has no answer yet"
    place = session.place_text(result.epoch, result.batch)
    return f"{name}{values}, {command.state} at {place}"


def _reported(session: SessionView) -> Iterator[Happening]:
    for happened in session.occurrences:
        one = happened.occurrence
        details = ", ".join(f"{name}: {value}" for name, value in one.details.items())
        text = f"{one.name}: {one.message}" if one.message else one.name
        yield Happening(happened.at, text, str(one.level), details, _place(happened))


def _place(happened: Happened) -> str:
    one = happened.occurrence
    if one.step is not None:
        return f"step {one.step:,}"
    return f"epoch {one.epoch}, batch {one.batch}" if one.epoch or one.batch else ""
