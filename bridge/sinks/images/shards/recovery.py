"""Recover what a stopped bridge left in the spool."""

import errno
import os
import stat
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from bridge.errors import StorageError
from bridge.sinks.images.shards import file as shard_file
from bridge.sinks.images.shards.index_lines import ReadIndex, read_index
from bridge.sinks.images.shards.layout import ImageExtent
from bridge.sinks.images.shards.spool import Spool
from bridge.storage.aside import DamagedFolder
from bridge.storage.database import Database
from bridge.storage.journal import JournalRows
from bridge.storage.objects import KEY
from bridge.storage.shard_rows import ShardRows
from bridge.storage.shards import (
    Shard,
    adopt_batches,
    is_rebuilt,
    last_shard_id,
    mark_rebuilt,
    own_spool,
    put_shards,
    shard_of,
    unstored_shards,
)
from bridge.storage.transaction import RefusedRow, Transaction
from bridge.telemetry import Telemetry

CHECK_BYTES = 1 << 30
"""Closed shards are checked byte by byte up to this much: a start waits for it."""

Item = Shard | str
"""A shard that the database knows, or the key of a file that it does not know."""


@dataclass(slots=True)
class Outcome:
    """What became of the items of one pass, to be reported when it has been committed."""

    recovered: list[Shard] = field(default_factory=list)
    remaining: list[Item] = field(default_factory=list)
    reports: list[Callable[[], None]] = field(default_factory=list)
    checked_bytes: int = 0


@dataclass(frozen=True, slots=True)
class RecoveryRun:
    """One pass over the items: one transaction, and what it works with."""

    spool: Spool
    database: Database
    transaction: Transaction
    telemetry: Telemetry
    aside: DamagedFolder
    outcome: Outcome
    rows: ShardRows

    def drop(self, what: str, reason: str, count: int = 1) -> None:
        """Count something as lost, once the commit has succeeded."""
        if count > 0:
            self.outcome.reports.append(lambda: self.telemetry.dropped(what, reason, count))


