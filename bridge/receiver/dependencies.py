"""What the streams and registrations of a server share."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from bridge.access import Authentication
from bridge.access.authentication import OPEN
from bridge.commands import Commands
from bridge.pipeline import Pipeline
from bridge.receiver.acks import CountImages
from bridge.session import Holder, Session
from bridge.sessions import Sessions
from bridge.telemetry import Telemetry


class OpenStream(Protocol):
    """A stream, as far as the one that follows it needs to know."""

    holder: Holder

    def supersede(self) -> None:
        """Make way for a newer stream."""

    def lose(self) -> None:
        """Make way for another bridge."""


class SharedSessions(Protocol):
    """The sessions of all bridges that share a database."""

    async def acquire(self, session_id: str, /) -> Session | None:
        """Return a session in memory here, wherever it was; None: nobody has it in memory. Raises StorageError."""

    async def find(self, session_id: str, /) -> Session | None:
        """Return a session as it stands on the bridge that has it, or None. Raises StorageError."""

    async def committed(self) -> None:
        """Wait until all that happened by now is known to the other bridges."""

    @property
    def is_crowded(self) -> bool:
        """Whether this bridge has more sessions than its share of all."""


@dataclass(frozen=True, slots=True)
class StreamDependencies:
    """What the streams and registrations of a server share."""

    pipeline: Pipeline
    sessions: Sessions
    commands: Commands
    telemetry: Telemetry
    count_images: CountImages
    load_archived: Callable[[str], Session | None] = lambda _session_id: None
    """Returns a session that has expired, or None; blocks, and raises StorageError."""
    last_attempt_with_images: Callable[[str], int] = lambda _session_id: 0
    """Returns the last attempt of a session that there are images of, 0 for none; blocks, and raises StorageError."""
    is_being_archived: Callable[[str], bool] = lambda _session_id: False
    """Whether a session has expired and is not on disk yet."""
    shared: SharedSessions | None = None
    """None: no other bridge has anything to do with the sessions of this one."""
    authentication: Authentication = OPEN
    """Who may report sessions."""
    streams: dict[str, OpenStream] = field(default_factory=dict)
    """The newest stream of each session."""
