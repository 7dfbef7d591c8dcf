"""Builds what a bridge needs to share its sessions with others on the same database."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial

from bridge.commit_group import Fenced
from bridge.committer import Committer
from bridge.config import Settings
from bridge.errors import OverloadedError, StorageError
from bridge.inbox import InboxDelivery, MessageReceiver, SessionInbox
from bridge.ownership import Orphans, Ownership, Releases, Taking
from bridge.pipeline import Pipeline
from bridge.session import Session
from bridge.sessions import Sessions
from bridge.sinks import Sinks
from bridge.sinks.images import Images
from bridge.sinks.inbox import InboxReceipts
from bridge.sinks.journal import Journal
from bridge.sinks.journal.restoration import Restoration
from bridge.state import State
from bridge.storage import inbox, owners
from bridge.storage.inbox import InboxRows
from bridge.storage.owners import OwnerRows
from bridge.storage.peer_rows import PeerRows
from bridge.telemetry import Telemetry
from bridge.threads import run_in_daemon_thread
from bridge.web.peers.connections import PeerConnections
from bridge.web.peers.shared_peers import SharedPeers
from bridge.web.peers.sharing import NoPeers, Peers

RETRY_AFTER_MS = 1_000
"""Who has a session is remembered for so long."""


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

    def __init__(self, state: State, settings: Settings, telemetry: Telemetry) -> None:
        """Share those of a database that others have, too; raises StorageError where it does not answer."""
        self._database = database = state.shared
        self._settings = settings
        self._telemetry = telemetry
        self._rows = None if database is None else OwnerRows(database)
        self._peer_rows = (
            None
            if database is None
            else PeerRows(database, dead_seconds=settings.bridge_dead_seconds)
        )
        self.peers: Peers = (
            NoPeers()
            if self._peer_rows is None
            else SharedPeers(self._peer_rows, state.acknowledgement)
        )
        """What pages ask of the other bridges."""
        self.connections = PeerConnections(self.peers.secret)
        """For requests to them."""
        self._ownership: Ownership | None = None
        self._parts: SessionParts | None = None
        self._releases = None if self._rows is None else Releases(self._rows)
        self._messages = None if database is None else InboxRows(database)
        self._receipts = None if self._messages is None else InboxReceipts(self._messages)
        self._delivery: InboxDelivery | None = None

    @property
    def sinks(self) -> tuple[Releases | InboxReceipts, ...]:
        """What consumes events and writes with each commit."""
        return tuple(sink for sink in (self._releases, self._receipts) if sink is not None)

    def on_fenced(self, fenced: Fenced) -> None:
        """Let go of what other bridges have taken."""
        if self._ownership is not None:
            self._ownership.on_fenced(fenced)

    def on_forgotten(self) -> None:
        """Have all sessions in memory written whole: the database lacks what it had confirmed of them, or all of them."""
        if self._parts is None:
            return
        self._parts.sessions.arrive_again()
        for session in self._parts.sessions:
            self._parts.journal.take_over(session)

    async def begin(
        self, stack: AsyncExitStack, parts: SessionParts, sinks: Sinks
    ) -> Ownership | None:
        """Take sessions and adopt orphans until the stack is left; return what takes them."""
        if self._database is None or self._rows is None or self._releases is None:
            return None
        self._parts = parts
        catch_up = partial(self._catch_up, parts.committer)
        taking = Taking(
            self._database,
            self._rows,
            Restoration(sinks.replayers, self._telemetry),
            self._telemetry,
            go_on=partial(self._go_on, parts),
            catch_up=catch_up,
            is_here=lambda name: parts.sessions.find(name) is not None,
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
            give_up=self._releases.give_up,
            note_shares=ownership.note_shares,
        )
        await stack.enter_async_context(
            parts.images.counting_lost(self._settings.bridge_forget_seconds)
        )
        await stack.enter_async_context(taking.running())
        try:
            await orphans.adopt_own()
        except BaseException:
            parts.journal.never_trim()  # the next start needs what is there
            raise
        await stack.enter_async_context(orphans.running())
        return ownership

    async def bring(self, session_id: str) -> Session | None:
        """Have this bridge own a session that no other has that lives, and return it, or None where it is over.

        Raises OverloadedError where another one has it, which is to do what is asked, and StorageError.
        """
        peers, ownership = self._peer_rows, self._ownership
        if peers is None or ownership is None:
            return None
        owner = await run_in_daemon_thread(lambda: peers.owner_of(session_id), name="owner")
        if owner is not None:
            raise OverloadedError(
                f"bridge {owner.bridge_id} has had this session for a moment: ask again, and it will answer",
                retry_after_ms=RETRY_AFTER_MS,
            )
        return await ownership.acquire(session_id)

    def inbox(self, parts: SessionParts) -> SessionInbox | None:
        """Return what takes commands and alerts for sessions of other bridges; None: there are no others."""
        if self._messages is None or self._receipts is None:
            return None
        self._delivery = delivery = InboxDelivery(
            self._messages,
            self._receipts,
            parts.sessions,
            self._telemetry,
            request_commit=parts.committer.request_commit,
        )
        return SessionInbox(
            self._messages,
            parts.sessions,
            committed=parts.committer.committed,
            deliver=delivery.deliver,
        )

    async def serve(
        self,
        stack: AsyncExitStack,
        parts: SessionParts,
        receivers: Mapping[str, MessageReceiver],
        *,
        on_lost: Callable[[str], None],
    ) -> None:
        """Give the sessions here what other bridges have left for them, by its kind, until the stack is left.

        `on_lost` is called with each session that another bridge has taken.
        """
        delivery = self._delivery
        if self._database is None or delivery is None:
            return
        if self._ownership is not None:
            self._ownership.on_lost = on_lost
        delivery.hand_to(receivers)
        own_id = self._database.bridge_id

        def on_notify(channel: str, name: str) -> None:
            if channel != owners.CHANNEL:
                delivery.announce(name)
            if channel != inbox.CHANNEL and name in ("", own_id):
                self._catch_up(parts.committer)

        await stack.enter_async_context(delivery.running())
        stack.enter_context(self._database.listen((inbox.CHANNEL, owners.CHANNEL), on_notify))

    def _go_on(
        self, parts: SessionParts, session: Session, window: bytes | None, /, *, is_expected: bool
    ) -> None:
        """Go on with a session, and look what has been left for it meanwhile."""
        parts.go_on(session, window, is_expected=is_expected)
        if self._delivery is not None:
            self._delivery.announce(session.id)

    def _catch_up(self, committer: Committer) -> None:
        """Have a commit find out soon what other bridges have taken."""
        if self._releases is not None:
            self._releases.ask()
        committer.request_commit()

    def announce(self, fingerprint: str) -> None:
        """Have the others expect a certificate that this bridge shows from now on; raises StorageError."""
        if self._peer_rows is not None:
            self._peer_rows.put_fingerprint(fingerprint)

    def resign(self) -> None:
        """Let others adopt at once what this bridge still has: it has stopped."""
        if self._rows is None:
            return
        try:
            self._rows.resign(silent_seconds=self._settings.bridge_dead_seconds)
        except StorageError as error:
            self._telemetry.storage_failed("leaving the other bridges", error)
