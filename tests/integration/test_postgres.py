"""The tests' own PostgreSQL fails as a real one does, and comes back."""

from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest
from support.postgres import running_postgres, url_of
from support.tools import tool
from support.waiting import until_true


@pytest.fixture(scope="module")
def server():
    """Yield a server that may be made to fail."""
    with running_postgres() as server:
        server.query("CREATE TABLE kept (word text)")
        yield server


def test_each_test_has_a_database_of_its_own(postgres_server, postgres_url):
    """What one test writes no other test sees, and the database goes although somebody is still connected."""
    with postgres_server.database() as other, psycopg.connect(other) as connection:
        connection.execute("CREATE TABLE mine (word text)")
        connection.commit()
        with psycopg.connect(postgres_url) as own:
            assert own.execute("SELECT to_regclass('mine')").fetchall() == [(None,)]
    names = postgres_server.query("SELECT datname FROM pg_database")
    assert (other.rpartition("/")[2],) not in names
    assert (postgres_url.rpartition("/")[2],) in names


def test_what_is_committed_survives_a_kill(server):
    """After kill -9 it comes back under its address with what was committed."""
    server.query("INSERT INTO kept VALUES ('killed')")
    server.kill()
    assert not server.answers()
    server.start()
    assert server.query("SELECT word FROM kept WHERE word = 'killed'") == [("killed",)]


def test_it_restarts_in_order(server):
    """What ends in order starts again."""
    server.stop()
    assert not server.answers()
    server.start()


def test_a_paused_server_holds_connections_and_answers_nothing(server):
    """A pause cuts no connection; afterwards all goes on where it was."""
    with psycopg.connect(server.url()) as connection:
        server.pause()
        try:
            with pytest.raises(psycopg.OperationalError):
                psycopg.connect(server.url(), connect_timeout=2)
        finally:
            server.resume()
        assert connection.execute("SELECT 1").fetchall() == [(1,)]


@pytest.mark.parametrize("mode", ["kill", "pause"])
def test_a_promoted_standby_has_what_was_acknowledged(mode):
    """With a synchronous standby nothing committed is lost with the primary, and one URL finds whoever writes."""
    with running_postgres() as primary, primary.standby(synchronous=True) as standby:
        primary.query("CREATE TABLE kept (word text)")
        primary.query("INSERT INTO kept VALUES ('both')")
        getattr(primary, mode)()
        standby.promote()
        addresses = [standby.address, primary.address][:: 1 if mode == "pause" else -1]
        url = f"{url_of(addresses, 'postgres')}?target_session_attrs=read-write"
        with psycopg.connect(url) as connection:
            assert connection.execute("SELECT word FROM kept").fetchall() == [("both",)]


def test_a_commit_waits_for_a_synchronous_standby():
    """While the standby is away no COMMIT is answered; it is once the standby is back."""
    with running_postgres() as primary, primary.standby(synchronous=True) as standby:
        primary.query("CREATE TABLE kept (word text)")
        standby.pause()
        with ThreadPoolExecutor(1) as pool:
            write = pool.submit(primary.query, "INSERT INTO kept VALUES ('late')")
            until_true(
                lambda: primary.query("SELECT 1 FROM pg_stat_activity WHERE wait_event = 'SyncRep'")
            )
            assert not write.done()
            standby.resume()
            write.result(60)


def test_a_proxy_of_bridges_is_here():
    """HAProxy comes by the same way as PostgreSQL."""
    assert tool("haproxy")
