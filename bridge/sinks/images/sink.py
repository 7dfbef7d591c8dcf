"""The sink that samples the images of batches and keeps what is chosen."""

import secrets
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path

from bridge.lifecycle import Ended, Event, Expired, Registered
from bridge.model import Batch, Epoch
from bridge.session import Session
from bridge.sinks import GroupCommit
from bridge.sinks.images.accounting import ImageAccounting, OnResolved
from bridge.sinks.images.candidate import ImageCandidate, ImageCounts
from bridge.sinks.images.disk_budget import DiskBudget
from bridge.sinks.images.lifecycle import Lifecycle
from bridge.sinks.images.reader import ImageReader
from bridge.sinks.images.sampler import Sampler
from bridge.sinks.images.shards.layout import pack
from bridge.sinks.images.shards.operations import (
    CloseAll,
    CloseDue,
    CloseShard,
    MakeFolder,
    SpoolOp,
    SpoolResult,
)
from bridge.sinks.images.shards.spool import Spool
from bridge.sinks.images.spool_watch import SpoolWatch
from bridge.sinks.images.upload.uploader import Uploader
from bridge.storage.aside import DamagedFolder
from bridge.storage.database import Database
from bridge.storage.image_counts import ImageCount, add_counts
from bridge.storage.objects import ObjectStore
from bridge.storage.packed import unpacked
from bridge.storage.transaction import Transaction
from bridge.storage.windows import held_windows, put_windows
from bridge.telemetry import Telemetry


@dataclass(frozen=True, slots=True)
class ImageLimits:
    """How much images may take, and when a shard is closed."""

    spool_bytes: int = 10 << 30
    """Of images waiting for the object store."""
    memory_bytes: int = 64 << 20
    """Of JPEGs in memory, over all sessions: those in open windows, and those waiting for a commit."""
    shard_bytes: int = 16 << 20
    shard_seconds: float = 30.0


DEFAULT_LIMITS = ImageLimits()


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
            bridge_id=secrets.token_hex(4),
            shard_bytes=limits.shard_bytes,
            shard_seconds=limits.shard_seconds,
            clock=clock,
        )
        self._disk_budget = DiskBudget(folder, max_bytes=limits.spool_bytes)
        self._watch = SpoolWatch(self._spool, self._disk_budget, telemetry, clock)
        self._aside = DamagedFolder(folder.with_name("damaged"), telemetry)
        self._uploader = Uploader(
            store, path_of=self._spool.path, on_resolved=self.submit, telemetry=telemetry
        )
        self._lifecycle = Lifecycle(
            spool=self._spool,
            store=store,
            database=database,
            uploader=self._uploader,
            aside=self._aside,
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

    def collect(self) -> "ImagesWrite | None":
        """Hand over what is to be written with the next commit."""
        counts, windows = self._accounting.collect(), self._sampler.collect_windows()
        if not (self._operations or counts or windows):
            return None
        operations, self._operations = self._operations, []
        self._is_close_requested = False
        return ImagesWrite(self, operations, counts, windows)

    def on_committed(self, result: SpoolResult) -> None:
        """Count and pass on what a commit has written."""
        for candidate in result.kept:
            self._uncommitted_bytes -= candidate.size_bytes
            self._accounting.record_stored(candidate)
        for failed in result.failed:
            self._uncommitted_bytes -= failed.candidate.size_bytes
            self._accounting.record_failed(failed.candidate, failed.reason)
        for shard in result.closed:
            self._uploader.enqueue(shard)
        for shard in result.stored:
            self._spool.release(shard)
        for shard in result.missing:
            self._spool.abandon(shard, self._aside)
        if result.missing:
            self._telemetry.dropped("shard", "missing", len(result.missing))
        if result.missing_images:
            self._telemetry.dropped("image", "missing", result.missing_images)
        for error in result.errors:
            self._telemetry.unexpected_error("spool", error)

    def replay(self, session: Session, event: Event, _received: float) -> None:
        """Restore the counts of a session from before a restart; its images are in their shards."""
        if isinstance(event, Registered):
            self._accounting.open(session)
        elif isinstance(event, Expired):
            self._accounting.close(session.id)

    def resume(self, sessions: Iterable[Session]) -> None:
        """Go on with the sessions that were replayed: what their open windows held is kept."""
        counts = {}
        for session in sessions:
            counts[session.id] = self._accounting.open(session)
            if session.batches:
                self._sampler.enter_epoch(session.id, session.epoch)
        for session_id, state in held_windows(self._database):
            self._sampler.mark_closed(session_id)
            try:
                self._keep_restored(state, counts)
            except Exception as error:  # noqa: BLE001 -- whatever it holds, it costs one batch and no start
                self._telemetry.unexpected_error("images", error)
                self._telemetry.dropped("window", "damaged")

    def submit(self, operation: SpoolOp) -> None:
        """Have the next commit carry out an operation."""
        self._operations.append(operation)

    def flush(self) -> None:
        """Close all windows and shards with the next commit; for a bridge that stops."""
        self._keep(self._sampler.close_all())
        self._operations.append(CloseAll())

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

    def _open_attempt(self, session: Session) -> ImageCounts:
        """Return the counts of a session's attempt; a new one begins with a new shard, too."""
        if self._accounting.is_new_attempt(session):
            self._end_shard(session.id)
            self._sampler.reset(session.id)
        return self._accounting.open(session)


@dataclass(slots=True)
class ImagesWrite:
    """The operations of one commit, what was decided before it, and what open windows hold."""

    images: Images
    operations: list[SpoolOp]
    counts: Sequence[ImageCount]
    windows: Sequence[tuple[str, ImageCandidate | None]]
    result: SpoolResult | None = None
    unwritable_windows: int = 0

    def write(self, transaction: Transaction) -> None:
        """Write the files once, and the index with each try."""
        if self.result is None:
            self.result = self.images._spool.write(self.operations)
        self.result.write_index(transaction, self.images._database)
        add_counts(transaction, self.counts)
        self.unwritable_windows = put_windows(
            transaction,
            [
                (session_id, candidate and candidate.snapshot())
                for session_id, candidate in self.windows
            ],
        )

    def on_committed(self) -> None:
        """Hand back what has become of the operations."""
        if self.result is not None:
            self.images.on_committed(self.result)
        if self.unwritable_windows:
            self.images._telemetry.dropped("window", "unwritable", self.unwritable_windows)
