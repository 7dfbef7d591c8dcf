"""Take up what a stopped bridge left in the spool."""

import errno
import os
import stat
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from bridge.errors import StorageError
from bridge.sinks.images.shards import file as shard_file
from bridge.sinks.images.shards.index_lines import read_index
from bridge.sinks.images.shards.layout import Spot
from bridge.sinks.images.shards.spool import Spool
from bridge.storage.aside import DamagedFolder
from bridge.storage.database import Database, RefusedRow, Transaction
from bridge.storage.objects import KEY
from bridge.storage.shards import (
    Shard,
    adopt_batches,
    forget_shard,
    is_rebuilt,
    keep_images,
    last_shard_id,
    mark_rebuilt,
    put_shards,
    shard_of,
    waiting_shards,
)
from bridge.telemetry import Telemetry

CHECK_BYTES = 1 << 30
"""Of closed shards so much is read whole by a start, which waits for it."""

Item = Shard | str
"""A shard that the database knows, or the key of a file that it does not know."""


@dataclass(slots=True)
class Outcome:
    """What became of the items of one try, to be told when it has been committed."""

    whole: list[Shard] = field(default_factory=list)
    left: list[Item] = field(default_factory=list)
    reports: list[Callable[[], None]] = field(default_factory=list)
    checked_bytes: int = 0


@dataclass(frozen=True, slots=True)
class Bench:
    """Where recovery works."""

    spool: Spool
    database: Database
    transaction: Transaction
    telemetry: Telemetry
    aside: DamagedFolder
    outcome: Outcome

    def drop(self, what: str, reason: str, count: int = 1) -> None:
        """Count something as lost, once the commit has succeeded."""
        if count > 0:
            self.outcome.reports.append(lambda: self.telemetry.dropped(what, reason, count))


class Recovery:
    """Makes every shard in the spool whole and closed, as soon as the disk lets it.

    Of a shard that was open, what no commit told of is cut off: its sender was never told that it is safe,
    and sends it again. A shard that the database knows nothing of, since that is new, is read into it.
    What is damaged costs itself: it is counted, set aside, and the rest is taken.
    """

    def __init__(
        self, spool: Spool, database: Database, telemetry: Telemetry, aside: DamagedFolder
    ) -> None:
        """Find out what there is, before anything new comes; raises StorageError for a damaged database."""
        self._spool = spool
        self._database = database
        self._telemetry = telemetry
        self._aside = aside
        self._is_new = not is_rebuilt(database, "spool")
        spool.next_shard_id = last_shard_id(database) + 1
        with suppress(OSError):
            spool.folder.mkdir(parents=True, exist_ok=True)
        known = waiting_shards(database)
        keys = {shard.key for shard in known}
        found = _keys_in(spool.folder)
        # What could not be listed is looked for again by the next start.
        self._is_listed = found is not None
        self._left: list[Item] = [*known, *(key for key in found or () if key not in keys)]
        self._is_noted = False

    @property
    def is_finished(self) -> bool:
        """Tell whether nothing is left to be tried again."""
        return self._is_noted and not self._left

    def run(self) -> list[Shard]:
        """Take up what is left, in the order of the shards, and return what is ready for the store.

        What the disk refuses is left for the next call: blocks while it works.
        """
        outcome = Outcome()
        refused: list[RefusedRow] = []
        try:
            with self._database.transaction(refused=refused) as transaction:
                bench = Bench(
                    self._spool, self._database, transaction, self._telemetry, self._aside, outcome
                )
                for item in self._left:
                    self._take(item, bench)
                if self._is_listed:
                    mark_rebuilt(transaction, "spool")
        except StorageError as error:
            self._telemetry.recovery_failed(error)
            return []
        self._is_noted = True
        self._left = outcome.left
        for shard in outcome.whole:
            self._spool.found(shard)
        for report in outcome.reports:
            report()
        for row in refused:
            self._telemetry.row_refused(row.table, row.error)
        return outcome.whole

    def _take(self, item: Item, bench: Bench) -> None:
        """Take one item up, wholly or not at all."""
        bench.transaction.execute("SAVEPOINT item")
        reports = len(bench.outcome.reports)
        try:
            shard = self._taken(item, bench)
        except StorageError:
            raise  # nothing of this transaction will be: all of it is tried again
        except OSError as error:
            self._telemetry.recovery_failed(error)
            bench.outcome.left.append(item)
        except Exception as error:  # noqa: BLE001 -- whatever it is, it costs this shard and no start
            self._telemetry.unexpected_error("recovery of the spool", error)
            bench.transaction.execute("ROLLBACK TO item")
            del bench.outcome.reports[reports:]
            self._give_up(item, bench)
        else:
            if shard is not None:
                bench.outcome.whole.append(shard)
            bench.transaction.execute("RELEASE item")
            return
        bench.transaction.execute("ROLLBACK TO item")
        bench.transaction.execute("RELEASE item")

    def _taken(self, item: Item, bench: Bench) -> Shard | None:
        if isinstance(item, Shard):
            return _taken_up(item, bench)
        if self._is_new:
            return _adopted(item, bench)
        _discard(item, bench)
        return None

    def _give_up(self, item: Item, bench: Bench) -> None:
        """Set aside what nobody can make sense of, and drop what the index says of it."""
        key = item.key if isinstance(item, Shard) else item
        if isinstance(key, str):
            self._aside.move(self._spool.path(key), "not a shard")
        bench.drop("shard", "damaged")
        if isinstance(item, Shard):
            bench.drop("image", "damaged", forget_shard(bench.transaction, item))


