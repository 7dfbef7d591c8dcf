"""The sink that samples the images of batches and keeps what is chosen."""

import secrets
import time
from collections.abc import Callable, Iterable, Mapping
from collections.abc import Set as AbstractSet
from contextlib import AbstractAsyncContextManager
from pathlib import Path

from bridge.lifecycle import Ended, Event, Expired, Moved, Registered
from bridge.model import Batch, Epoch
from bridge.session import Session
from bridge.sinks import GroupCommit
from bridge.sinks.images.accounting import ImageAccounting, OnResolved
from bridge.sinks.images.candidate import ImageCandidate, ImageCounts
from bridge.sinks.images.disk_budget import DiskBudget
from bridge.sinks.images.lifecycle import Lifecycle
from bridge.sinks.images.limits import DEFAULT_LIMITS, ImageLimits
from bridge.sinks.images.lost_images import LostImages
from bridge.sinks.images.reader import ImageReader
from bridge.sinks.images.sampler import Sampler
from bridge.sinks.images.shards.layout import pack
from bridge.sinks.images.shards.left_shards import LeftShards
from bridge.sinks.images.shards.operations import (
    CloseAll,
    CloseDue,
    CloseShard,
    LeaveShard,
    MakeFolder,
    SpoolOp,
    SpoolResult,
)
from bridge.sinks.images.shards.spool import Spool
from bridge.sinks.images.spool_watch import SpoolWatch
from bridge.sinks.images.upload.unwanted_objects import UnwantedObjects
from bridge.sinks.images.upload.uploader import Uploader
from bridge.sinks.images.write import ImagesWrite
from bridge.storage.aside import DamagedFolder
from bridge.storage.database import Database
from bridge.storage.objects import ObjectStore
from bridge.storage.packed import unpacked
from bridge.storage.windows import held_windows
from bridge.telemetry import Telemetry


