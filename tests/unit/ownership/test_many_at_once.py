"""A fleet whose bridge is gone is taken by few statements, and no client waits for the last of the others."""

import asyncio
from contextlib import AsyncExitStack, contextmanager

import psycopg
import pytest
from support.owners import Waiting, owner

from bridge.errors import StorageError
from bridge.model import Status, StatusChange, Update
from bridge.ownership import taking
from bridge.ownership.taking import SESSIONS_AT_ONCE
from bridge.sinks.journal.records import VERSION
from bridge.storage.packed import packed


@pytest.fixture
async def three(postgres_url):
    """Yield three bridges on one database."""
    async with AsyncExitStack() as stack:
        yield [await stack.enter_async_context(owner(postgres_url, name)) for name in "abc"]


@contextmanager
def counting(monkeypatch):
    """Count the statements that are run meanwhile."""
    execute, run = psycopg.Cursor.execute, []

    def counted(cursor, query, *arguments, **options):
        run.append(query)
        return execute(cursor, query, *arguments, **options)

    with monkeypatch.context() as patch:
        patch.setattr(psycopg.Cursor, "execute", counted)
        yield run


async def registered(one, *names):
    """Have a bridge register sessions, with one update each, and commit them."""
    for name in names:
        one.send(await one.register(name, name), 1)
    assert await one.committer.commit()


def all_of(taker, names):
    """Return all sessions that are asked for at the same moment."""
    return asyncio.gather(*(taker.ownership.acquire(name) for name in names))


async def test_a_turn_has_as_many_statements_for_many_sessions_as_for_two(three, monkeypatch):
    """Taking them, the journal behind them, their checkpoints, images and windows; the same with the next commit."""
    first, second, _ = three
    names = [f"run-{number:02}" for number in range(2 + SESSIONS_AT_ONCE)]
    await registered(first, *names)
    await registered(second, "its-own")  # it is connected by then
    counts = []
    for wanted in (names[:2], names[2:]):
        with counting(monkeypatch) as run:
            taken = await all_of(second, wanted)
            assert await second.committer.commit()
        assert [session.accepted for session in taken] == [1] * len(wanted)
        counts.append(len(run))
        assert await first.committer.commit()

    assert counts[0] == counts[1] < 2 * SESSIONS_AT_ONCE


async def test_a_turn_may_have_sessions_of_everybody(three):
    """Of two other bridges, of this one from before it stopped, of nobody, never written, and over."""
    first, second, third = three
    await registered(first, "of-a", "also-of-a")
    await registered(second, "of-b")
    await first.ownership.acquire("never-written")
    await registered(first, "over")
    over = first.sessions.find("over")
    ended = Update("over", StatusChange(Status.COMPLETED), 2, 10)
    first.pipeline.accept(ended, over.holder, Waiting())
    first.pipeline.drop(over)
    assert await first.committer.commit()
    third.rows.take(["mine"])
    await registered(second, "mine-before")
    third.rows.take(["mine-before"])
    assert await second.committer.commit()

    names = ["of-a", "mine", "over", "of-b", "never-written", "nobodys", "mine-before", "also-of-a"]
    taken = await all_of(third, names)

    assert [None if session is None else session.accepted for session in taken] == [
        *(1, None, None, 1),
        *(None, None, 1, 1),
    ]
    assert {third.owner_of(name) for name in names} == {"c"}
    for one in (first, second):
        assert await one.committer.commit()
        assert len(one.sessions) == 0
    assert await third.committer.commit()
    assert len(third.sessions) == 4


async def test_what_others_take_at_the_same_moment_is_left_to_them(three, monkeypatch):
    """A session that has gone to a bridge that nothing is taken from, since it was looked at, stays there."""
    first, second, third = three
    await registered(first, "run", "gone")
    transaction = second.database.transaction

    @contextmanager
    def seen_before(**options):
        with transaction(**options) as begun:
            query = begun.query

            def ask(statement, *parameters):
                rows = query(statement, *parameters)
                if len(rows) == 2 and third.owner_of("gone") == "a":
                    assert third.rows.take(["gone"]).names == ("gone",)
                return rows

            begun.query = ask
            yield begun

    monkeypatch.setattr(second.database, "transaction", seen_before)

    assert second.rows.take(["gone", "run"]).names == ("run",)

    assert second.owner_of("gone") == "c"
    assert second.owner_of("run") == "b"


