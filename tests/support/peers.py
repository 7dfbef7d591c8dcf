"""Bridges on one database, of which a test says who has which session."""

from dataclasses import dataclass, field

from bridge.errors import StorageError
from bridge.web.peers.sharing import Peer, SharingBridge


@dataclass
class FakePeers:
    """What one of several bridges knows of the others."""

    bridge_id: str = "here"
    secret: bytes = b"s3cret of the database"
    acknowledgement: str = (
        "An Ack means that an update is on the disk of the primary and of 1 standby."
    )
    owners: dict = field(default_factory=dict)
    """By session, the bridge that has it."""
    known: list = field(default_factory=list)
    """All bridges."""
    is_away: bool = False
    """Whether the database does not answer."""

    def owner_of(self, session_id):
        owner = self.owners.get(session_id)
        return None if owner is None or owner.bridge_id == self.bridge_id else owner

    def elsewhere(self):
        return {
            name: owner.bridge_id
            for name, owner in self.owners.items()
            if owner.bridge_id != self.bridge_id
        }

    def bridges(self):
        if self.is_away:
            raise StorageError("the database does not answer")
        return self.known


def sharing(peer: Peer, *, seen_seconds=0.5, is_alive=True, sessions=1) -> SharingBridge:
    """Return a bridge as the database has it."""
    return SharingBridge(peer, "1.2.3", 1_700_000_000_000, seen_seconds, is_alive, sessions)
