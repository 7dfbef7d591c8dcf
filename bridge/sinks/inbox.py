"""Messages from other bridges leave the inbox with the commit that keeps what came of them."""

from collections.abc import Sequence
from dataclasses import dataclass

from bridge.lifecycle import Event, Moved
from bridge.session import Session
from bridge.storage.inbox import InboxRows
from bridge.storage.transaction import Transaction


class InboxReceipts:
    """Which messages have been applied: a kill at any moment neither loses nor doubles one.

    What comes of a message is committed with the removal of its row, or neither is.
    """

    def __init__(self, rows: InboxRows) -> None:
        """Remove messages from `rows`."""
        self._rows = rows
        self._applied: dict[int, str] = {}
        """The session of each message that has been applied, and may still be read."""
        self._uncollected: list[int] = []
        self._removed: set[int] = set()
        """Of them, those whose removal has been committed."""

    def consume(self, session: Session, event: Event, _received: float) -> None:
        """Apply nothing for sessions that another bridge has: it finds there what was not committed here."""
        if type(event) is Moved and session.id in self._applied.values():
            self._forget({number for number, name in self._applied.items() if name == session.id})

    def add(self, number: int, session_id: str) -> None:
        """Have a message removed with the next commit, which has what came of it."""
        self._applied[number] = session_id
        self._uncollected.append(number)

    def has(self, number: int) -> bool:
        """Return whether a message has been applied."""
        return number in self._applied

    def removed(self) -> frozenset[int]:
        """Return the messages that are read no more by whoever begins to read now."""
        return frozenset(self._removed)

    def forget(self, removed: frozenset[int]) -> None:
        """Forget messages that nobody can have read without their removal."""
        self._forget(removed)

    def collect(self) -> "InboxWrite | None":
        """Hand over what has been applied since the last call."""
        if not self._uncollected:
            return None
        numbers, self._uncollected = self._uncollected, []
        return InboxWrite(
            self, self._rows, tuple((number, self._applied[number]) for number in numbers)
        )

    def on_removed(self, numbers: Sequence[int]) -> None:
        """Note that a commit has removed messages."""
        self._removed.update(number for number in numbers if number in self._applied)

    def _forget(self, numbers: frozenset[int] | set[int]) -> None:
        self._removed -= numbers
        self._uncollected = [number for number in self._uncollected if number not in numbers]
        for number in numbers:
            self._applied.pop(number, None)


@dataclass(frozen=True, slots=True)
class InboxWrite:
    """The messages that one commit removes."""

    receipts: InboxReceipts
    rows: InboxRows
    messages: tuple[tuple[int, str], ...]
    """Number and session of each."""

    def write(self, transaction: Transaction) -> None:
        """Remove them, but for those of sessions that another bridge has."""
        numbers = [number for number, name in self.messages if transaction.owns(name)]
        self.rows.remove(transaction, numbers)

    def on_committed(self) -> None:
        """Let them be forgotten."""
        self.receipts.on_removed([number for number, _ in self.messages])
