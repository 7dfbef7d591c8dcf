"""Where events go: each module delivers to one place."""

from typing import Protocol

from bridge.model import Event
from bridge.session import Session
from bridge.storage.transaction import Transaction


class Sink(Protocol):
    """Takes everything that happens, in order, and delivers it somewhere."""

    def consume(self, session: Session, event: Event, received: float) -> None:
        """Take one event of `session`, received at `received` (seconds since 1970).

        Runs on the event loop: microseconds, no waiting, no exceptions for bad data.
        The session itself has not applied the event yet.
        """


class PendingWrite(Protocol):
    """What one sink wants on disk with the next commit."""

    def write(self, transaction: Transaction) -> None:
        """Write it; runs in the commit thread.

        When the commit fails this is called again, with a new transaction, until one succeeds: what
        went to files the first time must not go there twice.
        """

    def on_committed(self) -> None:
        """Take notice that the commit has succeeded; runs on the event loop."""


class DurableSink(Protocol):
    """A sink that has something to keep."""

    def collect(self) -> PendingWrite | None:
        """Hand over everything since the last call, or None; runs on the event loop."""


class GroupCommit(Protocol):
    """What a sink may ask of whoever commits all sinks together."""

    def request_commit(self) -> None:
        """Commit soon."""

    async def commit(self) -> bool:
        """Write at once all that has been consumed by now, and return whether it is on disk."""