class Images:
    """Samples the images of batches and commits those that are kept; the store gets them in shards.

    At any time received = stored + sampled_out + dropped + invalid + `pending`.
    """

    def __init__(  # noqa: PLR0913 -- all that the sink is built from
        self,
        folder: Path,
        store: ObjectStore,
        database: Database,
        telemetry: Telemetry,
        *,
        on_resolved: OnResolved,
        sampler: Sampler,
        limits: ImageLimits = DEFAULT_LIMITS,
        clock: Callable[[], float] = time.monotonic,
        keeps_spool: bool = True,
    ) -> None:
        """Spool in `folder`, on the way to `store`; nothing is touched before `running`.

        `keeps_spool`: the folder outlives this process.
        """
        self._database = database
        self._telemetry = telemetry
        self._sampler = sampler
        self._memory_bytes = limits.memory_bytes
        self._clock = clock
        self._accounting = ImageAccounting(on_resolved, telemetry)
        self._spool = Spool(
            folder,
            run_id=secrets.token_hex(4),
            shard_bytes=limits.shard_bytes,
            shard_seconds=limits.shard_seconds,
            clock=clock,
        )
        self._disk_budget = DiskBudget(folder, max_bytes=limits.spool_bytes)
        self._watch = SpoolWatch(self._spool, self._disk_budget, telemetry, clock)
        self._aside = DamagedFolder(folder.with_name("damaged"), telemetry)
        self._left = LeftShards(self._spool, database, telemetry, self._aside)
        self._unwanted = UnwantedObjects(store, telemetry)
        self._uploader = Uploader(
            store, path_of=self._spool.path, on_resolved=self.submit, telemetry=telemetry
        )
        self._lifecycle = Lifecycle(
            spool=self._spool,
            store=store,
            database=database,
            uploader=self._uploader,
            aside=self._aside,
            left=self._left,
            unwanted=self._unwanted,
            telemetry=telemetry,
            tick=self._tick,
            flush=self.flush,
            submit=self.submit,
            keeps_spool=keeps_spool,
        )
        self._operations: list[SpoolOp] = []
        self._uncommitted_bytes = 0
        """Of the candidates among the operations, until a commit has written them."""
        self._is_close_requested = False
        self.reader = ImageReader(self._spool.path, store)
        """Reads what has been committed."""

    @property
    def pending(self) -> int:
        """Images received whose result is not known yet."""
        return self._accounting.pending

    def counts(self, session_id: str) -> tuple[int, int]:
        """Return how many images of a session's attempt are committed, and how many are lost or refused.

        Sampled-out images are neither.
        """
        return self._accounting.counts(session_id)

    def last_attempt(self, session_id: str) -> int:
        """Return the last attempt of a session that a new database has found shards of; 0: none."""
        return self._lifecycle.attempts_found.get(session_id, 0)

    def problem(self) -> str:
        """Return why images cannot be kept at the moment, or ""."""
        return self._watch.problem

    def running(
        self, committer: GroupCommit, *, drain_seconds: Callable[[], float]
    ) -> AbstractAsyncContextManager[None]:
        """Recover, tick and upload; on the way out close all shards, and upload for as long as `drain_seconds` returns.

        Nothing may be consumed after that. The next commit, the last one, records what has been uploaded.
        """
        return self._lifecycle.running(committer, drain_seconds=drain_seconds)

    def counting_lost(self, forget_seconds: float) -> AbstractAsyncContextManager[None]:
        """Count what bridges that share the database take along that are gone for so long; until the block is left."""
        return LostImages(
            self._database, self._accounting, self._telemetry, forget_seconds
        ).running()

    def consume(self, session: Session, event: Event, received: float) -> None:
        """Take the images of batches, and notice where epochs and sessions end."""
        kind = type(event)
        if kind is Batch:
            self._consume_batch(session, event, received)  # type: ignore[arg-type]
        elif kind is Epoch or kind is Ended:
            self._end_shard(session.id)
        elif kind is Registered:
            self._open_attempt(session)
        elif kind is Expired:
            self._end_shard(session.id)
            self._sampler.reset(session.id)
            self._accounting.close(session.id)
        elif kind is Moved:
            self._leave(session.id)

    def collect(self) -> ImagesWrite | None:
        """Hand over what is to be written with the next commit."""
        counts, windows = self._accounting.collect(), self._sampler.collect_windows()
        if not (self._operations or counts or windows):
            return None
        operations, self._operations = self._operations, []
        self._is_close_requested = False
        return ImagesWrite(
            *(self._spool, self._database, self._telemetry, self._on_written),
            *(operations, counts, windows),
        )

    def replay(self, session: Session, event: Event, _received: float) -> None:
        """Restore the counts of a session from before a restart; its images are in their shards."""
        if isinstance(event, Registered):
            self._accounting.open(session)
        elif isinstance(event, Expired):
            self._accounting.close(session.id)

    def resume(self, sessions: Iterable[Session]) -> None:
        """Go on with the sessions that were replayed: what their open windows held is kept."""
        counts = {session.id: self._resume(session) for session in sessions}
        for session_id, state in held_windows(self._database):
            self._keep_window(session_id, state, counts)

    def take_over(self, session: Session, window: bytes | None) -> None:
        """Go on with a session that another bridge had and that was replayed; `window` is what its row there holds."""
        counts = {session.id: self._resume(session)}
        if window is not None:
            self._keep_window(session.id, window, counts)

    def submit(self, operation: SpoolOp) -> None:
        """Have the next commit carry out an operation."""
        self._operations.append(operation)

    def flush(self) -> None:
        """Close all windows and shards with the next commit; for a bridge that stops."""
        self._keep(self._sampler.close_all())
        self._operations.append(CloseAll())

    def _on_written(self, result: SpoolResult, moved: AbstractSet[str]) -> None:
        """Count and pass on what a commit has written."""
        for candidate in result.kept:
            if self._is_kept_here(candidate, moved):
                self._accounting.record_stored(candidate)
        for failed in result.failed:
            if self._is_kept_here(failed.candidate, moved):
                self._accounting.record_failed(failed.candidate, failed.reason)
        self._pass_on_closed(result, moved)
        for shard in result.stored:
            self._spool.release(shard)
        for shard in result.unwanted:
            self._unwanted.add(shard.key)
        for error in result.errors:
            self._telemetry.unexpected_error("spool", error)
        self._give_up_missing(result)

    def _is_kept_here(self, candidate: ImageCandidate, moved: AbstractSet[str]) -> bool:
        """Take a candidate off the list of what waits for a commit; False: it was left to another bridge."""
        self._uncommitted_bytes -= candidate.size_bytes
        if candidate.session_id not in moved:
            return True
        self._accounting.record_moved(candidate)
        return False

    def _pass_on_closed(self, result: SpoolResult, moved: AbstractSet[str]) -> None:
        for shard in result.closed:
            if shard.session_id not in moved:
                self._uploader.enqueue(shard)
        self._left.add(shard for shard in result.closed if shard.session_id in moved)
        self._left.add(result.left)
        for session_id in moved & result.sessions:
            self._leave_shard(session_id)

    def _give_up_missing(self, result: SpoolResult) -> None:
        for shard in result.missing:
            self._spool.abandon(shard, self._aside)
        if result.missing:
            self._telemetry.dropped("shard", "missing", len(result.missing))
        if result.missing_images:
            self._telemetry.dropped("image", "missing", result.missing_images)

    def _tick(self) -> bool:
        """Do what is due, and return whether there is something to commit."""
        now = self._clock()
        self._keep(self._sampler.due(now))
        if self._spool.due_at <= now and not self._is_close_requested:
            self._is_close_requested = True
            self._operations.append(CloseDue())
        if self._watch.check():
            self._operations.append(MakeFolder())
        self._uploader.check_stalled()
        return bool(self._operations)

    def _consume_batch(self, session: Session, batch: Batch, received: float) -> None:
        counts = self._open_attempt(session)
        if batch.invalid_images:
            self._accounting.record_invalid(session.id, batch, counts, int(received * 1000))
        if not batch.images:
            return
        starts_epoch = self._sampler.enter_epoch(session.id, batch.epoch)
        names = session.config.class_names
        candidate = ImageCandidate(session.id, batch, received, names, starts_epoch, counts)
        self._accounting.record_received(candidate)
        in_memory_bytes = self._sampler.held_bytes + self._uncommitted_bytes
        if in_memory_bytes + candidate.size_bytes > self._memory_bytes:
            self._accounting.record_dropped(candidate, "memory_full")
            return
        decision = self._sampler.decide(candidate, self._clock())
        for discarded in decision.discarded:
            self._accounting.record_sampled_out(discarded)
        self._keep(decision.kept)

    def _keep(self, candidates: Iterable[ImageCandidate]) -> None:
        for candidate in candidates:
            used_bytes = self._spool.used_bytes + self._uncommitted_bytes
            if self._disk_budget.has_capacity(used_bytes, starts_epoch=candidate.starts_epoch):
                self._uncommitted_bytes += candidate.size_bytes
                self._operations.append(candidate)
            else:
                self._accounting.record_dropped(candidate, "spool_full")

    def _resume(self, session: Session) -> ImageCounts:
        counts = self._accounting.open(session)
        if session.batches:
            self._sampler.enter_epoch(session.id, session.epoch)
        return counts

    def _keep_window(
        self, session_id: str, state: bytes, counts: Mapping[str, ImageCounts]
    ) -> None:
        self._sampler.mark_closed(session_id)
        try:
            self._keep_restored(state, counts)
        except Exception as error:  # noqa: BLE001 -- whatever it holds, it costs one batch and nothing else
            self._telemetry.unexpected_error("images", error)
            self._telemetry.dropped("window", "damaged")

    def _keep_restored(self, state: bytes, counts: Mapping[str, ImageCounts]) -> None:
        session_id, attempt, *rest = unpacked(state)
        known = counts.get(session_id)
        if known is None or known.attempt != attempt:
            known = ImageCounts(attempt)
        candidate = ImageCandidate.restored((session_id, attempt, *rest), known)
        pack(candidate, at=0)  # raises for values that no shard can hold
        self._accounting.record_received(candidate)
        self._keep([candidate])

    def _end_shard(self, session_id: str) -> None:
        self._keep(self._sampler.close(session_id))
        self._operations.append(CloseShard(session_id))

    def _leave(self, session_id: str) -> None:
        """Drop what is held of a session that another bridge has; what a commit has taken is on disk, and stays."""
        dropped = list(self._sampler.leave(session_id))
        remaining: list[SpoolOp] = []
        for operation in self._operations:
            if isinstance(operation, ImageCandidate) and operation.session_id == session_id:
                self._uncommitted_bytes -= operation.size_bytes
                dropped.append(operation)
            else:
                remaining.append(operation)
        for candidate in dropped:
            self._accounting.record_moved(candidate)
        self._accounting.leave(session_id)
        self._operations = remaining
        self._leave_shard(session_id)

    def _leave_shard(self, session_id: str) -> None:
        """Let go of a session's shard before anything else, which may be of the same session when it comes back."""
        self._operations.insert(0, LeaveShard(session_id))

    def _open_attempt(self, session: Session) -> ImageCounts:
        """Return the counts of a session's attempt; a new one begins with a new shard, too."""
        if self._accounting.is_new_attempt(session):
            self._end_shard(session.id)
            self._sampler.reset(session.id)
        return self._accounting.open(session)
