"""The database is away, hangs, moves or does not answer, and what was acknowledged is there afterwards."""

import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest
from sqlalchemy import select
from support.postgres import running_postgres, url_of
from support.waiting import until_true

from bridge.errors import DatabaseAwayError, SettingError, StorageError
from bridge.storage.postgres import acknowledgement_meaning, connecting
from bridge.storage.postgres import database as postgres_database
from bridge.storage.schema import JOURNAL
from bridge.storage.statements import Statement, inserted

PUT = Statement(inserted(JOURNAL))
NUMBERS = Statement(select(JOURNAL.c.number).order_by(JOURNAL.c.number))

CANCEL = "SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE wait_event = 'SyncRep'"


def put(database, number, before_commit=lambda: None):
    """Write one row in a group; something may happen before its COMMIT."""
    with database.group() as group:
        group.execute(PUT, {"bridge_id": "a", "number": number, "entries": b"", "sessions": ""})
        before_commit()


def numbers(database):
    """Return the rows that there are."""
    return [number for [number] in database.query(NUMBERS)]


def tried(call, *arguments):
    """Call once, and return the result, or None where the database failed."""
    try:
        return call(*arguments)
    except StorageError:
        return None


def put_after_all(database, number):
    """Write a row as the committer does: settle what is in doubt, then try again until it is there."""

    def is_written():
        if tried(database.settle) or tried(put, database, number) is not None:
            return True
        return number in (tried(numbers, database) or ())

    until_true(is_written, what="a group is committed again")


@pytest.fixture
def hasty(monkeypatch):
    """Give a server up that has not answered for a second."""
    monkeypatch.setattr(connecting, "ANSWER_SECONDS", 1.0)
    monkeypatch.setattr(postgres_database, "POOL_SECONDS", 1.0)


@pytest.fixture
def primary():
    """Yield a server of the test's own."""
    with running_postgres() as server:
        yield server


