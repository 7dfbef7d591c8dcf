"""Where events go, and what takes part when they are committed, checkpointed and replayed."""

from dataclasses import dataclass
from typing import Protocol

from bridge.lifecycle import Event
from bridge.session import Session
from bridge.storage.transaction import Transaction


class Sink(Protocol):
    """Consumes everything that happens, in order, and delivers it somewhere."""

    def consume(self, session: Session, event: Event, received: float) -> None:
        """Take one event of `session`, received at `received` (seconds since 1970).

        Runs on the event loop: microseconds, no waiting, no exceptions for bad data.
        The session itself has not applied the event yet.
        """


class PendingWrite(Protocol):
    """What one sink has for the next commit."""

    def write(self, transaction: Transaction) -> None:
        """Write it, but for sessions that the transaction does not own; runs in the commit thread.

        When the commit fails this is called again, with a new transaction, until one succeeds: what
        went to files the first time must not go there twice.
        """

    def on_committed(self) -> None:
        """Called on the event loop when the commit has succeeded."""


class DurableSink(Protocol):
    """A sink that has something to commit."""

    def collect(self) -> PendingWrite | None:
        """Hand over everything since the last call, or None; runs on the event loop."""


class Snapshotter(Protocol):
    """A part of the bridge with state of each session that must outlive the process."""

    name: str
    """The key of this state in a checkpoint and in `Session.restored_state`."""

    def snapshot(self, session: Session) -> object:
        """Return plain values that never change again, or None; runs on the event loop."""


class Replayer(Protocol):
    """A part of the bridge that can apply an event again."""

    def replay(self, session: Session, event: Event, received: float) -> None:
        """Change as `consume` does, but deliver nothing: that was committed with the event."""


@dataclass(frozen=True, slots=True)
class Sinks:
    """Who takes part in what, in the order in which they are called."""

    consumers: tuple[Sink, ...]
    durables: tuple[DurableSink, ...]
    snapshotters: tuple[Snapshotter, ...]
    replayers: tuple[Replayer, ...]


class GroupCommit(Protocol):
    """What a sink may ask of the committer."""

    def request_commit(self) -> None:
        """Commit soon."""

    async def commit(self) -> bool:
        """Write at once all that has been consumed by now, and return whether it is on disk."""
