"""A session that another bridge takes while it is on its way into memory is not written by the bridge that lost it."""

import asyncio
import threading
import time
from contextlib import AsyncExitStack

import pytest
from support.owners import owner

from bridge.commit_group import Fenced
from bridge.model import Client, Config
from bridge.ownership import taking


@pytest.fixture
async def two(postgres_url):
    """Yield two bridges on one database."""
    async with AsyncExitStack() as stack:
        yield [await stack.enter_async_context(owner(postgres_url, name)) for name in "ab"]


async def test_what_was_taken_and_lost_before_it_was_read_is_dropped(two, monkeypatch):
    """The commit that learned of the loss found nothing to drop; what the other bridge has acknowledged since stays."""
    first, second = two
    session = await first.register()
    first.send(session, 1)
    assert await first.committer.commit()
    reading, go_on = threading.Event(), threading.Event()
    find_sessions = taking.find_sessions

    def find_slowly(database, names, rows, restoration):
        found = find_sessions(database, names, rows, restoration)
        if database is second.database:
            reading.set()
            assert go_on.wait(60)
        return found

    monkeypatch.setattr(taking, "find_sessions", find_slowly)
    coming = asyncio.create_task(second.ownership.acquire("run"))
    assert await asyncio.to_thread(reading.wait, 60)
    assert await first.committer.commit()
    back = await first.ownership.acquire("run")
    first.send(back, 2)
    assert await first.committer.commit()
    assert await second.committer.commit()
    go_on.set()
    await coming

    assert await second.committer.commit()

    assert second.sessions.find("run") is None
    assert second.lost == ["run"]
    assert (await first.ownership.find("run")).accepted == 2


async def test_a_name_that_was_claimed_and_lost_before_it_was_registered_is_dropped(two):
    """Two clients of one name come to two bridges: what the one that has it has acknowledged stays."""
    first, second = two
    await first.ownership.acquire("run")
    session = await second.register("run", "other")
    second.send(session, 1)
    assert await second.committer.commit()
    assert await first.committer.commit()
    first.pipeline.register("run", Client("c", "1", "i"), Config(3), None)

    assert await first.committer.commit()

    assert first.sessions.find("run") is None
    found = await second.ownership.find("run")
    assert (found.accepted, found.client.instance_id) == (1, "other")


async def test_what_is_asked_for_once_more_is_dropped_all_the_same(two):
    """It was in memory before the commit that found it lost was begun, though its owner has taken it anew since then."""
    first, _ = two
    session = await first.register()
    assert await first.committer.commit()
    begun_at = time.monotonic()
    assert await first.taking.take("run")

    first.ownership.on_fenced(Fenced(frozenset(), begun_at))

    assert first.sessions.find("run") is None
    assert first.lost == [session.id]


async def test_what_leaves_memory_while_a_commit_finds_it_lost_is_not_written(two, monkeypatch):
    """That commit has nothing of it, and the next one must not replace what the other bridge has acknowledged."""
    first, second = two
    session = await first.register()
    first.send(session, 1)
    assert await first.committer.commit()
    there = await second.ownership.acquire("run")
    second.send(there, 2)
    assert await second.committer.commit()
    release, loop = first.rows.release, asyncio.get_running_loop()

    async def drop():
        first.pipeline.drop(session)

    def release_later(*arguments):
        asyncio.run_coroutine_threadsafe(drop(), loop).result(60)
        release(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(first.rows, "release", release_later)
        assert await first.committer.commit()

    assert await first.committer.commit()

    assert (await second.ownership.find("run")).accepted == 2
