"""Whoever loses sessions hears of it, and need not wait for a commit that is due anyway."""

from contextlib import AsyncExitStack

import pytest
from support.owners import owner
from support.waiting import until

from bridge.ownership.release import Releases
from bridge.storage.owners import CHANNEL


@pytest.fixture
async def two(postgres_url):
    """Yield two bridges on one database."""
    async with AsyncExitStack() as stack:
        yield [await stack.enter_async_context(owner(postgres_url, name)) for name in "ab"]


async def test_takeover_is_announced_to_the_bridge_that_loses(two):
    """It is in the transaction of the takeover, with the name of that bridge."""
    first, second = two
    await first.register()
    assert await first.committer.commit()
    heard = []
    with first.database.listen((CHANNEL,), lambda *what: heard.append(what)):
        await until(lambda: heard)
        await second.ownership.acquire("run")
        await until(lambda: heard[1:] == [(CHANNEL, "a")])


async def test_nobody_loses_what_nobody_has(two):
    """A session that is new, or one's own, is taken without a word."""
    first, second = two
    heard = []
    with first.database.listen((CHANNEL,), lambda *what: heard.append(what)):
        await until(lambda: heard)
        await first.register()
        await first.ownership.acquire("run")
        second.database.query("SELECT pg_notify('trainbridge_moved', 'end')")
        await until(lambda: (CHANNEL, "end") in heard)

    assert heard[1:] == [(CHANNEL, "end")]


def test_a_commit_that_is_asked_for_writes_something():
    """A bridge that has nothing to write finds out nothing, unless it is asked to."""
    now = 100.0
    releases = Releases(None, clock=lambda: now)
    assert releases.collect() is not None
    assert releases.collect() is None

    releases.ask()

    assert releases.collect() is not None
    assert releases.collect() is None