@contextmanager
def several_connections(database):
    """Have the pool hold as many connections as it may."""
    barrier = threading.Barrier(4)

    def hold():
        with database.transaction():
            barrier.wait(60)

    threads = [threading.Thread(target=hold) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    yield


def test_a_restart_costs_at_most_one_group(own_server, own_url, open_as):
    """Afterwards reads and transactions find no dead connection, and groups go on."""
    with open_as(own_url, pool_size=4) as database, several_connections(database):
        put(database, 1)
        own_server.stop()
        own_server.start()

        assert numbers(database) == [1]
        with database.transaction() as transaction:
            assert transaction.query(NUMBERS) == [(1,)]
        put_after_all(database, 2)
        assert numbers(database) == [1, 2]


def test_a_server_that_was_killed_comes_back_with_what_was_committed(
    own_server, own_url, open_as, hasty
):
    """While it is away each call fails with a sentence that says what to check."""
    with open_as(own_url) as database:
        put(database, 1)
        own_server.kill()
        try:
            with pytest.raises(StorageError, match=r"refused a commit: .*"):
                put(database, 2)
            with pytest.raises(DatabaseAwayError, match="check that it runs"):
                put(database, 2)
            with pytest.raises(DatabaseAwayError, match="check that it runs") as without_connection:
                database.query(NUMBERS)
            assert not without_connection.value.is_certain, "all connections may be in use"
            assert not database.settle()
        finally:
            own_server.start()
        put_after_all(database, 2)
        until_true(lambda: tried(numbers, database) == [1, 2])


def test_a_server_that_hangs_is_given_up(own_server, own_url, open_as, hasty):
    """Nothing waits longer for it than a few seconds, and all goes on when it wakes up."""
    with open_as(own_url) as database:
        put(database, 1)
        own_server.pause()
        try:
            with pytest.raises(DatabaseAwayError, match="no answer") as hanging:
                put(database, 2)
            assert hanging.value.is_certain
            with pytest.raises(DatabaseAwayError):
                database.query(NUMBERS)
        finally:
            own_server.resume()
        put_after_all(database, 2)
        until_true(lambda: tried(numbers, database) == [1, 2])


def test_a_refused_statement_does_not_count_as_an_outage(own_url, open_as):
    """The server answers: what it says concerns this statement alone."""
    with open_as(own_url) as database:
        for statement in (
            "SELECT 1 FROM nowhere",
            "SET LOCAL statement_timeout = 1; SELECT pg_sleep(9)",
        ):
            with pytest.raises(StorageError) as refused:
                database.query(statement)
            assert not isinstance(refused.value, DatabaseAwayError)


def test_a_cut_network_is_healed(network, open_as):
    """Connections that were reset, and hosts that refuse, are tried again by the next call."""
    proxy, url = network
    with open_as(url) as database:
        put(database, 1)
        proxy.cut()
        put_after_all(database, 2)
        proxy.refuse()
        with pytest.raises(StorageError):
            put(database, 3)
        proxy.pass_on()
        put_after_all(database, 3)
        assert numbers(database) == [1, 2, 3]


def test_a_network_that_swallows_everything_is_given_up(network, open_as, hasty):
    """No reset comes, and no answer."""
    proxy, url = network
    with open_as(url) as database:
        put(database, 1)
        proxy.freeze()
        with pytest.raises(StorageError, match="no answer"):
            put(database, 2)
        proxy.pass_on()
        put_after_all(database, 2)
        until_true(lambda: tried(numbers, database) == [1, 2])


def test_a_commit_whose_answer_was_lost_was_made(network, open_as, hasty):
    """The database knows that it was; until it has been asked no other group is written."""
    proxy, url = network
    with open_as(url) as database:
        with pytest.raises(StorageError, match="no answer"):
            put(database, 1, before_commit=proxy.swallow_answers)
        with pytest.raises(StorageError):
            database.settle()
        proxy.pass_on()
        proxy.cut()
        with pytest.raises(StorageError, match="not known yet"):
            put(database, 2)

        assert database.settle() is True
        assert database.settle() is False
        put(database, 2)
        until_true(lambda: tried(numbers, database) == [1, 2])


def lose_commit(database, proxy):
    """Have a group in doubt whose COMMIT never reaches the server."""
    with pytest.raises(StorageError, match="no answer"):
        put(database, 1, before_commit=proxy.freeze)
    proxy.cut()
    proxy.pass_on()


def test_a_commit_that_never_arrived_was_not_made(network, open_as, hasty):
    """It is written again, once."""
    proxy, url = network
    with open_as(url) as database:
        lose_commit(database, proxy)

        assert database.settle() is False
        put(database, 1)
        until_true(lambda: tried(numbers, database) == [1])


def test_commits_of_another_process_settle_nothing(network, open_as, hasty):
    """A copied spool folder names one bridge twice: what the other one has committed since is not what is in doubt."""
    proxy, url = network
    with open_as(url) as database:
        lose_commit(database, proxy)
        with open_as(url) as another:
            put(another, 2)

        assert database.settle() is False


def test_a_group_that_failed_before_its_commit_is_not_in_doubt(network, open_as, hasty):
    """The database need not be asked: what has no COMMIT is undone."""
    proxy, url = network
    with open_as(url) as database:
        proxy.refuse()
        with pytest.raises(StorageError):
            put(database, 1)
        assert database.settle() is False


def test_no_commit_is_answered_without_its_standby(primary, open_as, hasty):
    """While a synchronous standby is away nothing is acknowledged; once it is back, what was in doubt is."""
    with primary.standby(synchronous=True) as standby, open_as(primary.url()) as database:
        assert acknowledgement_meaning(database).standbys == 1
        put(database, 1)
        standby.pause()
        try:
            with pytest.raises(StorageError, match="standby"):
                put(database, 2)
            with pytest.raises(StorageError):
                database.settle()
        finally:
            standby.resume()
        assert until_true(lambda: tried(database.settle))
        put(database, 3)
        assert until_true(lambda: tried(numbers, database)) == [1, 2, 3]


def test_a_commit_that_is_cancelled_while_it_waits_for_a_standby_does_not_count(primary, open_as):
    """PostgreSQL answers it as if it were one, with a warning beside it."""
    with primary.standby(synchronous=True) as standby, open_as(primary.url()) as database:
        standby.pause()
        try:
            with ThreadPoolExecutor(1) as pool:
                write = pool.submit(put, database, 1)
                until_true(lambda: primary.query(CANCEL), what="the commit is cancelled")
                with pytest.raises(DatabaseAwayError, match="no synchronous standby"):
                    write.result(60)
                settle = pool.submit(database.settle)
                until_true(lambda: primary.query(CANCEL), what="the question is cancelled")
                with pytest.raises(StorageError, match="no synchronous standby"):
                    settle.result(60)
        finally:
            standby.resume()
        assert until_true(lambda: tried(database.settle))
        assert numbers(database) == [1]


@pytest.mark.parametrize("fault", ["kill", "pause"])
def test_a_promoted_standby_takes_over(primary, open_as, hasty, fault):
    """With both hosts in the URL the bridge goes on with the new primary, which has all that was acknowledged."""
    with primary.standby(synchronous=True) as standby:
        url = url_of([primary.address, standby.address], "postgres")
        with open_as(url) as database:
            for number in range(1, 6):
                put(database, number)
            getattr(primary, fault)()
            assert tried(put, database, 6) is None
            standby.configure(synchronous_standby_names="")
            standby.promote()
            put_after_all(database, 7)
            found = until_true(lambda: tried(numbers, database))
            assert set(found) - {6} == {1, 2, 3, 4, 5, 7}


def test_a_standby_is_never_used(primary, open_as):
    """Neither for writes nor for reads: it may not have yet what was acknowledged."""
    with primary.standby() as standby:
        with pytest.raises(SettingError, match="is a standby"), open_as(standby.url()):
            pass
        url = url_of([standby.address, primary.address], "postgres")
        with open_as(url) as database:
            put(database, 1)
            assert numbers(database) == [1]
            assert database.query("SELECT pg_is_in_recovery()") == [(False,)]
