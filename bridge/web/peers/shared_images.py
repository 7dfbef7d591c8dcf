"""Reads images wherever they lie: here, in the object store, or still on the disk of another bridge."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from urllib.parse import quote, urlencode

from bridge.errors import ImageAwayError, ImageLostError, NotFoundError, StorageError
from bridge.sinks.images import checked
from bridge.storage.index import ImageLocation
from bridge.web.peers.connections import PeerConnections
from bridge.web.peers.sharing import Peer, Peers

SHARDS = "/internal/v1/shards"
"""Where bridges read the shards on each other's disks."""


@dataclass(frozen=True, slots=True)
class SharedImages:
    """Reads images of a database that bridges share; every method blocks, and may run in any thread."""

    read_own: Callable[[ImageLocation], bytes]
    """Reads what this bridge has, and what the store has."""
    peers: Peers
    connections: PeerConnections

    def read(self, location: ImageLocation) -> bytes:
        """Return the bytes of an image.

        Raises ImageLostError or ImageAwayError for one that only a bridge has which is gone, or does not answer;
        NotFoundError where it is in no place, StorageError when the store does not answer.
        """
        if location.lost:
            raise ImageLostError(location.bridge_id)
        if location.stored or location.bridge_id in ("", self.peers.bridge_id):
            return self.read_own(location)
        try:
            jpeg = self._fetch(location)
        except NotFoundError:
            return self._from_store(location)
        except StorageError:
            try:
                return self._from_store(location)
            except NotFoundError:
                raise ImageAwayError(location.bridge_id) from None
        return checked(jpeg, location)

    def _from_store(self, location: ImageLocation) -> bytes:
        """Read what may have reached the store since its location was looked up."""
        return self.read_own(replace(location, stored=True))

    def _fetch(self, location: ImageLocation) -> bytes:
        query = urlencode({"offset": location.offset, "length": location.length})
        return self.connections.fetch_in_thread(
            self._peer(location.bridge_id),
            f"{SHARDS}/{quote(location.key)}?{query}",
            name=f"bridge {self.peers.bridge_id}",
        )

    def _peer(self, bridge_id: str) -> Peer:
        for bridge in self.peers.bridges():
            if bridge.peer.bridge_id == bridge_id and bridge.is_alive:
                return bridge.peer
        raise StorageError(f"bridge {bridge_id} is away")
