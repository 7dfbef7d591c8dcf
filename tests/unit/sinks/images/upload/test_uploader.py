"""The uploader delivers, spares a broken store, and never gives a shard up."""

import asyncio
import time
from contextlib import asynccontextmanager, suppress

import pytest
from support.stores import MemoryStore
from support.waiting import until

from bridge.errors import StorageError
from bridge.sinks.images.shards.layout import ending
from bridge.sinks.images.shards.operations import ShardMissing, ShardStored
from bridge.sinks.images.upload.circuit_breaker import CircuitBreaker
from bridge.sinks.images.upload.uploader import Uploader
from bridge.storage.shards import Shard
from bridge.telemetry import Telemetry

SHARD = ending([], at=0, changed_seconds=0)
"""One without images."""


class Desk:
    """An uploader, its store, and what has become of its shards."""

    def __init__(self, folder, **options):
        """Build it with files in `folder`."""
        self.folder = folder
        self.store = MemoryStore()
        self.resolved = []
        self.telemetry = Telemetry()
        self.uploader = Uploader(
            self.store,
            path_of=folder.joinpath,
            on_resolved=self.resolved.append,
            telemetry=self.telemetry,
            **options,
        )

    def enqueue(self, number):
        """Enqueue a shard."""
        shard = Shard(number, "run", f"{number:03d}.tar", len(SHARD), closed=True)
        (self.folder / shard.key).write_bytes(SHARD)
        self.uploader.enqueue(shard)
        return shard

    @asynccontextmanager
    async def running(self):
        """Run the uploader."""
        task = asyncio.create_task(self.uploader.run())
        try:
            yield
        finally:
            self.store.gate.set()
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    def order(self):
        """Return the numbers of shards in the order they were tried."""
        return [int(key[:3]) for what, key in self.store.requests if what == "put"]


async def test_newest_first_and_the_oldest_in_between(tmp_path):
    """After an outage the present is visible first, and the past gets every third turn."""
    desk = Desk(tmp_path, workers=1)
    for number in range(9):
        desk.enqueue(number)
    async with desk.running():
        await desk.uploader.drain(5)

    assert desk.order() == [8, 0, 7, 6, 1, 5, 4, 2, 3]
    assert {resolved.shard.shard_id for resolved in desk.resolved} == set(range(9))


async def test_a_broken_store_gets_one_request_a_second(tmp_path):
    """However many shards wait, and however many workers there are."""
    desk = Desk(tmp_path, workers=4)
    desk.store.fault = StorageError("500")
    async with desk.running():
        desk.enqueue(0)
        await until(lambda: desk.store.puts() == 1)
        for number in range(1, 50):
            desk.enqueue(number)
        started = time.monotonic()
        await asyncio.sleep(2.2)
        tried, lasted = desk.store.puts() - 1, time.monotonic() - started

        assert 1 <= tried <= lasted + 1
        assert desk.resolved == []
        desk.store.fault = None
        await until(lambda: len(desk.resolved) == 50)


async def test_one_bad_shard_does_not_stop_the_others(tmp_path):
    """A shard whose upload is a puzzle is tried again, while the others go."""
    desk = Desk(
        tmp_path, workers=1, breaker=CircuitBreaker(least_seconds=0.01, longest_seconds=0.02)
    )
    bad = desk.enqueue(99)
    (tmp_path / bad.key).unlink()
    (tmp_path / bad.key).mkdir()
    async with desk.running():
        for number in range(5):
            desk.enqueue(number)
        await until(lambda: len(desk.resolved) == 5)
        (tmp_path / bad.key).rmdir()
        (tmp_path / bad.key).write_bytes(SHARD)
        await until(lambda: len(desk.resolved) == 6)


async def test_a_missing_file_is_looked_for_in_the_store(tmp_path):
    """It was uploaded before, or it is gone: both end the waiting."""
    desk = Desk(tmp_path)
    there, gone = desk.enqueue(1), desk.enqueue(2)
    for shard in (there, gone):
        (tmp_path / shard.key).unlink()
    desk.store.objects[there.key] = b"tar"
    async with desk.running():
        await until(lambda: len(desk.resolved) == 2)

    assert sorted(desk.resolved, key=lambda resolved: resolved.shard.shard_id) == [
        ShardStored(there),
        ShardMissing(gone),
    ]


async def test_drain_ends_with_its_time(tmp_path):
    """A bridge that stops does not wait longer for a store that does not answer."""
    desk = Desk(tmp_path)
    async with desk.running():
        desk.store.gate.clear()
        desk.enqueue(1)
        started = time.monotonic()
        await desk.uploader.drain(0.1)

        assert time.monotonic() - started >= 0.09
        assert not desk.uploader.is_idle


async def test_drain_tries_a_broken_store_until_its_time_is_over(tmp_path):
    """A store that fails when the bridge stops, and works a moment later, gets everything: no pause outlasts the rest."""
    now = [100.0]
    breaker = CircuitBreaker(least_seconds=0.01, clock=lambda: now[0])
    desk = Desk(tmp_path, breaker=breaker, workers=1)
    desk.store.fault = StorageError("500")
    async with desk.running():
        for number in range(5):
            desk.enqueue(number)
        await until(lambda: desk.store.puts() == 1)
        await until(lambda: breaker.is_open and breaker.wait_seconds is not None)
        for _ in range(12):  # an outage: the next pause could be a minute
            breaker.before_request()
            breaker.record_failure()
        draining = asyncio.create_task(desk.uploader.drain(30))
        await asyncio.sleep(0)
        desk.store.fault = None
        now[0] += 0.011
        await draining

    assert len(desk.resolved) == 5


def test_the_breaker_lets_one_probe_through():
    """After a failure there is a pause of a second at least, then one request, then everything."""
    now = [100.0]
    breaker = CircuitBreaker(clock=lambda: now[0])
    breaker.before_request()
    breaker.record_failure()
    at_once = breaker.wait_seconds
    now[0] += at_once
    later = breaker.wait_seconds
    breaker.before_request()
    probing = breaker.wait_seconds
    breaker.record_success()

    assert at_once >= 1.0
    assert (later, probing, breaker.wait_seconds) == (0.0, None, 0.0)
    assert not breaker.is_open


@pytest.mark.parametrize("seconds", [0, 100])
async def test_a_store_that_holds_an_upload_counts_as_down(tmp_path, monkeypatch, seconds):
    """A store that hangs shows within seconds, before any timeout; one that is busy does not."""
    desk = Desk(tmp_path)
    desk.telemetry.uploaded("earlier", 1, seconds=0.1)
    async with desk.running():
        desk.store.gate.clear()
        desk.enqueue(1)
        await until(desk.store.puts)
        now = time.monotonic() + seconds
        with monkeypatch.context() as patched:
            patched.setattr(time, "monotonic", lambda: now)
            desk.uploader.check_stalled()
        up = desk.telemetry.registry.get_sample_value("bridge_object_store_up")

    assert up == (0 if seconds else 1)
