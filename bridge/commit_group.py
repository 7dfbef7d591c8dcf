"""What goes to disk together, and who waits for it."""

import asyncio
from dataclasses import dataclass
from typing import Protocol

from bridge.sinks import PendingWrite
from bridge.storage.transaction import RefusedRow


class CommitListener(Protocol):
    """Whoever waits for an update to be committed."""

    def on_committed(self, ticket: int) -> None:
        """Everything added with this ticket or an earlier one has been committed."""


@dataclass(frozen=True, slots=True)
class Group:
    """What one commit writes, and who waits for it."""

    ticket: int
    writes: tuple[PendingWrite, ...]
    listeners: frozenset[CommitListener]
    updates: int
    size_bytes: int
    arrived: frozenset[str] = frozenset()
    """Sessions that have come into memory since the group before."""
    collected_at: float = 0.0
    """On the monotonic clock."""


@dataclass(frozen=True, slots=True)
class Fenced:
    """Another bridge has taken sessions: what a commit found that this one still has."""

    owned: frozenset[str]
    since: float
    """Monotonic, before that was asked; of sessions that came into memory later nothing is known by it."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a commit came to."""

    seconds: float
    refused: tuple[RefusedRow, ...]


class Waiter:
    """Waits for one commit."""

    def __init__(self) -> None:
        """Wait from now on."""
        self.ticket = 0
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def on_committed(self, ticket: int) -> None:
        """Stop waiting, once it is the one."""
        if ticket >= self.ticket and not self.done.done():
            self.done.set_result(None)
