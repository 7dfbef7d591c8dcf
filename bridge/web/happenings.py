"""What has happened to a session, as its page lists it: what the bridge has noticed, and what the loop has reported."""

from collections.abc import Iterator
from dataclasses import dataclass
from operator import attrgetter

from bridge.occurrences import Happened
from bridge.web.session_view import SessionView

NOTICED = ""
"""The level of what the bridge has noticed."""

LIMIT = 100
"""Lines of the list; the newest."""


@dataclass(frozen=True, slots=True)
class Happening:
    """One line of the list."""

    at: float
    text: str
    level: str = NOTICED
    """Of an event of the loop."""
    details: str = ""
    place: str = ""
    """Where the loop was."""


def happenings(session: SessionView) -> tuple[Happening, ...]:
    """Return what has happened, the newest first."""
    noticed = (Happening(notice.at, notice.text) for notice in session.notices)
    lines = sorted([*noticed, *_reported(session)], key=attrgetter("at"), reverse=True)
    return tuple(lines[:LIMIT])


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