class Recovery:
    """Makes every shard in the spool whole and closed, as soon as the disk lets it.

    Of a shard that was open, what no commit recorded is cut off: it was never acknowledged, and its sender
    sends it again. A new database knows no shard, and reads the index of each it finds.
    What is damaged costs itself: it is counted and set aside, and the rest is recovered.
    """

    def __init__(
        self, spool: Spool, database: Database, telemetry: Telemetry, aside: DamagedFolder
    ) -> None:
        """List what there is, before anything new comes; raises StorageError for a damaged database."""
        self._spool = spool
        self._database = database
        self._telemetry = telemetry
        self._aside = aside
        self._is_new = not is_rebuilt(database, own_spool(database))
        spool.owner_id = database.bridge_id
        spool.next_shard_id = last_shard_id(database) + 1
        with suppress(OSError):
            spool.folder.mkdir(parents=True, exist_ok=True)
        known = unstored_shards(database)
        keys = {shard.key for shard in known}
        found = _keys_in(spool.folder)
        # What could not be listed is listed by the next start.
        self._is_listed = found is not None
        self._remaining: list[Item] = [*known, *(key for key in found or () if key not in keys)]
        self._is_committed = False
        self._checked_bytes = 0

    @property
    def is_finished(self) -> bool:
        """Return whether nothing is left to be tried again."""
        return self._is_committed and not self._remaining

    def attempt(self) -> list[Shard]:
        """Recover what remains, in the order of the shards, and return what is ready for the store.

        Blocks. What the disk refuses remains for the next call.
        """
        items, recovered = self._remaining, list[Shard]()
        # A database that bridges share ends a transaction that does nothing while files are read.
        step = 1 if self._database.bridge_id else max(1, len(items))
        self._remaining = []
        for first in range(0, max(1, len(items)), step):
            some = items[first : first + step]
            outcome = self._commit(some, is_last=first + step >= len(items))
            if outcome is None:
                self._remaining += items[first:]
                break
            self._remaining += outcome.remaining
            recovered += outcome.recovered
        return recovered

    def _commit(self, items: Sequence[Item], *, is_last: bool) -> Outcome | None:
        """Recover some items in one transaction; None: nothing of it is committed."""
        outcome = Outcome(checked_bytes=self._checked_bytes)
        refused: list[RefusedRow] = []
        try:
            with self._database.transaction(refused=refused) as transaction:
                known = [item for item in items if isinstance(item, Shard)]
                run = RecoveryRun(
                    self._spool,
                    self._database,
                    transaction,
                    self._telemetry,
                    self._aside,
                    outcome,
                    ShardRows(self._database, known),
                )
                for item in items:
                    self._recover_item(item, run)
                if self._is_listed and is_last:
                    mark_rebuilt(transaction, own_spool(self._database))
        except StorageError as error:
            self._telemetry.recovery_failed(error)
            return None
        self._is_committed = self._is_committed or is_last
        self._checked_bytes = outcome.checked_bytes
        for shard in outcome.recovered:
            self._spool.add_recovered(shard)
        for report in outcome.reports:
            report()
        for row in refused:
            self._telemetry.row_refused(row.table, row.error)
        return outcome

    def _recover_item(self, item: Item, run: RecoveryRun) -> None:
        """Recover one item, wholly or not at all."""
        reports = len(run.outcome.reports)
        try:
            with run.transaction.savepoint():
                shard = self._recover(item, run)
        except StorageError:
            raise  # nothing of this transaction is committed: all of it is tried again
        except OSError as error:
            self._telemetry.recovery_failed(error)
            run.outcome.remaining.append(item)
        except Exception as error:  # noqa: BLE001 -- whatever it is, it costs this shard and no start
            self._telemetry.unexpected_error("recovery of the spool", error)
            del run.outcome.reports[reports:]
            self._abandon(item, run)
        else:
            if shard is not None:
                run.outcome.recovered.append(shard)

    def _recover(self, item: Item, run: RecoveryRun) -> Shard | None:
        if isinstance(item, Shard):
            return recover_known(item, run)
        if self._is_new:
            return _adopt(item, run)
        _discard(item, run)
        return None

    def _abandon(self, item: Item, run: RecoveryRun) -> None:
        """Set aside what cannot be read, and delete its rows in the index."""
        key = item.key if isinstance(item, Shard) else item
        if isinstance(key, str):
            self._aside.move(self._spool.path(key), "not a shard")
        run.drop("shard", "damaged")
        if isinstance(item, Shard):
            run.drop("image", "damaged", run.rows.delete_shard(run.transaction, item))


def _keys_in(folder: Path) -> list[str] | None:
    """Return the keys of the shards in the spool, None where it cannot be listed; other files stay there."""
    try:
        names = sorted(path.name for path in folder.iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError:
        return None
    keys = [name.replace("~", "/") for name in names if name.endswith(".tar")]
    return [key for key in keys if KEY.fullmatch(key) and _is_file(folder / key.replace("/", "~"))]


def _is_file(path: Path) -> bool:
    """Return whether a path can be read as a file, which a pipe without a writer cannot."""
    try:
        return stat.S_ISREG(path.stat().st_mode)
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP):
            return False
        raise


def recover_known(shard: Shard, run: RecoveryRun) -> Shard | None:
    """Close a shard of the index with what has been committed, and return it; None: nothing of it is left.

    Raises OSError where the disk refuses.
    """
    path = run.spool.path(shard.key)
    if not _is_file(path):
        return _recover_missing(shard, path, run)
    size = path.stat().st_size
    if shard.closed and size == shard.size_bytes and _is_whole(path, size, run.outcome):
        return shard
    extents = shard_file.walk(path, limit=shard.size_bytes)
    run.telemetry.event("closed a shard left open", key=shard.key, images=len(extents))
    lost = run.rows.delete_except(run.transaction, shard, [extent.offset for extent in extents])
    run.drop("image", "damaged", lost)
    if not extents:
        run.drop("shard", "damaged")
        run.rows.delete_shard(run.transaction, shard)
        _clear(path, run)
        return None
    if lost:
        run.aside.copy(path, "images are damaged")
    closed = replace(shard, size_bytes=_close(path, extents), closed=True)
    put_shards(run.transaction, [closed])
    return closed


