"""The bridges of a shared database, asked for once a second at most, and remembered while it does not answer."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from threading import Lock

from bridge.errors import StorageError
from bridge.storage.peer_rows import BridgeAddress, BridgeRow, PeerRows
from bridge.web.peers.sharing import Peer, SharingBridge

FRESH_SECONDS = 1.0

AWAY_SECONDS = 10.0
"""After the database has not answered, it is not asked for so long: pages do not wait for it one by one."""

KEPT_SECONDS = 300.0
"""So long the last answer counts where there is no newer one."""

MOST_KEPT = 10_000
"""Sessions whose owner is remembered."""


@dataclass(frozen=True, slots=True)
class _Known:
    at: float
    owner: Peer | None


class SharedPeers:
    """What one bridge knows of the others."""

    def __init__(
        self,
        rows: PeerRows,
        acknowledgement: str,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """Ask `rows`; raises StorageError where the secret cannot be had."""
        self.bridge_id = rows.bridge_id
        self.secret = rows.secret()
        self.acknowledgement = acknowledgement
        self._rows = rows
        self._monotonic = monotonic
        self._lock = Lock()
        self._owners: dict[str, _Known] = {}
        self._elsewhere: Mapping[str, str] = {}
        self._peers: Mapping[str, Peer] = {}
        self._elsewhere_at = -KEPT_SECONDS
        self._away_until = 0.0

    def owner_of(self, session_id: str, /) -> Peer | None:
        """Return the other bridge that has a session; while the database is away, as it was last known."""
        now = self._monotonic()
        known = self._known(session_id)
        if known is not None and now < max(known.at + FRESH_SECONDS, self._away_until):
            return known.owner
        if now < self._away_until:
            return None
        try:
            row = self._rows.owner_of(session_id)
        except StorageError:
            self._away_until = self._monotonic() + AWAY_SECONDS
            return None if known is None else known.owner
        owner = None if row is None else _peer(row)
        self._remember(session_id, _Known(now, owner))
        return owner

    def elsewhere(self) -> Mapping[str, str]:
        """Return the sessions that others have; while the database is away, as it was last known."""
        with self._lock:
            now = self._monotonic()
            if now < max(self._elsewhere_at + FRESH_SECONDS, self._away_until):
                return self._elsewhere
            try:
                owners, others = self._rows.elsewhere()
            except StorageError:
                self._away_until = self._monotonic() + AWAY_SECONDS
                return self._elsewhere
            self._peers = {name: _peer(row) for name, row in others.items()}
            self._elsewhere, self._elsewhere_at = owners, now
            return owners

    def bridges(self) -> Sequence[SharingBridge]:
        """Return all bridges; raises StorageError."""
        return [self._sharing(row) for row in self._rows.bridges()]

    def _known(self, session_id: str) -> _Known | None:
        """Return what is known of a session, by the list of all or by itself, whichever is newer; None: nothing any more."""
        alone, all_at = self._owners.get(session_id), self._elsewhere_at
        if alone is None or alone.at < all_at:
            alone = _Known(all_at, self._peers.get(self._elsewhere.get(session_id, "")))
        return alone if self._monotonic() < alone.at + KEPT_SECONDS else None

    def _remember(self, session_id: str, known: _Known) -> None:
        if len(self._owners) >= MOST_KEPT:
            self._owners.clear()
        self._owners[session_id] = known

    def _sharing(self, row: BridgeRow) -> SharingBridge:
        is_alive = row.silent_ms <= self._rows.dead_ms
        seen_seconds = max(0, row.silent_ms) / 1000
        return SharingBridge(
            _peer(row.address), row.version, row.started_ms, seen_seconds, is_alive, row.sessions
        )


def _peer(row: BridgeAddress) -> Peer:
    return Peer(row.bridge_id, row.url, row.fingerprint)
