"""What a bridge owns and has not in memory keeps all that was acknowledged of it, and comes there once."""

import asyncio
import threading
from contextlib import AsyncExitStack
from types import SimpleNamespace

import pytest
from support.owners import owner
from support.waiting import until

from bridge.errors import StorageError
from bridge.ownership import taking


@pytest.fixture
async def two(postgres_url, monkeypatch):
    """Yield two bridges on one database; every commit trims, and nothing that was taken is recent."""
    monkeypatch.setattr("bridge.storage.journal.TRIM_SECONDS", 0.0)
    monkeypatch.setattr("bridge.ownership.taking.RECENT_SECONDS", 0.0)
    async with AsyncExitStack() as stack:
        yield [await stack.enter_async_context(owner(postgres_url, name)) for name in "ab"]


def _away(*_):
    raise StorageError("away")


async def _take_unread(one, monkeypatch):
    """Have a bridge become the owner of a session that it cannot read then."""
    with monkeypatch.context() as broken:
        broken.setattr(taking, "read_rows", _away)
        with pytest.raises(StorageError):
            await one.taking.take("run")


async def _back_at_the_first(first, second):
    """Have a session go to the second bridge, and back to the first before anything of it was written there."""
    session = await first.register()
    other = await first.register("other", "other")
    for sequence in (1, 2):
        first.send(session, sequence)
        first.send(other, sequence)
        assert await first.committer.commit()
    assert (await second.ownership.acquire("run")).accepted == 2
    assert await first.committer.commit()
    assert first.sessions.find("run") is None
    return other


async def test_what_came_back_and_could_not_be_read_keeps_its_groups(two, monkeypatch):
    """Its checkpoint is older than these, and the commits until it is read write none."""
    first, second = two
    other = await _back_at_the_first(first, second)
    await _take_unread(first, monkeypatch)
    assert first.owner_of("run") == "a"
    for sequence in (3, 4):
        first.send(other, sequence)
        first.journal.checkpoint_all()
        assert await first.committer.commit()

    back = await first.ownership.acquire("run")

    assert back.accepted == 2


async def test_what_was_taken_and_not_read_is_restored_later(two, monkeypatch):
    """Its client may never come back, and somebody has to end it; nothing of it is lost meanwhile."""
    first, second = two
    session = await first.register()
    first.send(session, 1)
    assert await first.committer.commit()
    await _take_unread(second, monkeypatch)
    assert second.owner_of("run") == "b"
    assert second.sessions.find("run") is None

    for _ in range(3):
        await second.orphans.take_care_of_strays()
    assert await second.committer.commit()

    assert second.sessions.find("run").accepted == 1
    assert second.owner_of("run") == "b"


async def test_what_has_gone_on_is_not_restored_once_more(two):
    """Its client came while it was being adopted: what it has sent since stands."""
    first, second = two
    session = await first.register()
    first.send(session, 1)
    assert await first.committer.commit()
    here = await second.register()
    second.send(here, 2)

    await second.taking.adopt(["run"])

    assert second.sessions.find("run") is here
    assert here.accepted == 2


async def test_what_is_about_to_be_given_up_is_not_restored(two):
    """It has left memory, and no commit has said so yet: read now it would come back, and be nobody's."""
    first, _ = two
    session = await first.register()
    assert await first.committer.commit()
    first.pipeline.drop(session)

    await first.orphans.take_care_of_strays()

    assert first.sessions.find("run") is None
    assert await first.committer.commit()
    assert first.owner_of("run") is None


async def test_what_was_read_before_another_bridge_went_on_is_not_restored(two, monkeypatch):
    """It was adopted, lost on the way, and has come back with its client: what the other bridge acknowledged stays."""
    first, second = two
    session = await first.register()
    first.send(session, 1)
    assert await first.committer.commit()
    found, go_on = [threading.Event() for _ in "12"], [threading.Event() for _ in "12"]
    find_sessions, calls = taking.find_sessions, iter(range(2))

    def find_slowly(database, names, rows, restoration):
        sessions = find_sessions(database, names, rows, restoration)
        if database is second.database:
            call = next(calls)
            found[call].set()
            assert go_on[call].wait(60)
        return sessions

    monkeypatch.setattr(taking, "find_sessions", find_slowly)
    assert second.rows.take(["run"]).names == ("run",)
    adopting = asyncio.create_task(second.taking.adopt(["run"]))
    assert await asyncio.to_thread(found[0].wait, 60)
    assert await first.committer.commit()
    back = await first.ownership.acquire("run")
    first.send(back, 2)
    assert await first.committer.commit()
    assert await second.committer.commit()
    coming = asyncio.create_task(second.ownership.acquire("run"))
    assert await asyncio.to_thread(found[1].wait, 60)

    go_on[0].set()
    await adopting
    go_on[1].set()

    assert (await coming).accepted == 2


async def test_what_was_taken_in_vain_is_given_up_a_minute_later(two, monkeypatch):
    """However often it is looked for strays in that time."""
    first, _ = two
    monkeypatch.setattr(taking, "RECENT_SECONDS", 60.0)
    now = 1_000.0
    monkeypatch.setattr(
        taking, "time", SimpleNamespace(monotonic=lambda: now, perf_counter=lambda: now)
    )
    assert await first.ownership.acquire("nothing") is None
    for _ in range(16):
        now += 5.0
        await first.orphans.take_care_of_strays()
        assert await first.committer.commit()

    assert first.owner_of("nothing") is None


async def test_a_name_that_is_asked_for_while_it_is_looked_at_is_not_given_up(two, monkeypatch):
    """Its client is about to register it."""
    first, _ = two
    first.rows.take(["nothing"])
    found, go_on = threading.Event(), threading.Event()
    find_sessions = taking.find_sessions

    def find_slowly(*arguments):
        sessions = find_sessions(*arguments)
        if not found.is_set():
            found.set()
            assert go_on.wait(60)
        return sessions

    monkeypatch.setattr(taking, "find_sessions", find_slowly)
    caring = asyncio.create_task(first.orphans.take_care_of_strays())
    assert await asyncio.to_thread(found.wait, 60)
    assert await first.ownership.acquire("nothing") is None
    go_on.set()
    await caring

    assert await first.committer.commit()
    assert first.owner_of("nothing") == "a"


async def test_what_fails_each_time_ends_no_other_care(two, monkeypatch):
    """A session that cannot be restored keeps nobody from adopting those of a bridge that is dead."""
    first, second = two
    await first.register()
    assert await first.committer.commit()
    first.rows.resign(silent_seconds=60.0)

    async def fail():
        raise ValueError("damaged")

    monkeypatch.setattr(type(second.orphans), "take_care_of_strays", lambda _self: fail())
    async with second.orphans.running():
        await until(lambda: second.sessions.find("run") is not None)
