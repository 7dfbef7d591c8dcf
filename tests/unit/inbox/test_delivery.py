"""Commands from bridge to bridge, by a real PostgreSQL: none lost, and none twice."""

import asyncio
from contextlib import AsyncExitStack

import pytest
from support.inbox_bridges import InboxBridge, bridges_on
from support.shared_database import opened
from support.waiting import until

from bridge.commands import State
from bridge.errors import LimitError, StorageError
from bridge.lifecycle import Ended
from bridge.model import Stage
from bridge.protocol import CommandType
from bridge.storage.inbox import KEPT_PER_SESSION, InboxMessage

STOP, PAUSE = CommandType.STOP_TRAINING, CommandType.PAUSE_TRAINING


@pytest.fixture
def pair(postgres_url):
    """Two bridges on one database."""
    with bridges_on(postgres_url, "a", "b") as pair:
        yield pair


async def send(bridge, session, command_id="1", type=PAUSE, **more):
    """Submit a command at a bridge that does not have its session."""
    command = bridge.commands.prepare(session.id, type, {}, command_id, "tests", **more)
    return await bridge.inbox.submit(session, command)


async def started(stack, *bridges, **options):
    """Let bridges run until the stack is left."""
    for bridge in bridges:
        await stack.enter_async_context(bridge.running(**options))


async def test_command_reaches_the_bridge_that_has_the_session(pair):
    """It is queued there under its id, by who sent it, and leaves the inbox with the commit that keeps it."""
    a, b = pair
    session = a.have()
    async with AsyncExitStack() as stack:
        await started(stack, a, b)
        sent = await send(b, session)
        await until(lambda: a.kept() == [("1", "a")])
        [command] = a.commands.of("run")

    assert (sent.state, command.state) == (State.QUEUED, State.QUEUED)
    assert (command.id, command.type, command.source) == ("1", PAUSE, "tests")
    assert a.waiting() == []


async def test_command_arrives_though_nobody_hears_it(pair):
    """Where announcements are lost, as behind PgBouncer, it is found by looking."""
    a, b = pair
    session = a.have()
    async with AsyncExitStack() as stack:
        await started(stack, a, b, is_listening=False)
        await until(lambda: not a.delivery._requested.is_set())
        await send(b, session)
        await until(lambda: a.kept() == [("1", "a")])


async def test_same_id_is_one_command_at_whichever_bridges(postgres_url):
    """Sent twice to the same bridge, to another one and to the owner, while it waits and after it has arrived."""
    with bridges_on(postgres_url, "a", "b", "c") as (a, b, c):
        session = a.have()
        again = await asyncio.gather(*(send(bridge, session) for bridge in (b, c, b)))
        assert [command.id for command in again] == ["1"] * 3
        assert a.waiting() == ["1"]
        async with AsyncExitStack() as stack:
            await started(stack, a, b, c)
            await until(a.kept)
            await send(c, session)
            await until(lambda: a.waiting() == [])

        assert a.kept() == [("1", "a")]
        assert len(a.commands.of("run")) == 1


async def test_first_of_two_commands_with_one_id_counts(pair):
    """Whoever sends another command under an id that waits learns what has it."""
    a, b = pair
    session = a.have()
    await send(b, session, "1", PAUSE)

    assert (await send(b, session, "1", STOP)).type is PAUSE


async def test_kill_before_the_commit_loses_nothing(postgres_url):
    """A bridge that has taken a command and dies before it commits takes it anew when it is back, once."""
    with bridges_on(postgres_url, "a", "b") as (a, b):
        session = a.have()
        await send(b, session)
        await a.delivery.deliver()
        assert a.commands.find("run", "1")
        with opened(postgres_url, "a") as database:
            reborn = InboxBridge(database)
            reborn.have()
            async with reborn.running():
                await until(reborn.kept)

            assert (reborn.kept(), reborn.waiting()) == ([("1", "a")], [])


async def test_kill_after_the_commit_doubles_nothing(postgres_url):
    """What has been committed is in the inbox no more, though nobody has noticed the commit."""
    with bridges_on(postgres_url, "a", "b") as (a, b):
        session = a.have()
        await send(b, session)
        await a.delivery.deliver()
        with a.database.group() as group:
            for sink in (a.ledger, a.receipts):
                sink.collect().write(group)
        with opened(postgres_url, "a") as database:
            reborn = InboxBridge(database)
            reborn.have()
            await reborn.delivery.deliver()

            assert reborn.commands.of("run") == []
            assert (reborn.kept(), reborn.waiting()) == ([("1", "a")], [])


