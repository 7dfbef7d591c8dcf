"""Builds what a bridge needs to share its sessions with others on the same database."""

from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass

from bridge.commit_group import Fenced
from bridge.committer import Committer
from bridge.config import Settings
from bridge.errors import StorageError
from bridge.ownership import Orphans, Ownership, Releases, Taking
from bridge.pipeline import Pipeline
from bridge.session import Session
from bridge.sessions import Sessions
from bridge.sinks import Sinks
from bridge.sinks.images import Images
from bridge.sinks.journal import Journal
from bridge.sinks.journal.restoration import Restoration
from bridge.storage.database import SharedDatabase
from bridge.storage.owners import OwnerRows
from bridge.telemetry import Telemetry


@dataclass(frozen=True, slots=True)
class SessionParts:
    """The parts of the bridge that a session comes into after a restart, or from another bridge."""

    sessions: Sessions
    pipeline: Pipeline
    journal: Journal
    images: Images
    committer: Committer

    def resume(self, sessions: Sequence[Session]) -> None:
        """Go on with the sessions from before a restart."""
        self.images.resume(sessions)
        for session in sessions:
            self.pipeline.restore(session)

    def go_on(self, session: Session, window: bytes | None, /, *, is_expected: bool) -> None:
        """Go on with a session that another bridge had: its first commit here has a checkpoint of it."""
        self.journal.take_over(session)
        self.images.take_over(session, window)
        self.pipeline.restore(session, is_expected=is_expected)
        self.committer.request_commit()


class Sharing:
    """What a bridge does with sessions that others may have; with a database of its own, nothing."""

    def __init__(
        self, database: SharedDatabase | None, settings: Settings, telemetry: Telemetry
    ) -> None:
        """Share those of `database`; None: with nobody."""
        self._database = database
        self._settings = settings
        self._telemetry = telemetry
        self._rows = None if database is None else OwnerRows(database)
        self._ownership: Ownership | None = None
        self._releases = None if self._rows is None else Releases(self._rows)

    @property
    def sinks(self) -> tuple[Releases, ...]:
        """What consumes events and writes with each commit."""
        return () if self._releases is None else (self._releases,)

    def on_fenced(self, fenced: Fenced) -> None:
        """Let go of what other bridges have taken."""
        if self._ownership is not None:
            self._ownership.on_fenced(fenced)

    async def begin(
        self, stack: AsyncExitStack, parts: SessionParts, sinks: Sinks
    ) -> Ownership | None:
        """Take sessions and adopt orphans until the stack is left; return what takes them."""
        if self._database is None or self._rows is None or self._releases is None:
            return None
        catch_up = parts.committer.request_commit
        taking = Taking(
            self._database,
            self._rows,
            Restoration(sinks.replayers, self._telemetry),
            self._telemetry,
            go_on=parts.go_on,
            catch_up=catch_up,
        )
        self._ownership = ownership = Ownership(
            taking,
            self._releases,
            parts.sessions,
            parts.pipeline,
            self._telemetry,
            committed=parts.committer.committed,
        )
        orphans = Orphans(
            self._rows,
            taking,
            self._telemetry,
            dead_seconds=self._settings.bridge_dead_seconds,
            catch_up=catch_up,
            strays=ownership.strays,
        )
        await stack.enter_async_context(taking.running())
        await stack.enter_async_context(orphans.running())
        await orphans.adopt_own()
        return ownership

    def notify(self, on_lost: Callable[[str], None]) -> None:
        """Call `on_lost` with each session that another bridge has taken."""
        if self._ownership is not None:
            self._ownership.on_lost = on_lost

    def resign(self) -> None:
        """Let others adopt at once what this bridge still has: it has stopped."""
        if self._rows is None:
            return
        try:
            self._rows.resign()
        except StorageError as error:
            self._telemetry.storage_failed("leaving the other bridges", error)