def _keys_in(folder: Path) -> list[str] | None:
    """Return the keys of the files in the spool, None where nobody can tell; what else lies there stays there."""
    try:
        names = sorted(path.name for path in folder.iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError:
        return None
    keys = [name.replace("~", "/") for name in names if name.endswith(".tar")]
    return [key for key in keys if KEY.fullmatch(key) and _is_file(folder / key.replace("/", "~"))]


def _is_file(path: Path) -> bool:
    """Tell whether a path can be read as a file: nobody waits for the other end of a pipe."""
    try:
        return stat.S_ISREG(path.stat().st_mode)
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP):
            return False
        raise


def _taken_up(shard: Shard, bench: Bench) -> Shard | None:
    path = bench.spool.path(shard.key)
    if not _is_file(path):
        return _missing(shard, path, bench)
    size = path.stat().st_size
    if shard.closed and size == shard.size_bytes and _is_whole(path, size, bench.outcome):
        return shard
    spots = shard_file.walk(path, limit=shard.size_bytes)
    bench.telemetry.event("closed a shard left open", key=shard.key, images=len(spots))
    lost = keep_images(bench.transaction, shard, [spot.offset for spot in spots])
    bench.drop("image", "damaged", lost)
    if not spots:
        bench.drop("shard", "damaged")
        forget_shard(bench.transaction, shard)
        _clear(path, bench)
        return None
    if lost:
        bench.aside.copy(path, "images are damaged")
    closed = replace(shard, size_bytes=_close(path, spots), closed=True)
    put_shards(bench.transaction, [closed])
    return closed


def _is_whole(path: Path, size: int, outcome: Outcome) -> bool:
    trailer = shard_file.trailer_of(path)
    if trailer is None or outcome.checked_bytes + size > CHECK_BYTES:
        return trailer is not None
    outcome.checked_bytes += size
    return shard_file.is_whole(path, trailer)


def _missing(shard: Shard, path: Path, bench: Bench) -> Shard | None:
    if os.path.lexists(path):
        bench.aside.move(path, "not a file")
    # A closed shard may have reached the store without our having noted it: uploading it will tell.
    if shard.closed:
        return replace(shard, size_bytes=0)
    bench.drop("shard", "missing")
    bench.drop("image", "missing", forget_shard(bench.transaction, shard))
    return None


def _discard(key: str, bench: Bench) -> None:
    """Remove a shard that no commit told of: nothing in it was acknowledged, or the store has it.

    One that is closed may be newer than the database, which somebody has brought back from a copy.
    """
    path = bench.spool.path(key)
    if shard_file.trailer_of(path) is not None and shard_of(bench.database, key) is None:
        bench.aside.move(path, "the database knows nothing of it")
        return
    bench.telemetry.event("deleted a shard that no commit knows of", key=key)
    path.unlink()


def _adopted(key: str, bench: Bench) -> Shard | None:
    path = bench.spool.path(key)
    known = shard_of(bench.database, key)
    if known is not None and known.stored:
        path.unlink()
        return None
    spots = shard_file.walk(path)
    if not spots:
        bench.drop("shard", "damaged", path.stat().st_size and 1)
        _clear(path, bench)
        return None
    bench.telemetry.event("took up a shard unknown to the database", key=key, images=len(spots))
    damaged = max(len(shard_file.gaps(spots)), _indexed(path) - len(spots))
    if damaged:
        bench.aside.copy(path, "images are damaged")
    session_id = key.partition("/")[0]
    shard = Shard(bench.spool.take_id(), session_id, key, _close(path, spots), closed=True)
    put_shards(bench.transaction, [shard])
    damaged += _adopt_lines(path, shard, bench)
    bench.drop("image", "damaged", damaged)
    return shard


def _indexed(path: Path) -> int:
    """Return how many images a shard had when it was closed; 0 where it never was."""
    trailer = shard_file.trailer_of(path)
    return 0 if trailer is None else shard_file.index_of(path, trailer).count(b"\n")


def _adopt_lines(path: Path, shard: Shard, bench: Bench) -> int:
    """Read the index of a shard into the database; return how many of its lines were damaged."""
    trailer = shard_file.trailer_of(path)
    if trailer is None:
        raise ValueError("a shard that was just closed has no index")
    index = shard_file.index_of(path, trailer)
    read = read_index(index, shard.session_id, shard.shard_id, end=trailer.index_offset)
    adopt_batches(bench.transaction, bench.database, read.batches)
    return read.damaged


def _close(path: Path, spots: list[Spot]) -> int:
    shard_file.bridge_gaps(path, spots)
    return shard_file.close(path, spots, at=spots[-1].end, changed_seconds=path.stat().st_mtime)


def _clear(path: Path, bench: Bench) -> None:
    """Have a file without an image out of the way; an empty one is no loss."""
    if path.stat().st_size == 0:
        path.unlink()
    else:
        bench.aside.move(path, "no image is whole")
