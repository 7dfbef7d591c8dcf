"""Any bridge takes any session, with all that was committed, and the one that had it before lets go."""

import asyncio
import logging
from contextlib import AsyncExitStack

import pytest
from support.owners import Waiting, owner

from bridge.errors import ForeignSessionError, StorageError
from bridge.lifecycle import Disconnected
from bridge.model import Client, Status, StatusChange, Update


@pytest.fixture
async def two(postgres_url):
    """Yield two bridges on one database."""
    async with AsyncExitStack() as stack:
        yield [await stack.enter_async_context(owner(postgres_url, name)) for name in "ab"]


async def test_a_session_comes_with_all_that_was_committed(two):
    """Checkpoint and the records behind it are applied, to the series too; the old owner's commit is none of its own."""
    first, second = two
    session = await first.register()
    assert await first.committer.commit()
    for sequence in range(1, 6):
        first.send(session, sequence)
    assert await first.committer.commit()
    known = first.known(session)

    taken = await second.ownership.acquire("run")

    assert taken is second.sessions.find("run")
    assert taken.accepted == taken.committed == 5
    assert second.known(taken) == known
    assert second.owner_of("run") == "b"


async def test_what_was_not_committed_is_never_acknowledged_by_the_bridge_that_lost_it(two):
    """It is left out of the commit, nobody is notified before the session has left memory, and the client starts behind it."""
    first, second = two
    session, other = await first.register(), await first.register("other", "j")
    assert await first.committer.commit()
    first.send(session, 1)
    waiting = first.send(other, 1)

    taken = await second.ownership.acquire("run")
    assert await first.committer.commit()

    assert taken.accepted == 0
    assert first.sessions.find("run") is None
    assert first.lost == ["run"]
    assert waiting.tickets != []
    assert first.sessions.find("other") is other
    assert (await second.ownership.acquire("other")).accepted == 1


async def test_groups_that_a_new_owner_still_needs_are_kept(two, postgres_url):
    """The old owner trims its journal, the new one dies without a commit, and a third one misses nothing."""
    first, second = two
    session = await first.register()
    assert await first.committer.commit()
    first.send(session, 1)
    assert await first.committer.commit()
    await second.ownership.acquire("run")
    assert await first.committer.commit()

    other = await first.register("other")
    for sequence in range(1, 4):
        first.send(other, sequence)
        assert await first.committer.commit()
    first.journal.checkpoint_all()
    assert await first.committer.commit()

    async with owner(postgres_url, "c") as third:
        taken = await third.ownership.acquire("run")
        assert taken.accepted == 1


async def test_the_new_owner_goes_on_where_the_old_one_was(two):
    """What it accepts and commits is read by the next one, wherever the session goes."""
    first, second = two
    session = await first.register()
    first.send(session, 1)
    assert await first.committer.commit()
    taken = await second.ownership.acquire("run")
    second.send(taken, 2)
    assert await second.committer.commit()
    assert await first.committer.commit()

    back = await first.ownership.acquire("run")

    assert back is not session
    assert back.accepted == 2
    assert first.metrics.snapshot(back) is not None
    first.send(back, 3)
    assert await first.committer.commit()


async def test_two_that_want_a_session_at_once_do_not_both_get_it(two):
    """Whoever is last has it; the other one lets go with its next commit."""
    first, second = two

    await asyncio.gather(first.register("new"), second.register("new"))
    await first.committer.commit()
    await second.committer.commit()

    has = [one for one in two if one.sessions.find("new") is not None]
    assert [one.database.bridge_id for one in has] == [first.owner_of("new")]


async def test_a_session_that_leaves_memory_is_nobodys(two):
    """It is given up with the commit of its last state; its name may be registered anywhere from then on."""
    first, second = two
    session = await first.register()
    update = Update("run", StatusChange(Status.COMPLETED), 1, 10)
    first.pipeline.accept(update, session.holder, Waiting())
    first.pipeline.drop(session)

    assert await first.committer.commit()

    assert first.owner_of("run") is None
    again = await second.register()
    assert again.attempt == 1
    assert second.owner_of("run") == "b"


