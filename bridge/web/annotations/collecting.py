"""Collect the annotations of sessions: of what is in memory, and of attempts that are in the archive."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from bridge.commands import CHECKPOINT_KEY, Command, commands_of
from bridge.session import Session
from bridge.web.annotations.annotation import Annotation, annotations_of
from bridge.web.annotations.asked import Asked
from bridge.web.attempts.former import former_view
from bridge.web.dependencies import AppDependencies, Archive
from bridge.web.session_view import SessionView, session_view

ATTEMPTS_READ = 20
"""Former attempts of a session that one request reads; the newest of those in its time."""


@dataclass(frozen=True, slots=True)
class Source:
    """A session, as it was when the request came."""

    view: SessionView
    commands: tuple[Command, ...]


def source_in_memory(deps: AppDependencies, session: Session, now: float) -> Source:
    """Return a session that is in memory; runs on the event loop, where sessions change."""
    return Source(session_view(session, now), tuple(deps.commands.of(session.id)))


def archived_source(archive: Archive, session_id: str, now: float) -> Source | None:
    """Return a session that is in the archive, with the commands that it had; None: there is none."""
    session = archive.find(session_id)
    if session is None:
        return None
    rows = session.restored_state.get(CHECKPOINT_KEY, ())
    return Source(session_view(session, now), tuple(commands_of(session_id, rows)))


def all_annotations(
    archive: Archive, sources: Iterable[Source], asked: Asked, now: float
) -> Iterator[Annotation]:
    """Yield the annotations of sessions and of their former attempts; reads the archive, so it must not run on the event loop."""
    for source in sources:
        yield from annotations_of(source.view, source.commands)
        for view in _former(archive, source.view, asked, now):
            yield from annotations_of(view, (), is_former=True)


def _former(
    archive: Archive, newest: SessionView, asked: Asked, now: float
) -> Iterator[SessionView]:
    if newest.attempt == 1:
        return
    entries = [one for one in archive.attempts(newest.id) if one.attempt < newest.attempt]
    ends_ms = [after.registered_ms for _, after in pairwise(entries)]
    wanted = [
        entry.attempt
        for entry, end_ms in zip(
            entries, [*ends_ms, round(newest.registered_at * 1000)], strict=True
        )
        if entry.registered_ms <= asked.to_ms and end_ms >= asked.from_ms
    ]
    for attempt in _newest(wanted):
        session = archive.find(newest.id, attempt)
        if session is not None:
            yield former_view(session, now)


def _newest(attempts: Sequence[int]) -> Sequence[int]:
    return sorted(attempts)[-ATTEMPTS_READ:]