async def test_command_is_taken_once_however_late_the_commit(pair):
    """A bridge that reads a command again before, or just after, its commit does not take it again."""
    a, b = pair
    session = a.have()
    await send(b, session)
    stale = a.rows.waiting(0)
    async with a.committer.running():
        for _ in range(3):
            await a.delivery.deliver()
        await until(a.kept)
        a.delivery._give(stale[0])
        await a.delivery.deliver()
        await a.delivery.deliver()

    assert a.kept() == [("1", "a")]
    assert not a.receipts.has(stale[0].number)


async def test_command_of_a_session_that_was_taken_goes_with_it(pair):
    """What the former owner took and could not commit any more the next one takes, and only that one."""
    a, b = pair
    session = a.have()
    await send(b, session)
    await a.delivery.deliver()
    b.have()

    async with AsyncExitStack() as stack:
        await stack.enter_async_context(a.committer.running())
        await until(lambda: a.sessions.find("run") is None)
        assert (a.kept(), a.waiting()) == ([], ["1"])
        await started(stack, b)
        await until(b.kept)

    assert (b.kept(), b.waiting()) == ([("1", "b")], [])


async def test_session_that_comes_back_gets_its_command(pair):
    """A bridge that had taken a command, and lost the session before its commit, takes it when it has the session again."""
    a, b = pair
    session = a.have()
    await send(b, session)
    await a.delivery.deliver()
    b.own()
    async with a.committer.running():
        await until(lambda: a.sessions.find("run") is None)
        a.have()
        await a.delivery.deliver()
        await until(a.kept)

    assert (a.kept(), a.waiting()) == ([("1", "a")], [])


async def test_command_waits_until_somebody_has_the_session(pair):
    """Where the owner has died, it waits for the bridge that adopts the session."""
    a, b = pair
    session = b.sessions.register("run", a.have("other").client, a.have("third").config).session
    b.sessions.expire(session)
    async with AsyncExitStack() as stack:
        await started(stack, a, b)
        await send(b, session)
        await a.delivery.deliver()
        assert a.waiting() == ["1"]
        a.have()
        await until(lambda: a.kept() == [("1", "a")])


async def test_command_to_a_session_that_is_over_shows_as_expired(pair):
    """It is kept with its session, and no loop gets it."""
    a, b = pair
    session = a.have()
    await send(b, session)
    session.apply(Ended(Stage.ENDED), session.registered_at + 1)
    async with a.running():
        await until(a.kept)

    [command] = a.commands.of("run")
    assert command.state is State.EXPIRED
    assert a.commands.take("run") == []


async def test_command_to_an_earlier_attempt_is_refused(pair):
    """Whoever sent it saw the attempt before: it must not stop this one."""
    a, b = pair
    session = a.have()
    await send(b, session, type=STOP)
    session.attempt = 2
    async with a.running():
        await until(lambda: a.waiting() == [])

    assert (a.commands.of("run"), a.kept(), a.dropped("refused")) == ([], [], 1)


async def test_command_to_a_run_that_was_deleted_is_not_for_the_next_one(pair):
    """A run of the same name that began long after the command was sent is another one."""
    a, b = pair
    session = a.have()
    await send(b, session, type=STOP)
    session.registered_at += 120
    async with a.running():
        await until(lambda: a.waiting() == [])

    assert (a.commands.of("run"), a.dropped("refused")) == ([], 1)


async def test_damaged_message_stops_no_other(pair):
    """It is dropped and counted; one of a kind that only newer bridges know waits for these."""
    a, b = pair
    session = a.have()
    b.rows.add(InboxMessage("run", "damaged", "command", b"\xc1"))
    b.rows.add(InboxMessage("run", "new", "future", b""))
    await send(b, session)
    async with a.running():
        await until(lambda: a.waiting() == ["new"])

    assert (a.kept(), a.dropped("damaged")) == ([("1", "a")], 1)


async def test_message_that_has_to_wait_is_given_again(postgres_url):
    """A receiver may say that it is too early."""
    answers = [False, False, True]
    receivers = {"alert": lambda _session, _message: answers.pop(0)}
    with bridges_on(postgres_url, "a", "b", **receivers) as (a, b):
        a.have()
        b.rows.add(InboxMessage("run", "1", "alert", b""))
        for _ in range(2):
            await a.delivery.deliver()
        assert not a.receipts.has(1)
        async with a.running():
            await until(lambda: a.waiting() == [])

    assert answers == []


