"""What the web app needs from the rest of the bridge."""

from collections.abc import Callable, Collection, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from aiohttp import web

from bridge.access import Authentication
from bridge.access.authentication import OPEN
from bridge.commands import Command, Commands
from bridge.connections import ConnectionCheck
from bridge.errors import NotFoundError
from bridge.lifecycle import AlertReceived
from bridge.protocol import CommandType
from bridge.session import Session
from bridge.storage.inbox import InboxMessage
from bridge.storage.index import ImageIndex, ImageLocation
from bridge.telemetry import Telemetry
from bridge.threads import ThreadLimiter
from bridge.web.alerts.bounds import AlertBounds
from bridge.web.http_connections import HttpConnectionLimits
from bridge.web.pages.tiles import TileDecoder
from bridge.web.peers.connections import PeerConnections
from bridge.web.peers.sharing import NoPeers, Peers
from bridge.web.trusted_proxies import NO_PROXIES, TrustedProxies


class MetricsPage(Protocol):
    """A rendered /metrics page."""

    @property
    def body(self) -> bytes:
        """The page, uncompressed."""

    @property
    def content_type(self) -> str:
        """The full header value, with version and charset."""


Confusion = Mapping[tuple[str, str], float]
"""How often each (true class, predicted class) occurred, by the labels of the series."""


class Exposition(Protocol):
    """The series of the bridge and its sessions."""

    async def render(self, accept: str, sessions: str, /) -> MetricsPage:
        """Return the page in the format that an Accept header asks for.

        Of the sessions whose names begin with `sessions` alone, and without the series of the bridge itself, unless that
        is "".
        """

    def confusion(self, session_id: str, /) -> Confusion:
        """Return the predictions of a session, empty where there were none."""


class KnownSessions(Protocol):
    """The sessions in memory."""

    def find(self, session_id: str, /) -> Session | None:
        """Return a session, or None."""

    def __iter__(self) -> Iterator[Session]:
        """Yield the sessions, the one registered last at the end."""


class ArchiveEntry(Protocol):
    """That an attempt of a session is in the archive, and as of when: two that are equal mean the same content."""

    @property
    def version(self) -> Hashable:
        """Another one for other content, but for when it was last heard of."""

    @property
    def session_id(self) -> str:
        """The session."""

    @property
    def attempt(self) -> int:
        """Which attempt of it, from 1."""

    @property
    def registered_ms(self) -> int:
        """When it was registered, in milliseconds since 1970."""

    @property
    def updated_ms(self) -> int:
        """When it was last heard of, in milliseconds since 1970."""


class Archive(Protocol):
    """The sessions that are no longer in memory; safe to call from any thread."""

    def find(self, session_id: str, attempt: int | None = None, /) -> Session | None:
        """Return an attempt of a session, by default the newest, as it was last written, or None; never as connected."""

    def last_written(self, session_id: str, /) -> Session | None:
        """Return the newest attempt as `find` does, and as connected where it was when it was written."""

    def summaries(self, session_ids: Collection[str], /) -> Mapping[str, Session]:
        """Return of sessions as `last_written` does the little that lists say; those without a summary are left out."""

    def entries(self, limit: int, /) -> Sequence[ArchiveEntry]:
        """Return an entry for each of the sessions registered most recently, newest first."""

    def attempts(self, session_id: str, /) -> Sequence[ArchiveEntry]:
        """Return an entry for each attempt of a session, oldest first."""


class SubmitCommand(Protocol):
    """Submits commands to training loops, as `Commands.submit` does."""

    def __call__(
        self,
        session_id: str,
        type: CommandType,
        parameters: Mapping[str, str],
        command_id: str,
        source: str = "",
        expires_at: float = 0.0,
        /,
    ) -> Command:
        """Queue a command; raises LimitError when too many are unanswered."""


class SessionInbox(Protocol):
    """Takes what is for sessions that other bridges have, as `bridge.inbox.SessionInbox` does."""

    async def submit(self, session: Session, command: Command, /) -> Command:
        """Leave a command for a session; return it, or the one of the same id that is on its way.

        Raises LimitError, StorageError.
        """

    async def pass_on(self, message: InboxMessage, /) -> None:
        """Leave anything for a session; raises LimitError, StorageError."""

    async def catch_up(self) -> None:
        """Give the sessions in memory what waits for them, so that it comes before what they are given now."""

    async def commands(self, session_id: str, /) -> Sequence[Command]:
        """Return the commands that are on their way to a session; raises StorageError."""

    async def is_kept(self, session: Session, /) -> bool:
        """Return whether what a session in memory has been given is kept; False: another bridge has the session."""


class DeleteSession(Protocol):
    """Deletes sessions, as `SessionDeleter.delete` does."""

    async def __call__(
        self, session_id: str, /, *, attempt: int | None, images: bool, force: bool, by: str
    ) -> None:
        """Delete a session for good, or one attempt of it; raises SessionRunningError for what may still send."""


