"""Deletes sessions with the commits that everything else goes to disk with, so that none comes back."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from bridge.storage.deletions import Deletion, put_deletions
from bridge.storage.transaction import Transaction


class DeletionRequests:
    """Sessions to delete, until a commit has recorded them.

    It comes before the journal in a commit: what is written of a name after its deletion is a new session's.
    """

    def __init__(self) -> None:
        """Start empty."""
        self.recorded = asyncio.Event()
        """Set when there is something new to carry out."""
        self._requested: list[Deletion] = []

    def add(self, deletion: Deletion) -> None:
        """Have a session that has left memory deleted with the next commit."""
        self._requested.append(deletion)

    def collect(self) -> "DeletionWrite | None":
        """Hand over what has been requested since the last commit."""
        if not self._requested:
            return None
        requested, self._requested = self._requested, []
        return DeletionWrite(requested, self.recorded)


@dataclass(frozen=True, slots=True)
class DeletionWrite:
    """The deletions of one commit."""

    deletions: Sequence[Deletion]
    recorded: asyncio.Event

    def write(self, transaction: Transaction) -> None:
        """Delete the sessions, and record the deletions."""
        put_deletions(transaction, self.deletions)

    def on_committed(self) -> None:
        """Wake up whoever carries them out."""
        self.recorded.set()
