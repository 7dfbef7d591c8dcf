"""The sink that keeps the images of batches."""

import secrets
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path

from bridge.model import Batch, Ended, Epoch, Event, Forgotten, Registered
from bridge.session import Session
from bridge.sinks import GroupCommit
from bridge.sinks.images.accounting import Books, Settled
from bridge.sinks.images.candidate import Offer, Tally
from bridge.sinks.images.disk_budget import Room
from bridge.sinks.images.lifecycle import Lifecycle
from bridge.sinks.images.reader import ImageReader
from bridge.sinks.images.sampler import Sampler
from bridge.sinks.images.shards.layout import pack
from bridge.sinks.images.shards.operations import (
    Close,
    CloseAll,
    CloseDue,
    MakeFolder,
    Step,
    Written,
)
from bridge.sinks.images.shards.spool import Spool
from bridge.sinks.images.spool_watch import SpoolWatch
from bridge.sinks.images.upload.uploader import Uploader
from bridge.storage.aside import DamagedFolder
from bridge.storage.database import Database, Transaction
from bridge.storage.image_counts import ImageCount, add_counts
from bridge.storage.objects import ObjectStore
from bridge.storage.packed import unpacked
from bridge.storage.windows import held_windows, put_windows
from bridge.telemetry import Telemetry

DRAIN_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Limits:
    """How much of what."""

    spool_bytes: int = 10 << 30
    """Of images waiting for the object store."""
    memory_bytes: int = 64 << 20
    """Of JPEGs in memory, over all sessions: those in open windows, and those waiting for a commit."""
    shard_bytes: int = 16 << 20
    shard_seconds: float = 30.0


DEFAULT_LIMITS = Limits()


