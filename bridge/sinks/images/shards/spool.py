"""The folder where shards grow, and wait for the object store."""

import errno
import math
import os
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from bridge.sinks.images.candidate import Offer
from bridge.sinks.images.shards import file as shard_file
from bridge.sinks.images.shards.open_shard import OpenShard
from bridge.sinks.images.shards.operations import (
    Adopt,
    Close,
    CloseAll,
    CloseDue,
    Gone,
    Lost,
    MakeFolder,
    Rebuilt,
    Step,
    Stored,
    Written,
)
from bridge.storage.aside import DamagedFolder
from bridge.storage.shards import Shard

RETRY_SECONDS = 1.0
"""A shard that could not be closed, for want of room perhaps, is tried again after this."""

NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class Spool:
    """The shards in one folder; written to by one thread at a time, inside a commit.

    Bytes are on disk before the transaction that tells of them, so the index never knows more than there is.
    A crash in between leaves bytes that the index does not know, and the next start cuts them off.
    """

    def __init__(
        self,
        folder: Path,
        *,
        bridge_id: str,
        shard_bytes: int,
        shard_seconds: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Keep shards in `folder`; `bridge_id` sets their keys apart from those of other bridges and runs."""
        self.folder = folder
        self.next_shard_id = 1
        self.due_at = math.inf
        """When the next shard is to be closed; may be read from any thread."""
        self._bridge_id = bridge_id
        self._shard_bytes = shard_bytes
        self._shard_seconds = shard_seconds
        self._clock = clock
        self._open: dict[str, OpenShard] = {}
        self._unclosed: list[OpenShard] = []
        self._number = 0
        self.remade = 0
        """How often the folder was missing and was made anew; may be read from any thread."""
        # Two counters with one writer each, instead of one with two: no lock is needed.
        self._grown_bytes = 0
        self._freed_bytes = 0

    @property
    def used_bytes(self) -> int:
        """How much room the shards in the folder take; may be read from any thread."""
        return self._grown_bytes - self._freed_bytes

    def path(self, key: str) -> Path:
        """Return the file of a shard; session ids have no ~, so no two keys share one."""
        return self.folder / key.replace("/", "~")

    def problem(self) -> str:
        """Return why no image can be written, or ""; it only looks, and may be called from any thread."""
        if not self.folder.is_dir():
            kind = "is not a folder" if self.folder.exists() else "is missing"
            return f"the spool {kind}: images are dropped"
        if not os.access(self.folder, os.W_OK | os.X_OK):
            return "the spool cannot be written to: images are dropped"
        return ""

    def found(self, shard: Shard) -> None:
        """Count a shard that was there before the start."""
        self._grown_bytes += shard.size_bytes

    def release(self, shard: Shard) -> None:
        """Delete the file of a shard that the store has; called on the event loop."""
        with suppress(OSError):  # what stays behind is found and released at the next start
            self.path(shard.key).unlink(missing_ok=True)
        self._freed_bytes += shard.size_bytes

    def abandon(self, shard: Shard, aside: DamagedFolder) -> None:
        """Have out of the way whatever stands where a shard was that is lost; called on the event loop."""
        path = self.path(shard.key)
        if os.path.lexists(path):
            aside.move(path, "not the shard that it was")
        self._freed_bytes += shard.size_bytes

    def take_id(self) -> int:
        """Return a number that no shard has."""
        shard_id = self.next_shard_id
        self.next_shard_id += 1
        return shard_id

    def write(self, steps: Sequence[Step]) -> Written:
        """Do the steps, and have their bytes on disk; what the disk refuses is told as lost.

        Raises nothing: a step that fails costs itself, or no commit would ever succeed again.
        """
        written = Written()
        for step in steps:
            try:
                _DO[type(step)](self, step, written)
            except Exception as error:  # noqa: BLE001 -- see above
                written.failures.append(error)
                if isinstance(step, Offer):
                    written.lost.append(Lost(step, "unwritable"))
        for shard in list(self._open.values()):
            self._flush(shard, written)
        self._plan()
        return written

    def _keep(self, offer: Offer, written: Written) -> None:
        shard = self._open.get(offer.session_id)
        if shard is not None and self._is_over(shard, offer):
            self._close(shard, written)
            shard = None
        if shard is None:
            shard = self._open[offer.session_id] = self._opened(offer)
        shard.add(offer)

    def _is_over(self, shard: OpenShard, offer: Offer) -> bool:
        is_full = shard.end > 0 and shard.end + offer.size_bytes > self._shard_bytes
        return is_full or offer.batch.epoch > shard.epoch

    def _opened(self, offer: Offer) -> OpenShard:
        self._number += 1
        day = datetime.fromtimestamp(offer.received, UTC).date().isoformat()
        name = f"{offer.received_ms:013d}-{self._bridge_id}-{self._number:06d}.tar"
        key = f"{offer.session_id}/{day}/{name}"
        return OpenShard(
            self.take_id(),
            offer.session_id,
            key,
            self.path(key),
            offer.batch.epoch,
            self._clock(),
            offer.received,
        )

    def _flush(self, shard: OpenShard, written: Written) -> None:
        waiting = [offer for offer, _ in shard.waiting]
        if not waiting:
            return
        try:
            self._append(shard, waiting, written)
        except shard_file.MISSING:
            self._give_up(shard, written)
            self._begin_anew(waiting, written)
        except OSError as error:
            written.lost += [Lost(offer, reason_of(error)) for offer in waiting]

    def _begin_anew(self, offers: list[Offer], written: Written) -> None:
        """Write what waited for a shard that is gone to a new one, in a folder that may be new too."""
        try:
            self._make_folder()
            shard = self._open[offers[0].session_id] = self._opened(offers[0])
            for offer in offers:
                shard.add(offer)
            self._append(shard, offers, written)
        except OSError as error:
            written.lost += [Lost(offer, reason_of(error)) for offer in offers]

    def _give_up(self, shard: OpenShard, written: Written) -> None:
        """Let go of an open shard whose file somebody removed, cut short or replaced."""
        if self._open.get(shard.session_id) is shard:
            del self._open[shard.session_id]
        if shard.size_bytes and not shard.is_gone:
            written.gone.append(shard.told())
        shard.is_gone = True

    def _make_folder(
        self, _step: MakeFolder | None = None, _written: Written | None = None
    ) -> None:
        """Make the folder where it is missing, though never the one around it: that was moved, or lost."""
        with suppress(FileExistsError):
            self.folder.mkdir()
            shard_file.sync_folder(self.folder.parent)
            self.remade += 1

    def _append(self, shard: OpenShard, waiting: list[Offer], written: Written) -> None:
        before = shard.size_bytes
        flushed = shard.flush()
        self._grown_bytes += shard.size_bytes - before
        written.kept += waiting
        written.batches += [batch for _, batch in flushed]
        written.shards[shard.shard_id] = shard.told()

    def _close_session(self, step: Close, written: Written) -> None:
        shard = self._open.get(step.session_id)
        if shard is not None:
            self._close(shard, written)

    def _close_due(self, _step: CloseDue, written: Written) -> None:
        opened_by = self._clock() - self._shard_seconds
        due = [shard for shard in self._open.values() if shard.opened_at <= opened_by]
        self._close_many(due, written)

    def _close_all(self, _step: CloseAll, written: Written) -> None:
        self._close_many(list(self._open.values()), written)

    def _close_many(self, shards: Iterable[OpenShard], written: Written) -> None:
        again, self._unclosed = self._unclosed, []
        for shard in (*again, *shards):
            self._close(shard, written)

    def _close(self, shard: OpenShard, written: Written) -> None:
        if self._open.get(shard.session_id) is shard:
            del self._open[shard.session_id]
        self._flush(shard, written)
        if shard.is_gone:
            return
        if not shard.spots:
            with suppress(OSError):
                shard.path.unlink(missing_ok=True)
            return
        before = shard.size_bytes
        try:
            shard.close()
        except shard_file.MISSING:
            self._give_up(shard, written)
            return
        except OSError:
            self._unclosed.append(shard)
            return
        self._grown_bytes += shard.size_bytes - before
        closed = shard.told(closed=True)
        written.shards[shard.shard_id] = closed
        written.closed.append(closed)

    def _stored(self, step: Stored, written: Written) -> None:
        written.stored.append(step.shard)

    def _gone(self, step: Gone, written: Written) -> None:
        written.gone.append(step.shard)

    def _adopt(self, step: Adopt, written: Written) -> None:
        shard_id = self.take_id()
        session_id = step.key.partition("/")[0]
        written.shards[shard_id] = Shard(
            shard_id, session_id, step.key, step.size_bytes, closed=True, stored=True
        )
        written.adopted += [replace(batch, shard_id=shard_id) for batch in step.batches]

    def _rebuilt(self, _step: Rebuilt, written: Written) -> None:
        written.is_rebuilt = True

    def _plan(self) -> None:
        opened = min((shard.opened_at for shard in self._open.values()), default=math.inf)
        self.due_at = opened + self._shard_seconds
        if self._unclosed:
            self.due_at = min(self.due_at, self._clock() + RETRY_SECONDS)


_DO: dict[type, Callable[..., None]] = {
    Offer: Spool._keep,
    Close: Spool._close_session,
    CloseDue: Spool._close_due,
    CloseAll: Spool._close_all,
    MakeFolder: Spool._make_folder,
    Stored: Spool._stored,
    Gone: Spool._gone,
    Adopt: Spool._adopt,
    Rebuilt: Spool._rebuilt,
}


def reason_of(error: OSError) -> str:
    """Return why the disk refused, in the words of bridge_dropped_total."""
    return "disk_full" if error.errno in NO_ROOM else "disk_failed"
