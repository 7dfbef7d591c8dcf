"""Deletes sessions with the commits that everything else goes to disk with, so that none comes back."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from bridge.storage.deletions import Deletion, put_deletion
from bridge.storage.transaction import Transaction


class DeletionRequests:
    """Sessions to delete, until a commit has recorded them.

    It comes before the journal in a commit: what is written of a name after its deletion is a new session's.
    """

    def __init__(self, bridge_id: str = "") -> None:
        """Start empty, for the bridge of this name; "": no other one has its sessions."""
        self.recorded = asyncio.Event()
        """Set when there is something new to carry out."""
        self._bridge_id = bridge_id
        self._requested: list[RequestedDeletion] = []

    def add(self, deletion: Deletion) -> "RequestedDeletion":
        """Have a session that has left memory deleted with the next commit; what is returned says whether it was."""
        requested = RequestedDeletion(deletion)
        self._requested.append(requested)
        return requested

    def collect(self) -> "DeletionWrite | None":
        """Hand over what has been requested since the last commit."""
        if not self._requested:
            return None
        requested, self._requested = self._requested, []
        return DeletionWrite(requested, self.recorded, self._bridge_id)


@dataclass(slots=True)
class RequestedDeletion:
    """A deletion, and what came of it."""

    deletion: Deletion
    is_left_out: bool = False
    """Another bridge had taken the session by the time of the commit: it goes on, and was left alone."""


@dataclass(frozen=True, slots=True)
class DeletionWrite:
    """The deletions of one commit."""

    requested: Sequence[RequestedDeletion]
    recorded: asyncio.Event
    bridge_id: str = ""

    def write(self, transaction: Transaction) -> None:
        """Delete the sessions that no other bridge has, and record the deletions."""
        for one in self.requested:
            one.is_left_out = not put_deletion(transaction, one.deletion, self.bridge_id)

    def on_committed(self) -> None:
        """Wake up whoever carries them out."""
        self.recorded.set()