async def test_so_many_messages_wait_for_one_session(pair):
    """One more is refused, and those of other sessions are not."""
    a, b = pair
    session, other = a.have(), a.have("other")
    for number in range(KEPT_PER_SESSION):
        await send(b, session, str(number))

    with pytest.raises(LimitError, match="100 messages"):
        await send(b, session, "more")
    await send(b, session, "7")
    await send(b, other, "more")
    assert len(a.waiting()) == KEPT_PER_SESSION + 1


async def test_more_than_one_query_is_delivered_in_sequence(pair, monkeypatch):
    """Commands arrive in the sequence in which they were sent."""
    monkeypatch.setattr("bridge.storage.inbox.ROWS_PER_QUERY", 3)
    monkeypatch.setattr("bridge.inbox.delivery.ROWS_PER_QUERY", 3)
    a, b = pair
    session = a.have()
    for number in range(10):
        await send(b, session, str(number))

    await a.delivery.deliver()

    assert [command.id for command in a.commands.of("run")] == list("0123456789")


async def test_what_nobody_has_taken_for_an_hour_is_dropped(pair):
    """By the clock of the database, and counted."""
    a, b = pair
    session = a.have()
    await send(b, session, "old")
    with a.database.transaction() as transaction:
        transaction.execute("UPDATE inbox SET queued_ms = queued_ms - 3600001")
    await send(b, session, "new")

    await b.delivery.drop_old()

    assert (a.waiting(), b.dropped("expired")) == (["new"], 1)


async def test_commands_on_their_way_are_shown_by_every_bridge(pair):
    """They are queued, and are so until the commit of the bridge that has the session."""
    a, b = pair
    session = a.have()
    await send(b, session, "1")
    b.rows.add(InboxMessage("run", "alert:1", "alert", b""))
    b.rows.add(InboxMessage("run", "damaged", "command", b"\xc1"))

    shown = await b.inbox.commands("run")

    assert [(one.id, one.state) for one in shown] == [("1", State.QUEUED)]
    assert await a.inbox.commands("run") == shown
    assert await a.inbox.commands("other") == []


async def test_what_a_session_here_was_given_is_kept_with_the_commit(pair):
    """A bridge that has lost the session meanwhile learns it before it says that a command is queued."""
    a, b = pair
    session = a.have()
    async with a.committer.running():
        a.pipeline.submit("run", PAUSE, {}, "1")
        assert await a.inbox.is_kept(session)
        assert a.kept() == [("1", "a")]
        b.own()
        a.pipeline.submit("run", PAUSE, {}, "2")
        assert not await a.inbox.is_kept(session)

    assert a.kept() == [("1", "a")]


async def test_what_waits_comes_before_what_is_sent_to_the_owner_itself(pair):
    """Whoever has been answered by one bridge, and then asks another, is served in that sequence."""
    a, b = pair
    session = a.have()
    async with a.committer.running():
        await send(b, session, "pause")
        await a.inbox.catch_up()
        a.pipeline.submit("run", CommandType.RESUME_TRAINING, {}, "resume")

    assert [command.id for command in a.commands.of("run")] == ["pause", "resume"]


async def test_rounds_that_overlap_take_nothing_twice(pair):
    """One that began to read before a commit is over before the next one begins."""
    a, b = pair
    session = a.have()
    async with a.committer.running():
        for number in range(10):
            await send(b, session, str(number))
            await asyncio.gather(*(a.delivery.deliver() for _ in range(3)))
        await until(lambda: a.waiting() == [])

    assert len(a.kept()) == 10


async def test_cut_network_delays_a_command(postgres_server, postgres_url):
    """It is refused while nobody can keep it, and arrives once the bridge that has the session is back."""
    database = postgres_url.rpartition("/")[2]
    with bridges_on(postgres_url, "a", "b") as (a, b):
        session = a.have()
        async with AsyncExitStack() as stack:
            await started(stack, a, b)
            postgres_server.query(f"ALTER DATABASE {database} ALLOW_CONNECTIONS false")
            cut_all(postgres_server, database)
            with pytest.raises(StorageError):
                await send(b, session, "refused")
            postgres_server.query(f"ALTER DATABASE {database} ALLOW_CONNECTIONS true")
            await until(lambda: is_sent(b, session))
            await until(lambda: kept_by(a) == [("1", "a")])


def cut_all(server, database):
    """End all connections to a database."""
    server.query(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", database
    )


async def is_sent(bridge, session):
    """Return whether a command could be sent."""
    try:
        await send(bridge, session)
    except StorageError:
        return False
    return True


def kept_by(bridge):
    """Return the ledger, nothing while it cannot be read."""
    try:
        return bridge.kept()
    except StorageError:
        return []