def _is_whole(path: Path, size: int, outcome: Outcome) -> bool:
    trailer = shard_file.trailer_of(path)
    if trailer is None or outcome.checked_bytes + size > CHECK_BYTES:
        return trailer is not None
    outcome.checked_bytes += size
    return shard_file.is_whole(path, trailer)


def _recover_missing(shard: Shard, path: Path, run: RecoveryRun) -> Shard | None:
    if os.path.lexists(path):
        run.aside.move(path, "not a file")
    if shard.lost:
        return None
    # A closed shard may have reached the store unrecorded: the uploader finds out.
    if shard.closed:
        return replace(shard, size_bytes=0)
    run.drop("shard", "missing")
    run.drop("image", "missing", run.rows.delete_shard(run.transaction, shard))
    return None


def _discard(key: str, run: RecoveryRun) -> None:
    """Remove a shard that no commit recorded: nothing in it was acknowledged, or the store has it.

    One that is closed may be newer than the database, which may have been restored from a backup; where bridges share
    it, another one may have deleted the session meanwhile, and then nothing of that stays.
    """
    path = run.spool.path(key)
    is_whole = shard_file.trailer_of(path) is not None and shard_of(run.database, key) is None
    is_deleted = run.database.bridge_id and not _has_session(key, run)
    if is_whole and not is_deleted:
        run.aside.move(path, "the database knows nothing of it")
        return
    run.telemetry.event("deleted a shard that no commit knows of", key=key)
    path.unlink()


def _has_session(key: str, run: RecoveryRun) -> bool:
    return bool(JournalRows(run.database).attempts(key.partition("/")[0]))


def _adopt(key: str, run: RecoveryRun) -> Shard | None:
    path = run.spool.path(key)
    known = shard_of(run.database, key)
    if known is not None and known.stored:
        path.unlink()
        return None
    extents = shard_file.walk(path)
    if not extents:
        run.drop("shard", "damaged", path.stat().st_size and 1)
        _clear(path, run)
        return None
    run.telemetry.event("took up a shard unknown to the database", key=key, images=len(extents))
    damaged = max(len(shard_file.gaps(extents)), _images_indexed(path) - len(extents))
    if damaged:
        run.aside.copy(path, "images are damaged")
    size_bytes = _close(path, extents)
    shard_id = run.spool.allocate_id()
    read = _read_lines(key, path, shard_id)
    shard = Shard(
        *(shard_id, key.partition("/")[0], key, size_bytes),
        closed=True,
        attempt=read.attempt,
        bridge_id=run.database.bridge_id,
    )
    put_shards(run.transaction, [shard])
    adopt_batches(run.transaction, run.database, read.batches)
    run.drop("image", "damaged", damaged + read.damaged)
    return shard


def _images_indexed(path: Path) -> int:
    """Return how many images a shard had when it was closed; 0 where it never was."""
    trailer = shard_file.trailer_of(path)
    return 0 if trailer is None else shard_file.index_of(path, trailer).count(b"\n")


def _read_lines(key: str, path: Path, shard_id: int) -> ReadIndex:
    """Read the index of a shard."""
    trailer = shard_file.trailer_of(path)
    if trailer is None:
        raise ValueError("a shard that was just closed has no index")
    index = shard_file.index_of(path, trailer)
    return read_index(index, key, shard_id, end=trailer.index_offset)


def _close(path: Path, extents: list[ImageExtent]) -> int:
    shard_file.bridge_gaps(path, extents)
    return shard_file.close(path, extents, at=extents[-1].end, changed_seconds=path.stat().st_mtime)


def _clear(path: Path, run: RecoveryRun) -> None:
    """Remove a file without an image, or set it aside where it is not empty."""
    if path.stat().st_size == 0:
        path.unlink()
    else:
        run.aside.move(path, "no image is whole")
