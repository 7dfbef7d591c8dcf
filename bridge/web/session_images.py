"""Find the images of a session, whichever bridge has received them."""

import asyncio
from dataclasses import dataclass

from aiohttp import web

from bridge.errors import NotFoundError, OverloadedError, StorageError
from bridge.model import Client, Config, Status
from bridge.protocol import SESSION_ID
from bridge.session import Session
from bridge.storage.index import ImageIndex
from bridge.storage.merged_index import MergedIndex
from bridge.web.dependencies import AppDependencies, StoredSession, deps_of
from bridge.web.session_lookup import NO_SESSION, find_session, no_attempt

WAIT_SECONDS = 10.0
"""For images that only the store has."""

OWN_WAIT_SECONDS = 2.0
"""Where this bridge has images of the session as well, which are shown without the others if the store takes longer."""

MISSING = (
    "The image store does not answer: images that other bridges have received are missing here."
)


@dataclass(frozen=True, slots=True)
class SessionImages:
    """The images of a session, and what is known of it besides."""

    session: Session
    """In its newest attempt; one without numbers where another bridge has that."""
    index: ImageIndex
    row: Session | None
    """What this bridge knows of the session; None: nothing but its images."""
    has_asked: bool = False
    """Whether the store was asked, too."""
    problem: str = ""
    """Why images may be missing; "": they are not."""
    left_out: int = 0
    """The oldest shards, which are not indexed since there are too many images."""

    @property
    def is_only_stored(self) -> bool:
        """Whether this bridge knows nothing of the session but its images."""
        return self.row is None

    def check(self) -> None:
        """Raise StorageError where something that was not found may be in the store all the same."""
        if self.problem:
            raise StorageError(self.problem)


async def own_images(deps: AppDependencies, session_id: str) -> SessionImages:
    """Return the images of a session that this bridge has indexed; raises NotFoundError where it does not know it."""
    session = await find_session(deps, session_id)
    return SessionImages(session, deps.index, session)


async def images_of(
    deps: AppDependencies, session_id: str, *, is_missing: bool = False
) -> SessionImages:
    """Return the images of a session, here and in the store; raises NotFoundError where neither has any.

    The store is not asked while a session is at home here, unless something `is_missing`. Raises StorageError,
    OverloadedError or LimitError for a session of which this bridge knows nothing, while the store cannot say more.
    """
    try:
        own = await own_images(deps, session_id)
    except NotFoundError:
        return await _only_stored(deps, session_id)
    if _is_at_home(own.session) and not is_missing:
        return own
    try:
        stored = await deps.stored_sessions.find(
            session_id, is_known=True, wait_seconds=OWN_WAIT_SECONDS
        )
    except (StorageError, OverloadedError):
        return SessionImages(own.session, deps.index, own.row, True, MISSING)
    if stored is None:
        return SessionImages(own.session, deps.index, own.row, True)
    return await asyncio.to_thread(_joined, deps, own.session, stored)


async def session_images(request: web.Request) -> SessionImages:
    """Return the images of the session in the path of a request, as `images_of` does."""
    return await images_of(deps_of(request), request.match_info["session_id"])


async def attempt_with_images(
    deps: AppDependencies, images: SessionImages, number: int | None
) -> Session:
    """Return an attempt, the newest where none is named; raises NotFoundError where only others are known."""
    newest = images.session
    if number is None or number == newest.attempt:
        return newest
    if images.row is not None and images.row.attempt == number:
        return images.row
    found = await asyncio.to_thread(deps.archive.find, newest.id, number)
    if found is not None and number < newest.attempt:
        return found
    if number in await asyncio.to_thread(images.index.attempts, newest.id):
        return _stand_in(newest, number)
    images.check()
    raise NotFoundError(no_attempt(number, newest.attempt))


def _is_at_home(session: Session) -> bool:
    """Return whether all images of a session came to this bridge, as far as is known."""
    is_whole = not session.skipped and session.attempt == 1
    return is_whole and (session.connected or session.status is Status.COMPLETED)


async def _only_stored(deps: AppDependencies, session_id: str) -> SessionImages:
    if not SESSION_ID.fullmatch(session_id):
        raise NotFoundError(NO_SESSION)
    stored = await deps.stored_sessions.find(session_id, is_known=False, wait_seconds=WAIT_SECONDS)
    if stored is None:
        raise NotFoundError(NO_SESSION)
    return await asyncio.to_thread(_joined, deps, None, stored, session_id)


def _joined(
    deps: AppDependencies, row: Session | None, stored: StoredSession, session_id: str = ""
) -> SessionImages:
    index = MergedIndex(deps.index, stored.index)
    name = session_id if row is None else row.id
    last = index.last_attempt(name)
    if row is not None and last <= row.attempt:
        newest = row
    else:
        newest = _stand_in(row or _unregistered(name, index, stored), last)
    problem = MISSING if stored.problem else ""
    return SessionImages(newest, index, row, True, problem, stored.left_out)


def _unregistered(session_id: str, index: ImageIndex, stored: StoredSession) -> Session:
    """Return a session without numbers, which begins and ends with its images; raises NotFoundError without any."""
    newest = index.newest(session_id, limit=1)
    if not newest:
        raise NotFoundError(NO_SESSION)
    config = Config(class_names=stored.class_names)
    return Session(session_id, Client(), config, now=newest[0].received_ms / 1000)


def _stand_in(session: Session, attempt: int) -> Session:
    """Return an attempt whose numbers another bridge has."""
    at = session.updated_at
    return Session(session.id, session.client, session.config, now=at, attempt=attempt)
