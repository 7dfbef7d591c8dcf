"""Spans waiting for the OTLP endpoint."""

from collections.abc import Iterable, Sequence

from bridge.storage.database import Database
from bridge.storage.transaction import Transaction

NUMBERS_END = 10**18
"""Far above the number of any span: one that reaches it is damaged, and must leave room for the next."""

OUTBOX_LIMIT = 10_000
"""Spans that may wait; beyond it the oldest are dropped."""


class SpanOutbox:
    """Rows of spans, oldest first; every method but `add` and those with a transaction may block."""

    def __init__(self, database: Database, *, limit: int = OUTBOX_LIMIT) -> None:
        """Read and write `database`."""
        self._database = database
        self._limit = limit

    def add(self, transaction: Transaction, spans: Sequence[tuple[str, str]]) -> int:
        """Add spans, each an id and its JSON, and return how many old ones were dropped for them."""
        transaction.executemany("INSERT OR REPLACE INTO spans (span_id, span) VALUES (?, ?)", spans)
        newest_kept = "SELECT number FROM spans ORDER BY number DESC LIMIT 1 OFFSET ?"
        deleted = transaction.execute(
            f"DELETE FROM spans WHERE number <= ({newest_kept})",  # noqa: S608 -- a constant
            (self._limit,),
        )
        return deleted.rowcount

    def oldest(self, count: int) -> list[tuple[int, str]]:
        """Return the numbers and JSON of the spans that have waited longest."""
        sql = "SELECT number, span FROM spans ORDER BY number LIMIT ?"
        return [(number, span) for number, span in self._database.query(sql, (count,))]

    def remove(self, numbers: Iterable[int]) -> None:
        """Remove spans that have been delivered."""
        with self._database.transaction() as transaction:
            transaction.executemany(
                "DELETE FROM spans WHERE number = ?", [(number,) for number in numbers]
            )

    def discard_misnumbered(self) -> int:
        """Remove spans whose number is damaged, and reset the sequence of numbers; return how many spans.

        SQLite only assigns numbers above all those before, and has none above the highest.
        """
        [[spans]] = self._database.query(
            "SELECT count(*) FROM spans WHERE number >= ?", (NUMBERS_END,)
        )
        given = self._database.query(
            "SELECT 1 FROM sqlite_sequence WHERE name = 'spans' AND seq >= ?", (NUMBERS_END,)
        )
        if spans or given:
            with self._database.transaction() as transaction:
                transaction.execute("DELETE FROM spans WHERE number >= ?", (NUMBERS_END,))
                transaction.execute(
                    "UPDATE sqlite_sequence SET seq = (SELECT coalesce(max(number), 0) FROM spans)"
                    " WHERE name = 'spans'"
                )
        return int(spans)

    def count(self) -> int:
        """Return how many spans wait."""
        [[number]] = self._database.query("SELECT count(*) FROM spans")
        return int(number)
