"""Batches with images, and an image sink to send them to."""

import io
import tarfile
from collections import Counter
from contextlib import asynccontextmanager

from support.fenced import FencedTransaction
from support.jpegs import jpeg

from bridge.errors import StorageError
from bridge.lifecycle import Registered
from bridge.model import Batch, Client, Config, Image, ImageResult
from bridge.session import Session
from bridge.sinks.images import ImageLimits, Images, Keep, Sampler
from bridge.sinks.images.candidate import ImageCandidate
from bridge.storage.index import ImageIndex
from bridge.storage.sqlite.database import SqliteDatabase
from bridge.telemetry import Telemetry

NOON_MS = 1_700_000_000_000
NOON = NOON_MS / 1000


def batch(epoch=1, index=0, *, loss=0.5, images=2, invalid=0, shade=128, sent_ms=0):
    """Return a batch whose images predict class 1 for class 1, 2, 1, 2 ..."""
    pictures = tuple(
        Image(
            i,
            jpeg(16, 16, (shade + i) % 256),
            predicted_class=1,
            confidence=0.75,
            true_class=1 + i % 2,
        )
        for i in range(images)
    )
    return Batch(epoch, index, loss, pictures, invalid, sent_ms=sent_ms)


def candidate(epoch=1, index=0, *, session_id="run", received=NOON, starts_epoch=False, **kind):
    """Return a candidate of such a batch."""
    names = ("cat", "dog", 'a "bird"')
    return ImageCandidate(session_id, batch(epoch, index, **kind), received, names, starts_epoch)


def session(session_id="run", *, attempt=1):
    """Return a session of three classes."""
    config = Config(class_names=("cat", "dog", 'a "bird"'))
    return Session(session_id, Client(), config, now=NOON, attempt=attempt)


def members(shard):
    """Return what a tar file holds, by name."""
    with tarfile.open(fileobj=io.BytesIO(shard)) as archive:
        return {member.name: archive.extractfile(member).read() for member in archive}


class Bench:
    """An image sink with everything around it, under one folder."""

    def __init__(
        self,
        folder,
        store,
        *,
        keep=Keep.ALL,
        batches_per_second=2.0,
        clock=None,
        keeps_spool=True,
        database=None,
        **limits,
    ):
        """Build it; it runs inside `running`, with a database of its own where none is given."""
        folder.mkdir(exist_ok=True)
        self.spool = folder / "spool"
        self.store = store
        self.database = database or SqliteDatabase(folder / "trainbridge.db", durable=False)
        self.index = ImageIndex(self.database)
        self.telemetry = Telemetry()
        self.resolved = Counter()
        self.commits_requested = 0
        self.received = 0
        clocks = {"clock": clock} if clock else {}
        self.images = Images(
            self.spool,
            store,
            self.database,
            self.telemetry,
            on_resolved=self._on_resolved,
            sampler=Sampler(keep, batches_per_second=batches_per_second),
            limits=ImageLimits(**limits),
            keeps_spool=keeps_spool,
            **clocks,
        )

    @asynccontextmanager
    async def running(self, *, drain_seconds=5.0):
        """Run it, and close the database after it."""
        committer = _Committer(self)
        try:
            async with self.images.running(committer, drain_seconds=lambda: drain_seconds):
                yield self
            await committer.commit()
        finally:
            self.database.close()

    def send(self, session, batch, received=NOON):
        """Give it a batch."""
        self.received += len(batch.images) + batch.invalid_images
        self.images.consume(session, batch, received)

    def register(self, session, received=NOON):
        """Register a session, or an attempt of it."""
        self.images.consume(session, Registered(), received)

    def commit(self, *, owned=None):
        """Commit what it has to keep, as the pipeline does; `owned`: the sessions that other bridges have left to it."""
        work = self.images.collect()
        if work is None:
            return
        with self.database.group() as transaction:
            fenced = FencedTransaction(transaction, frozenset(owned or ()))
            work.write(transaction if owned is None else fenced)
        work.on_committed()

    def books(self):
        """Return what has become of images, by result, and check that none is missing."""
        results = [result for result in ImageResult if result is not ImageResult.LOST]
        counts = {result: self.resolved[result] for result in results}
        assert self.received == sum(counts.values()) + self.images.pending
        return counts

    def metric(self, name, **labels):
        """Return a number from what the bridge says about itself."""
        return self.telemetry.registry.get_sample_value(name, labels)

    def spooled(self):
        """Return the files in the spool."""
        return sorted(self.spool.glob("*"))

    def _on_resolved(self, count):
        self.resolved[count.result] += count.images


class _Committer:
    """What stands for the committer: the test commits, but for the stop."""

    def __init__(self, bench):
        self._bench = bench

    def request_commit(self):
        self._bench.commits_requested += 1

    async def commit(self):
        try:
            self._bench.commit()
        except StorageError:
            return False
        return True