class StoredSession(Protocol):
    """What the object store has of a session."""

    @property
    def index(self) -> ImageIndex:
        """Its images, and those of other sessions."""

    @property
    def class_names(self) -> tuple[str, ...]:
        """The names of its classes; "" for one whose name is not known."""

    @property
    def left_out(self) -> int:
        """How many of its oldest shards are not indexed."""

    @property
    def problem(self) -> str:
        """Why newer images may be missing; "": they are not."""


class StoredSessions(Protocol):
    """The sessions that the object store has images of, as `StoreIndex` finds them."""

    async def find(
        self, session_id: str, /, *, is_known: bool, wait_seconds: float
    ) -> StoredSession | None:
        """Return what the store has of a session besides what this bridge has indexed; None: nothing.

        `is_known`: this bridge has a row of the session. Raises StorageError, OverloadedError or LimitError.
        """


class NoStoredSessions:
    """A store that no other bridge writes to."""

    async def find(
        self, _session_id: str, /, *, is_known: bool, wait_seconds: float
    ) -> StoredSession | None:
        """Return None."""
        del is_known, wait_seconds
        return None


@dataclass(frozen=True, slots=True)
class Check:
    """One condition for being ready."""

    name: str
    problem: Callable[[], str]
    """Returns what is wrong now, or ""; runs on the event loop, so it must not block."""
    is_bearable: Callable[[], bool] = lambda: False
    """Returns whether the bridge is ready all the same: as where no other bridge could do better."""


def _nothing_spooled(location: ImageLocation) -> bytes:
    raise NotFoundError(f"{location.key} is not in the spool")


@dataclass(frozen=True, slots=True)
class AppDependencies:
    """Everything that the handlers use."""

    sessions: KnownSessions
    commands: Commands
    submit_command: SubmitCommand
    note_alert: Callable[[str, AlertReceived], None]
    """Keeps an alert about a session."""
    delete_session: DeleteSession
    index: ImageIndex
    read_image: Callable[[ImageLocation], bytes]
    """Blocks while it reads; raises StorageError or NotFoundError."""
    metrics: Exposition
    archive: Archive
    telemetry: Telemetry
    inbox: SessionInbox | None = None
    """For sessions that other bridges have; None: no other bridge shares the database."""
    stored_sessions: StoredSessions = field(default_factory=NoStoredSessions)
    """For images that other bridges have received."""
    image_threads: ThreadLimiter = field(default_factory=lambda: ThreadLimiter("reading images", 8))
    """For calls of `read_image`: a store that hangs holds up images and nothing else."""
    tiles: TileDecoder = field(default_factory=TileDecoder)
    """Decodes images for contact sheets; it is closed with the app."""
    spool_threads: ThreadLimiter = field(default_factory=lambda: ThreadLimiter("reading spool", 8))
    """For images that are not in the store yet, so that they are shown whatever the store does."""
    page_threads: ThreadLimiter = field(default_factory=lambda: ThreadLimiter("compressing", 2))
    """For work on /metrics, which must answer whatever else hangs."""
    readiness: tuple[Check, ...] = ()
    connection_checks: Callable[[], tuple[ConnectionCheck, ...]] = tuple
    """Returns the last check of each connection, without trying any."""
    public_url: str = ""
    """The start of links in API responses; "": the address that the request was sent to."""
    grafana_url: str = ""
    """Where the dashboards are; "": pages link to none."""
    grpc_address: str = "127.0.0.1:50051"
    """Where training loops connect, shown to newcomers on the first page."""
    frame_ancestors: tuple[str, ...] = ()
    """CSP sources that may frame pages, besides this bridge and Grafana; ("'none'",): nobody may."""
    allowed_hosts: tuple[str, ...] = ()
    """Names under which the bridge answers, besides its public URL and those that cannot be rebound."""
    alert_bounds: AlertBounds = field(default_factory=AlertBounds)
    """What alerts may do to training loops; nothing by default."""
    connection_limits: HttpConnectionLimits = field(default_factory=HttpConnectionLimits)
    trusted_proxies: TrustedProxies = NO_PROXIES
    """Who is believed about where a request comes from."""
    authentication: Authentication = OPEN
    """Who may read pages, send commands and scrape."""
    read_spooled: Callable[[ImageLocation], bytes] = _nothing_spooled
    """The same for other bridges, of what only this one has."""
    peers: Peers = field(default_factory=NoPeers)
    """The bridges that share the database."""
    peer_connections: PeerConnections = field(default_factory=PeerConnections)
    """For requests to them; they are opened and closed with the app."""
    peer_threads: ThreadLimiter = field(default_factory=lambda: ThreadLimiter("bridges", 4))
    """For questions about them, which must not wait behind what else is asked of the database."""


DEPENDENCIES = web.AppKey("dependencies", AppDependencies)


OWN_DEPENDENCIES = web.RequestKey("own_dependencies", AppDependencies)
"""In which there are no sessions but those that whoever makes the request may see."""


def deps_of(request: web.Request) -> AppDependencies:
    """Return what serves a request: once it is known who makes it, without the sessions of others."""
    return request.get(OWN_DEPENDENCIES) or request.app[DEPENDENCIES]