async def test_nobody_waits_for_sessions_that_are_read_later(three, monkeypatch):
    """Those that were read first are in memory, and their clients go on."""
    first, second, _ = three
    await registered(first, "early", "late")
    monkeypatch.setattr(taking, "SESSIONS_AT_ONCE", 1)
    go_on, find_sessions = asyncio.Event(), taking.find_sessions
    loop = asyncio.get_running_loop()

    def find_slowly(database, names, rows, restoration):
        if names == ("late",):
            asyncio.run_coroutine_threadsafe(go_on.wait(), loop).result(60)
        return find_sessions(database, names, rows, restoration)

    monkeypatch.setattr(taking, "find_sessions", find_slowly)
    late = asyncio.create_task(second.ownership.acquire("late"))

    early = await second.ownership.acquire("early")

    assert early.accepted == 1
    assert not late.done()
    go_on.set()
    assert (await late).accepted == 1


async def test_a_failure_on_the_way_costs_only_those_that_are_not_here(three, monkeypatch):
    """They are this bridge's for all that, and are had by asking again."""
    first, second, _ = three
    await registered(first, "early", "late")
    monkeypatch.setattr(taking, "SESSIONS_AT_ONCE", 1)
    find_sessions = taking.find_sessions

    def find_some(database, names, rows, restoration):
        if names == ("late",):
            raise StorageError("away")
        return find_sessions(database, names, rows, restoration)

    with monkeypatch.context() as patch:
        patch.setattr(taking, "find_sessions", find_some)
        early, late = await asyncio.gather(
            *map(second.taking.take, ("early", "late")), return_exceptions=True
        )
    assert early is True
    assert isinstance(late, StorageError)
    assert second.sessions.find("late") is None

    assert (await second.ownership.acquire("late")).accepted == 1


async def test_damage_costs_no_other_session(three):
    """A group and a record that cannot be read are counted once, and so is a session whose checkpoint cannot."""
    first, second, _ = three
    names = ["run", "other", "damaged"]
    await registered(first, *names)
    for sequence in (2, 3, 4):
        for name in names:
            first.send(first.sessions.find(name), sequence)
        assert await first.committer.commit()
    unreadable = packed((VERSION, [["run", 9, 9.0, 999], 7, ["stranger", 9]]))
    with first.database.transaction() as transaction:
        transaction.execute("UPDATE journal SET entries = %s WHERE number = 2", (unreadable,))
        transaction.execute("UPDATE journal SET entries = 'no' WHERE number = 3")
        transaction.execute("UPDATE sessions SET state = 'no' WHERE session_id = 'damaged'")

    taken = await all_of(second, names)

    assert [None if session is None else session.accepted for session in taken] == [4, 4, None]
    dropped = {
        what: second.telemetry.registry.get_sample_value(
            "bridge_dropped_total", {"what": what, "reason": "damaged"}
        )
        for what in ("group", "entry", "session")
    }
    assert dropped == {"group": 1, "entry": 2, "session": 1}


@pytest.fixture
def committing_on_the_way(monkeypatch):
    """Return what has a bridge commit, and trim whatever it may, each time before it reads one of the sessions that come."""
    monkeypatch.setattr(taking, "SESSIONS_AT_ONCE", 1)
    monkeypatch.setattr("bridge.storage.journal.TRIM_SECONDS", 0.0)

    def commit(one):
        loop = asyncio.get_running_loop()
        for name in ("read_rows", "find_sessions"):
            read = getattr(taking, name)

            def read_later(database, *arguments, read=read):
                if database is one.database:
                    asyncio.run_coroutine_threadsafe(one.committer.commit(), loop).result(60)
                return read(database, *arguments)

            monkeypatch.setattr(taking, name, read_later)

    return commit


async def test_a_bridge_that_starts_again_has_all_that_was_acknowledged(
    three, postgres_url, committing_on_the_way
):
    """Its first commits trim no group that other sessions need, even if it is killed before all of them are here."""
    first, *_ = three
    names = ["run-0", "run-1", "run-2"]
    await registered(first, *names)
    for name in names:
        first.send(first.sessions.find(name), 2)
    assert await first.committer.commit()

    async with owner(postgres_url, "a") as again:
        committing_on_the_way(again)
        await again.orphans.adopt_own()
        assert again.sessions.find("run-2").accepted == 2
    async with owner(postgres_url, "a") as once_more:
        await once_more.orphans.adopt_own()

        assert [once_more.sessions.find(name).accepted for name in names] == [2, 2, 2]
        assert await once_more.committer.commit()
        assert {once_more.owner_of(name) for name in names} == {"a"}


async def test_a_session_that_comes_back_needs_groups_of_its_own_bridge(
    three, committing_on_the_way
):
    """The bridge that had it meanwhile has written nothing of it: what was acknowledged before is read."""
    first, second, _ = three
    await registered(first, "run", "other")
    first.send(first.sessions.find("run"), 2)
    assert await first.committer.commit()
    await second.ownership.acquire("run")
    assert await first.committer.commit()
    assert first.sessions.find("run") is None
    committing_on_the_way(first)
    first.journal.checkpoint_all()
    first.send(first.sessions.find("other"), 2)

    back = await first.ownership.acquire("run")

    assert back.accepted == 2
