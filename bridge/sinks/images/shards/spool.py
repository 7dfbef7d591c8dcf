"""The folder in which shards grow, and wait for the object store."""

import errno
import math
import os
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from bridge.sinks.images.candidate import ImageCandidate
from bridge.sinks.images.shards import file as shard_file
from bridge.sinks.images.shards.open_shard import OpenShard
from bridge.sinks.images.shards.operations import (
    AdoptShard,
    CloseAll,
    CloseDue,
    CloseShard,
    FailedWrite,
    IndexRebuilt,
    LeaveShard,
    MakeFolder,
    ShardMissing,
    ShardStored,
    SpoolOp,
    SpoolResult,
)
from bridge.storage.aside import DamagedFolder
from bridge.storage.folder import sync_folder
from bridge.storage.shard_keys import shard_key
from bridge.storage.shards import Shard

RETRY_SECONDS = 1.0
"""A shard that could not be closed, for want of room perhaps, is tried again after this."""

NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class Spool:
    """The shards in one folder; written to by one thread at a time, inside a commit.

    Bytes are on disk before the transaction that records them, so the index never knows more than there is.
    A crash in between leaves bytes that the index does not know, and the next start cuts them off.
    """

    def __init__(
        self,
        folder: Path,
        *,
        run_id: str,
        shard_bytes: int,
        shard_seconds: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Keep shards in `folder`; `run_id` sets their keys apart from those of other bridges and runs."""
        self.folder = folder
        self.next_shard_id = 1
        self.owner_id = ""
        """This bridge, as the index names it where several share it."""
        self.due_at = math.inf
        """When the next shard is to be closed; may be read from any thread."""
        self._run_id = run_id
        self._shard_bytes = shard_bytes
        self._shard_seconds = shard_seconds
        self._clock = clock
        self._open: dict[str, OpenShard] = {}
        self._unclosed: list[OpenShard] = []
        self._number = 0
        self.remade = 0
        """How often the folder was missing and has been made again; may be read from any thread."""
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

    def add_recovered(self, shard: Shard) -> None:
        """Count the bytes of a shard that was there before the start."""
        self._grown_bytes += shard.size_bytes

    def release(self, shard: Shard) -> None:
        """Delete the file of a shard that the store has; called on the event loop."""
        with suppress(OSError):  # what stays behind is found and released at the next start
            self.path(shard.key).unlink(missing_ok=True)
        self._freed_bytes += shard.size_bytes

    def leave(self, shard: Shard) -> None:
        """Stop counting the bytes of a shard that is about to be closed as after a crash; called on the event loop."""
        self._freed_bytes += shard.size_bytes

    def take_back(self, shard: Shard) -> None:
        """Count the bytes of a shard that was left, and is closed now; called on the event loop."""
        self._freed_bytes -= shard.size_bytes

    def abandon(self, shard: Shard, aside: DamagedFolder) -> None:
        """Set aside whatever stands in the place of a shard that is lost; called on the event loop."""
        path = self.path(shard.key)
        if os.path.lexists(path):
            aside.move(path, "not the shard that it was")
        self._freed_bytes += shard.size_bytes

    def allocate_id(self) -> int:
        """Return an id that no shard has."""
        shard_id = self.next_shard_id
        self.next_shard_id += 1
        return shard_id

    def write(self, operations: Sequence[SpoolOp]) -> SpoolResult:
        """Carry out the operations, and write their bytes to disk; what the disk refuses is in `failed`.

        Raises nothing: an operation that fails costs itself, or no commit would ever succeed again.
        """
        result = SpoolResult()
        for operation in operations:
            try:
                _OPERATIONS[type(operation)](self, operation, result)
            except Exception as error:  # noqa: BLE001 -- see above
                result.errors.append(error)
                if isinstance(operation, ImageCandidate):
                    result.failed.append(FailedWrite(operation, "unwritable"))
        for shard in list(self._open.values()):
            self._flush(shard, result)
        self._schedule_close()
        return result

    def _add(self, candidate: ImageCandidate, result: SpoolResult) -> None:
        shard = self._open.get(candidate.session_id)
        if shard is not None and self._is_finished(shard, candidate):
            self._close(shard, result)
            shard = None
        if shard is None:
            shard = self._open[candidate.session_id] = self._new_shard(candidate)
        shard.add(candidate)

    def _is_finished(self, shard: OpenShard, candidate: ImageCandidate) -> bool:
        is_full = shard.end > 0 and shard.end + candidate.size_bytes > self._shard_bytes
        is_other = candidate.attempt != shard.attempt
        return is_full or is_other or candidate.batch.epoch > shard.epoch

    def _new_shard(self, candidate: ImageCandidate) -> OpenShard:
        self._number += 1
        key = shard_key(
            *(candidate.session_id, candidate.attempt, candidate.received),
            bridge_id=self._run_id,
            number=self._number,
        )
        return OpenShard(
            self.allocate_id(),
            candidate.session_id,
            candidate.attempt,
            key,
            self.path(key),
            candidate.batch.epoch,
            self._clock(),
            candidate.received,
            self.owner_id,
        )

    def _flush(self, shard: OpenShard, result: SpoolResult) -> None:
        candidates = [candidate for candidate, _ in shard.pending]
        if not candidates:
            return
        try:
            self._append(shard, candidates, result)
        except shard_file.MISSING:
            self._abandon_open(shard, result)
            self._rewrite(candidates, result)
        except OSError as error:
            result.failed += [FailedWrite(candidate, reason_of(error)) for candidate in candidates]

    def _rewrite(self, candidates: list[ImageCandidate], result: SpoolResult) -> None:
        """Write what waited for a missing shard to a new one, in a folder that may be new too."""
        try:
            self._make_folder()
            shard = self._open[candidates[0].session_id] = self._new_shard(candidates[0])
            for candidate in candidates:
                shard.add(candidate)
            self._append(shard, candidates, result)
        except OSError as error:
            result.failed += [FailedWrite(candidate, reason_of(error)) for candidate in candidates]

    def _abandon_open(self, shard: OpenShard, result: SpoolResult) -> None:
        """Drop an open shard whose file somebody removed, truncated or replaced."""
        if self._open.get(shard.session_id) is shard:
            del self._open[shard.session_id]
        if shard.size_bytes and not shard.is_missing:
            result.missing.append(shard.to_index_row())
        shard.is_missing = True

    def _make_folder(
        self, _operation: MakeFolder | None = None, _result: SpoolResult | None = None
    ) -> None:
        """Make the folder where it is missing, though never its parent: that was moved, or lost."""
        with suppress(FileExistsError):
            self.folder.mkdir()
            sync_folder(self.folder.parent)
            self.remade += 1

    def _append(
        self, shard: OpenShard, candidates: list[ImageCandidate], result: SpoolResult
    ) -> None:
        before = shard.size_bytes
        batches = shard.flush()
        self._grown_bytes += shard.size_bytes - before
        result.kept += candidates
        result.batches += batches
        result.shards[shard.shard_id] = shard.to_index_row()

    def _close_session(self, operation: CloseShard, result: SpoolResult) -> None:
        shard = self._open.get(operation.session_id)
        if shard is not None:
            self._close(shard, result)

    def _leave(self, operation: LeaveShard, result: SpoolResult) -> None:
        """Write nothing more to a session's shards, nor close them: a refused commit may have added to them."""
        name = operation.session_id
        left = [shard for shard in self._unclosed if shard.session_id == name]
        self._unclosed = [shard for shard in self._unclosed if shard.session_id != name]
        current = self._open.pop(name, None)
        if current is not None:
            left.append(current)
        result.left += [shard.to_index_row() for shard in left if not shard.is_missing]

    def _close_due(self, _operation: CloseDue, result: SpoolResult) -> None:
        opened_by = self._clock() - self._shard_seconds
        due = [shard for shard in self._open.values() if shard.opened_at <= opened_by]
        self._close_many(due, result)

    def _close_all(self, _operation: CloseAll, result: SpoolResult) -> None:
        self._close_many(list(self._open.values()), result)

    def _close_many(self, shards: Iterable[OpenShard], result: SpoolResult) -> None:
        retried, self._unclosed = self._unclosed, []
        for shard in (*retried, *shards):
            self._close(shard, result)

    def _close(self, shard: OpenShard, result: SpoolResult) -> None:
        if self._open.get(shard.session_id) is shard:
            del self._open[shard.session_id]
        self._flush(shard, result)
        if shard.is_missing:
            return
        if not shard.extents:
            with suppress(OSError):
                shard.path.unlink(missing_ok=True)
            return
        before = shard.size_bytes
        try:
            shard.close()
        except shard_file.MISSING:
            self._abandon_open(shard, result)
            return
        except OSError:
            self._unclosed.append(shard)
            return
        self._grown_bytes += shard.size_bytes - before
        closed = shard.to_index_row(closed=True)
        result.shards[shard.shard_id] = closed
        result.closed.append(closed)

    def _record_stored(self, operation: ShardStored, result: SpoolResult) -> None:
        result.stored.append(operation.shard)

    def _record_missing(self, operation: ShardMissing, result: SpoolResult) -> None:
        result.missing.append(operation.shard)

    def _adopt(self, operation: AdoptShard, result: SpoolResult) -> None:
        shard_id = self.allocate_id()
        result.shards[shard_id] = Shard(
            *(shard_id, operation.key.partition("/")[0], operation.key, operation.size_bytes),
            closed=True,
            stored=True,
            attempt=operation.attempt,
            bridge_id=self.owner_id,
        )
        result.adopted += [replace(batch, shard_id=shard_id) for batch in operation.batches]

    def _record_rebuilt(self, _operation: IndexRebuilt, result: SpoolResult) -> None:
        result.is_rebuilt = True

    def _schedule_close(self) -> None:
        opened = min((shard.opened_at for shard in self._open.values()), default=math.inf)
        self.due_at = opened + self._shard_seconds
        if self._unclosed:
            self.due_at = min(self.due_at, self._clock() + RETRY_SECONDS)


_OPERATIONS: dict[type, Callable[..., None]] = {
    ImageCandidate: Spool._add,
    CloseShard: Spool._close_session,
    LeaveShard: Spool._leave,
    CloseDue: Spool._close_due,
    CloseAll: Spool._close_all,
    MakeFolder: Spool._make_folder,
    ShardStored: Spool._record_stored,
    ShardMissing: Spool._record_missing,
    AdoptShard: Spool._adopt,
    IndexRebuilt: Spool._record_rebuilt,
}


def reason_of(error: OSError) -> str:
    """Return why the disk refused, as a reason of bridge_dropped_total."""
    return "disk_full" if error.errno in NO_ROOM else "disk_failed"
