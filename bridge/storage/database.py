"""What the bridge asks of a database, whichever it is."""

from collections.abc import Collection, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol

from bridge.storage.statements import NOTHING, Statement
from bridge.storage.transaction import Parameters, RefusedRow, Transaction

Row = tuple[Any, ...]


class Database(Protocol):
    """Keeps rows; every method may be called from any thread, and blocks."""

    @property
    def dialect(self) -> str:
        """Which statements it takes: "sqlite" or "postgresql"."""

    @property
    def bridge_id(self) -> str:
        """The name of this bridge among those that share the database; "": no other bridge does."""

    @property
    def number(self) -> int:
        """The number of this bridge among those: the ids of its shards begin with it; 0: no other bridge does."""

    def transaction(
        self, *, refused: list[RefusedRow] | None = None
    ) -> AbstractContextManager[Transaction]:
        """Commit everything done inside, or nothing.

        With `refused`, rows that the database cannot hold are left out and added to it. Raises UnwritableError for
        such a row without it, and StorageError where nothing can be committed at the moment.
        """

    def group(
        self, *, refused: list[RefusedRow] | None = None, arrived: Collection[str] = ()
    ) -> AbstractContextManager[Transaction]:
        """Commit as `transaction` does, as the one who owns the sessions that are written.

        Where another bridge has taken some of them since, `Transaction.owns` says which: nothing of these may be
        written. `arrived` have come into memory since the last group: they may have been lost on their way there, when
        an earlier group learned of it. Raises what `transaction` raises, and CommitsForgottenError where the database
        has gone back to an earlier moment.
        """

    def settle(self) -> bool:
        """Return whether the last group that failed has been committed after all: its answer may have been lost.

        Raises StorageError while that cannot be found out.
        """

    def query(self, statement: Statement, parameters: Parameters = NOTHING, /) -> list[Row]:
        """Return all rows of a query on what has been committed; raises StorageError."""

    @property
    def size_bytes(self) -> int:
        """The size of the database on its disk."""

    def close(self) -> None:
        """Close all connections; nothing may be called after it but `close`, which then does nothing."""


class OnNotify(Protocol):
    """Whoever listens to what other bridges announce."""

    def __call__(self, channel: str, payload: str, /) -> None:
        """Something was announced; both "" means that anything may have been while nobody listened."""


class SharedDatabase(Database, Protocol):
    """A database that several bridges share."""

    @property
    def generation(self) -> int:
        """How often other bridges have taken sessions from this one, as far as it knows."""

    def listen(
        self, channels: Sequence[str], on_notify: OnNotify, /
    ) -> AbstractContextManager[None]:
        """Call `on_notify` on the event loop for what is announced, until the block is left.

        It may be that nothing is heard, so whoever listens looks by himself now and then.
        """
