"""Rows of the image index that were read from the object store: they can be read again at any time."""

import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

from sqlalchemy import bindparam, delete, func, select

from bridge.errors import DatabaseLostError
from bridge.storage.database import Database
from bridge.storage.index import ImageIndex
from bridge.storage.schema import BATCHES, IMAGES, SHARDS
from bridge.storage.shard_rows import ShardRows
from bridge.storage.shards import (
    Shard,
    ShardBatch,
    adopt_shards,
    forget_shards,
    last_shard_id,
    shards_of_session,
)
from bridge.storage.sqlite import SqliteDatabase
from bridge.storage.statements import Statement
from bridge.storage.transaction import Transaction

FORGET = tuple(
    Statement(delete(table).where(table.c.session_id == bindparam("session_id")))
    for table in (IMAGES, BATCHES, SHARDS)
)
COUNT = Statement(
    select(func.count()).select_from(IMAGES).where(IMAGES.c.session_id == bindparam("session_id"))
)


@dataclass(frozen=True, slots=True)
class StoredShard:
    """A shard in the object store, and what its index says."""

    session_id: str
    key: str
    size_bytes: int
    batches: tuple[ShardBatch, ...] = ()
    attempt: int = 1


class IndexCache:
    """Keeps rows in a file of its own, which every start begins anew; every method blocks, in any thread.

    Nothing is written, and nothing can fail, before the first rows come.
    """

    def __init__(self, path: Path) -> None:
        """Keep the rows in the file `path`."""
        self._path = path
        self._opening = threading.Lock()
        self._database: Database | None = None

    @property
    def index(self) -> ImageIndex:
        """What pages query; raises StorageError where the file cannot be written."""
        return ImageIndex(self._opened())

    def keys(self, session_id: str) -> set[str]:
        """Return the keys of the shards of a session that have been read."""
        return {shard.key for shard in shards_of_session(self._opened(), session_id)}

    def images(self, session_id: str) -> int:
        """Return how many images of a session there are rows of."""
        [[count]] = self._opened().query(COUNT, {"session_id": session_id})
        return int(count)

    def add(self, shards: Sequence[StoredShard]) -> None:
        """Take in what shards say; of a batch that several have, the one received last counts."""
        database = self._opened()
        first = last_shard_id(database) + 1
        rows = [
            Shard(number, one.session_id, one.key, one.size_bytes, True, True, one.attempt)
            for number, one in enumerate(shards, first)
        ]
        batches = [
            replace(batch, shard_id=number)
            for number, one in enumerate(shards, first)
            for batch in one.batches
        ]
        batches.sort(key=lambda batch: batch.received_ms)
        with self._transaction(database) as transaction:
            adopt_shards(transaction, database, rows, batches)

    def forget(self, session_id: str) -> None:
        """Delete the rows of a session."""
        with self._transaction(self._opened()) as transaction:
            for statement in FORGET:
                transaction.execute(statement, {"session_id": session_id})

    def forget_shards(self, session_id: str, keys: Iterable[str]) -> None:
        """Delete the rows of shards that the store no longer has."""
        gone = set(keys)
        if not gone:
            return
        database = self._opened()
        shards = [shard for shard in shards_of_session(database, session_id) if shard.key in gone]
        rows = ShardRows(database, shards)
        with self._transaction(database) as transaction:
            for shard in shards:
                rows.delete_except(transaction, shard)
            forget_shards(transaction, shards)

    def forget_oldest(self, session_id: str) -> None:
        """Delete the rows of the oldest quarter of a session's shards."""
        keys = sorted(self.keys(session_id))
        self.forget_shards(session_id, keys[: -(-len(keys) // 4)])

    def close(self) -> None:
        """Remove the file; nothing may be called after it."""
        with self._opening:
            if self._database is not None:
                self._database.close()
                self._remove()

    @contextmanager
    def _transaction(self, database: Database) -> Iterator[Transaction]:
        """Commit what is done inside; where the file was removed or changed by somebody else, it begins anew."""
        try:
            with database.transaction() as transaction:
                yield transaction
        except DatabaseLostError:
            with self._opening:
                if self._database is database:
                    database.close()
                    self._database = None
            raise

    def _opened(self) -> Database:
        with self._opening:
            if self._database is None:
                self._remove()
                self._database = SqliteDatabase(self._path, durable=False)
            return self._database

    def _remove(self) -> None:
        for suffix in ("", "-wal", "-shm"):
            with suppress(OSError):  # where it cannot be removed, opening it says why
                Path(f"{self._path}{suffix}").unlink(missing_ok=True)
