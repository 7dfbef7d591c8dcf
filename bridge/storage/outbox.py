"""Spans that wait for the OTLP endpoint, and traces that are not complete yet."""

from collections.abc import Iterable, Sequence

from bridge.storage.database import Database, Transaction

OUTBOX_LIMIT = 10_000
"""Spans that may wait; of more the oldest are dropped."""

REMEMBERED_SECONDS = 7 * 86_400
"""A trace that nobody has continued for so long is not kept over a restart."""


class SpanOutbox:
    """Rows of spans, oldest first; every method but `add` and those with a transaction may block."""

    def __init__(self, database: Database, *, limit: int = OUTBOX_LIMIT) -> None:
        """Use the database given."""
        self._database = database
        self._limit = limit

    def add(self, transaction: Transaction, spans: Sequence[tuple[str, str]]) -> int:
        """Add spans, each an id and its JSON, and return how many old ones had to go for them."""
        transaction.executemany("INSERT OR REPLACE INTO spans (span_id, span) VALUES (?, ?)", spans)
        newest_kept = "SELECT number FROM spans ORDER BY number DESC LIMIT 1 OFFSET ?"
        gone = transaction.execute(
            f"DELETE FROM spans WHERE number <= ({newest_kept})",  # noqa: S608 -- a constant
            (self._limit,),
        )
        return gone.rowcount

    def oldest(self, count: int) -> list[tuple[int, str]]:
        """Return the numbers and JSON of the spans that have waited longest."""
        sql = "SELECT number, span FROM spans ORDER BY number LIMIT ?"
        return [(number, span) for number, span in self._database.query(sql, (count,))]

    def remove(self, numbers: Iterable[int]) -> None:
        """Forget spans that have been delivered."""
        with self._database.transaction() as transaction:
            transaction.executemany(
                "DELETE FROM spans WHERE number = ?", [(number,) for number in numbers]
            )

    def count(self) -> int:
        """Return how many spans wait."""
        [[number]] = self._database.query("SELECT count(*) FROM spans")
        return int(number)


class OpenTraces:
    """One row for each session whose trace is not complete, for after a restart."""

    def __init__(self, database: Database) -> None:
        """Use the database given."""
        self._database = database

    def keep(self, transaction: Transaction, rows: Sequence[tuple[str, float, str]]) -> None:
        """Write traces: session id, time in seconds since 1970, JSON."""
        transaction.executemany(
            "INSERT OR REPLACE INTO traces (session_id, updated_ms, trace) VALUES (?, ?, ?)",
            [(session_id, int(at * 1000), trace) for session_id, at, trace in rows],
        )

    def forget(self, transaction: Transaction, session_ids: Sequence[str]) -> None:
        """Drop traces."""
        transaction.executemany(
            "DELETE FROM traces WHERE session_id = ?", [(session_id,) for session_id in session_ids]
        )

    def load(self, now: float) -> dict[str, str]:
        """Return what was kept, by session id, and drop what nobody has continued."""
        oldest_ms = int((now - REMEMBERED_SECONDS) * 1000)
        with self._database.transaction() as transaction:
            transaction.execute("DELETE FROM traces WHERE updated_ms < ?", (oldest_ms,))
        return dict(self._database.query("SELECT session_id, trace FROM traces"))