async def test_a_bridge_that_has_missed_that_it_lost_something_takes_nothing_before_it_knows(two):
    """A group of its own may still hold what the other bridge has written anew since."""
    first, second = two
    session = await first.register()
    assert await first.committer.commit()
    first.send(session, 1)
    await second.ownership.acquire("run")

    with pytest.raises(StorageError, match="try again soon"):
        first.rows.take(["other"])

    assert await first.committer.commit()
    assert first.rows.take(["other"]).names == ("other",)


async def test_a_session_is_looked_at_where_it_is(two):
    """Another client's registration finds that it is held, and the bridge that has it does not lose it."""
    first, second = two
    await first.register()
    assert await first.committer.commit()

    seen = await second.ownership.find("run")

    with pytest.raises(ForeignSessionError):
        second.sessions.check_elsewhere(seen, Client("c", "1", "another"))
    assert second.sessions.find("run") is None
    assert first.owner_of("run") == "a"


async def test_a_bridge_that_stops_leaves_its_sessions_to_the_others_at_once(two, caplog):
    """They are adopted as disconnected, so that they end when their client does not come back; nothing is wrong with that."""
    caplog.set_level(logging.INFO, logger="bridge")
    first, second = two
    session = await first.register()
    first.send(session, 1)
    assert session.connected
    assert await first.committer.commit()
    assert await second.orphans.adopt_some() == ()

    first.rows.resign(silent_seconds=60.0)

    assert await second.orphans.adopt_some() == ("run",)
    adopted = second.sessions.find("run")
    assert not adopted.connected
    assert adopted.accepted == 1
    assert await second.committer.commit()
    assert second.owner_of("run") == "b"
    [said] = [one for one in caplog.records if "were adopted" in one.message]
    assert (said.levelname, said.fields) == ("INFO", {"sessions": 1, "bridge_id": "a"})


async def test_a_bridge_that_starts_again_has_what_nobody_took(two, postgres_url):
    """With the same spool folder it is the same bridge; what it committed is there."""
    first, _ = two
    session = await first.register()
    first.send(session, 1)
    assert await first.committer.commit()

    async with owner(postgres_url, "a") as again:
        await again.orphans.adopt_own()

        assert again.sessions.find("run").accepted == 1
        assert await again.committer.commit()


async def test_what_was_taken_in_vain_is_given_up(two, monkeypatch):
    """A name whose registration was refused is not held for good."""
    first, _ = two
    assert await first.ownership.acquire("nothing") is None
    assert first.owner_of("nothing") == "a"
    await first.orphans.take_care_of_strays()
    assert await first.committer.commit()
    assert first.owner_of("nothing") == "a"

    monkeypatch.setattr("bridge.ownership.taking.RECENT_SECONDS", 0.0)
    await first.orphans.take_care_of_strays()
    assert await first.committer.commit()

    assert first.owner_of("nothing") is None


async def test_many_sessions_are_taken_in_one_turn(two):
    """A fleet that loses its bridge is not taken over one by one."""
    first, second = two
    names = [f"run-{number}" for number in range(100)]
    for name in names:
        first.send(await first.register(name, name), 1)
    assert await first.committer.commit()

    taken = await asyncio.gather(*(second.ownership.acquire(name) for name in names))

    assert [session.accepted for session in taken] == [1] * 100
    assert await first.committer.commit()
    assert len(first.sessions) == 0
    assert sorted(first.lost) == sorted(names)


async def test_the_event_of_a_session_that_was_lost_reaches_no_series(two):
    """Its stream ends after it has left: nothing of it comes back into memory."""
    first, second = two
    session = await first.register()
    assert await first.committer.commit()
    await second.ownership.acquire("run")
    assert await first.committer.commit()

    first.metrics.consume(session, Disconnected(), 1_800_000_000.0)

    assert first.metrics.all() == ()


async def test_a_bridge_knows_when_it_has_more_than_its_share(two):
    """One that has just come has none of the sessions, and counts for all that."""
    first, _ = two
    for number in range(4):
        await first.register(f"run-{number}", f"{number}")
    assert await first.committer.commit()
    assert not first.ownership.is_crowded

    first.ownership.note_shares(first.rows.shares(30.0))

    assert first.rows.shares(30.0) == {"a": 4, "b": 0}
    assert first.ownership.is_crowded
    first.ownership.note_shares({"a": 4, "b": 4})
    assert not first.ownership.is_crowded
