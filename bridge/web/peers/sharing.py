"""The bridges that share a database, as pages see them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Protocol

SILENT_SECONDS = 5.0
"""Longer than a bridge that lives goes without a commit."""


@dataclass(frozen=True, slots=True)
class Peer:
    """A bridge that shares the database."""

    bridge_id: str
    url: str
    """Where the others reach it, without a path."""
    fingerprint: str = ""
    """Of the certificate that it shows there, the SHA-256 in hex; "": it speaks plain text."""


@dataclass(frozen=True, slots=True)
class SharingBridge:
    """A bridge that shares the database, and how it does."""

    peer: Peer
    version: str
    started_ms: int
    """Since 1970."""
    seen_seconds: float
    """Since it committed last, by the clock of the database."""
    is_alive: bool
    """Whether that is not too long ago: of one that is not, the others take the sessions."""
    sessions: int
    """How many it has."""

    @property
    def state(self) -> str:
        """How it does, as one word for people; each bridge that lives commits at least once a second."""
        if not self.is_alive:
            return "gone"
        return "silent" if self.seen_seconds > SILENT_SECONDS else "alive"


class Peers(Protocol):
    """The bridges that share a database; safe to call from any thread, and every method may block."""

    @property
    def bridge_id(self) -> str:
        """The name of this bridge among them; "": it has a database of its own."""

    @property
    def secret(self) -> bytes:
        """What they prove themselves to each other with; b"": nobody can."""

    @property
    def acknowledgement(self) -> str:
        """What an Ack means here, as one sentence; "": nothing is known of it."""

    def owner_of(self, session_id: str, /) -> Peer | None:
        """Return the other bridge that has a session; None: this one has it, or none that is alive.

        It may be up to a second old, and older while the database does not answer: it never raises.
        """

    def elsewhere(self) -> Mapping[str, str]:
        """Return the sessions that other bridges have that are alive, and which has each; as `owner_of`."""

    def bridges(self) -> Sequence[SharingBridge]:
        """Return all that are known, this one included; raises StorageError."""


class NoPeers:
    """A bridge with a database of its own."""

    bridge_id = ""
    secret = b""
    acknowledgement = ""

    def owner_of(self, _session_id: str, /) -> Peer | None:
        """Return None."""
        return None

    def elsewhere(self) -> Mapping[str, str]:
        """Return nothing."""
        return MappingProxyType({})

    def bridges(self) -> Sequence[SharingBridge]:
        """Return nothing."""
        return ()