class Images:
    """Takes images in, samples them, has them committed with everything else, and brings them to the store.

    At any time received = stored + sampled_out + dropped + invalid + `pending`.
    """

    def __init__(
        self,
        folder: Path,
        store: ObjectStore,
        database: Database,
        telemetry: Telemetry,
        *,
        settled: Settled,
        sampler: Sampler,
        limits: Limits = DEFAULT_LIMITS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Spool in `folder`, on the way to `store`; nothing is touched before `running`."""
        self._store = store
        self._database = database
        self._telemetry = telemetry
        self._sampler = sampler
        self._limits = limits
        self._clock = clock
        self._books = Books(settled, telemetry)
        self._spool = Spool(
            folder,
            bridge_id=secrets.token_hex(4),
            shard_bytes=limits.shard_bytes,
            shard_seconds=limits.shard_seconds,
            clock=clock,
        )
        self._room = Room(folder, max_bytes=limits.spool_bytes)
        self._aside = DamagedFolder(folder.with_name("damaged"), telemetry)
        self._steps: list[Step] = []
        self._uploader = Uploader(
            store, path_of=self._spool.path, settle=self._ask, telemetry=telemetry
        )
        self._waiting_bytes = 0
        self._is_close_asked = False
        self._watch = SpoolWatch(self._spool, self._room, telemetry, clock)
        self._lifecycle = Lifecycle(
            spool=self._spool,
            store=store,
            database=database,
            uploader=self._uploader,
            aside=self._aside,
            telemetry=telemetry,
            tick=self._tick,
            flush=self.flush,
            submit=self._ask,
        )
        self.reader = ImageReader(self._spool.path, store)
        """Reads what has been committed."""

    @property
    def pending(self) -> int:
        """Images received of which nothing has become yet."""
        return self._books.pending

    def problem(self) -> str:
        """Return why images cannot be kept at the moment, or ""."""
        return self._watch.problem

    def consume(self, session: Session, event: Event, received: float) -> None:
        """Take the images of batches, and notice where epochs and sessions end."""
        kind = type(event)
        if kind is Batch:
            self._take_in(session, event, received)  # type: ignore[arg-type]
        elif kind is Epoch or kind is Ended:
            self._end(session.id)
        elif kind is Registered:
            self._attempt(session)
        elif kind is Forgotten:
            self._end(session.id)
            self._sampler.forget(session.id)
            self._books.close(session.id)

    def collect(self) -> "ImagesWrite | None":
        """Hand over what is to be written with the next commit."""
        decided, windows = self._books.take(), self._sampler.take_changed()
        if not (self._steps or decided or windows):
            return None
        steps, self._steps = self._steps, []
        self._is_close_asked = False
        return ImagesWrite(self, steps, decided, windows)

    def replay(self, session: Session, event: Event, _received: float) -> None:
        """Take up the counts of a session from before a restart; its images are in their shards."""
        if isinstance(event, Registered):
            self._books.open(session)
        elif isinstance(event, Forgotten):
            self._books.close(session.id)

    def resume(self, sessions: Iterable[Session]) -> None:
        """Go on with the sessions that were replayed: what their open windows held is kept."""
        tallies = {}
        for session in sessions:
            tallies[session.id] = self._books.open(session)
            if session.batches:
                self._sampler.starts_epoch(session.id, session.epoch)
        for session_id, state in held_windows(self._database):
            self._sampler.clear(session_id)
            try:
                self._keep_held(state, tallies)
            except Exception as error:  # noqa: BLE001 -- whatever it holds, it costs one batch and no start
                self._telemetry.unexpected_error("images", error)
                self._telemetry.dropped("window", "damaged")

    def _keep_held(self, state: bytes, tallies: Mapping[str, Tally]) -> None:
        session_id, attempt, *rest = unpacked(state)
        tally = tallies.get(session_id)
        if tally is None or tally.attempt != attempt:
            tally = Tally(attempt)
        offer = Offer.restored((session_id, attempt, *rest), tally)
        pack(offer, at=0)  # raises for values that no shard can hold
        self._books.receive(offer)
        self._keep_all([offer])

    def counts(self, session_id: str) -> tuple[int, int]:
        """Return how many images of a session's attempt are committed, and how many are lost or refused.

        Sampled-out images are neither.
        """
        return self._books.counts(session_id)

    def flush(self) -> None:
        """Close all windows and shards with the next commit; for a bridge that stops."""
        self._keep_all(self._sampler.close_all())
        self._steps.append(CloseAll())

    def running(
        self, committer: GroupCommit, *, drain_seconds: float = DRAIN_SECONDS
    ) -> AbstractAsyncContextManager[None]:
        """Keep time and upload; on the way out close all shards, and upload what fits in `drain_seconds`.

        Nothing may be consumed after that. One commit more writes down what has been uploaded.
        """
        return self._lifecycle.running(committer, drain_seconds=drain_seconds)

    def _take_in(self, session: Session, batch: Batch, received: float) -> None:
        tally = self._attempt(session)
        if batch.invalid_images:
            self._books.refuse(session.id, batch, tally, received)
        if not batch.images:
            return
        starts_epoch = self._sampler.starts_epoch(session.id, batch.epoch)
        names = session.config.class_names
        offer = Offer(session.id, batch, received, names, starts_epoch, tally)
        self._books.receive(offer)
        held_bytes = self._sampler.held_bytes + self._waiting_bytes
        if held_bytes + offer.size_bytes > self._limits.memory_bytes:
            self._books.drop(offer, "memory_full")
            return
        verdict = self._sampler.offer(offer, self._clock())
        for out in verdict.out:
            self._books.pass_over(out)
        self._keep_all(verdict.kept)

    def _keep_all(self, offers: Iterable[Offer]) -> None:
        for offer in offers:
            used_bytes = self._spool.used_bytes + self._waiting_bytes
            if self._room.is_left(used_bytes, starts_epoch=offer.starts_epoch):
                self._waiting_bytes += offer.size_bytes
                self._steps.append(offer)
            else:
                self._books.drop(offer, "spool_full")

    def _end(self, session_id: str) -> None:
        self._keep_all(self._sampler.close(session_id))
        self._steps.append(Close(session_id))

    def _attempt(self, session: Session) -> Tally:
        """Return the tally of a session's attempt; a new one begins with a new shard, too."""
        if self._books.is_new_attempt(session):
            self._end(session.id)
            self._sampler.forget(session.id)
        return self._books.open(session)

    def _ask(self, step: Step) -> None:
        self._steps.append(step)

    def _committed(self, written: Written) -> None:
        for offer in written.kept:
            self._waiting_bytes -= offer.size_bytes
            self._books.keep(offer)
        for lost in written.lost:
            self._waiting_bytes -= lost.offer.size_bytes
            self._books.lose(lost.offer, lost.reason)
        for shard in written.closed:
            self._uploader.offer(shard)
        for shard in written.stored:
            self._spool.release(shard)
        for shard in written.gone:
            self._spool.abandon(shard, self._aside)
        if written.gone:
            self._telemetry.dropped("shard", "missing", len(written.gone))
        if written.gone_images:
            self._telemetry.dropped("image", "missing", written.gone_images)
        for error in written.failures:
            self._telemetry.unexpected_error("spool", error)

    def _tick(self) -> bool:
        """Do what is due, and return whether there is something to commit."""
        now = self._clock()
        self._keep_all(self._sampler.due(now))
        if self._spool.due_at <= now and not self._is_close_asked:
            self._is_close_asked = True
            self._steps.append(CloseDue())
        if self._watch.check():
            self._steps.append(MakeFolder())
        self._uploader.look()
        return bool(self._steps)


class ImagesWrite:
    """The steps of one commit, what was decided before it, and what open windows hold."""

    def __init__(
        self,
        images: Images,
        steps: list[Step],
        decided: Sequence[ImageCount] = (),
        windows: Sequence[tuple[str, Offer | None]] = (),
    ) -> None:
        """Do `steps` for `images`."""
        self._images = images
        self._steps = steps
        self._decided = decided
        self._windows = windows
        self._written: Written | None = None
        self._unwritable = 0

    def write(self, transaction: Transaction) -> None:
        """Write the files, once, and tell the index, each time."""
        if self._written is None:
            self._written = self._images._spool.write(self._steps)
        self._written.note(transaction, self._images._database)
        add_counts(transaction, self._decided)
        self._unwritable = put_windows(
            transaction,
            [(session_id, offer and offer.snapshot()) for session_id, offer in self._windows],
        )

    def on_committed(self) -> None:
        """Settle what has been written."""
        if self._written is not None:
            self._images._committed(self._written)
        if self._unwritable:
            self._images._telemetry.dropped("window", "unwritable", self._unwritable)
