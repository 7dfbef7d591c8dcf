"""A database that bridges cannot share: the check and the start say the same sentence, and what to change."""

from contextlib import contextmanager

import psycopg
import pytest
from support.shared_database import opened

from bridge.errors import SettingError, StorageError
from bridge.storage.postgres import BridgeDescription, fitness, open_postgres
from bridge.storage.postgres.probe import probe_database


@pytest.fixture
def postgres_url(empty_postgres_url):
    """Return the URL of a database that holds nothing: tables are made here."""
    return empty_postgres_url


def what_both_say(url):
    """Return the sentence with which a database is refused."""
    with pytest.raises(StorageError) as checked:
        probe_database(url)
    with pytest.raises(SettingError) as started:
        open_postgres(url, BridgeDescription("a"), wait_seconds=0)
    assert str(started.value) == f"state: {checked.value}"
    return str(checked.value)


@contextmanager
def role_of(url, name):
    """Make an account, and yield the URL with it."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f"CREATE ROLE {name} LOGIN")
        try:
            yield url.replace("postgres@", f"{name}@")
        finally:
            connection.execute(f"DROP OWNED BY {name}")
            connection.execute(f"DROP ROLE {name}")


def test_another_encoding(postgres_server):
    """A database that cannot hold every text is refused at once."""
    postgres_server.query("CREATE DATABASE narrow ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0")
    try:
        text = what_both_say(postgres_server.url("narrow"))
    finally:
        postgres_server.query("DROP DATABASE narrow WITH (FORCE)")
    assert "has the encoding LATIN1: make one with ENCODING 'UTF8'" in text


def test_a_database_that_is_read_only(postgres_url):
    """Where a setting has made it so, the sentence names the setting."""
    name = postgres_url.rpartition("/")[2]
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
    assert "read-only, as default_transaction_read_only is on there" in what_both_say(postgres_url)


def test_a_standby(own_server):
    """It is distinguished from a server that is read-only by a setting."""
    with own_server.standby() as standby:
        text = what_both_say(standby.url())
    assert "is a standby, which takes no writes: see that its primary runs" in text


def test_a_server_that_is_too_old(postgres_url, monkeypatch):
    """Both versions are named."""
    monkeypatch.setattr(fitness, "OLDEST_VERSION", 99)
    assert "which is too old: bridges need PostgreSQL 99 or later" in what_both_say(postgres_url)


def test_an_account_that_may_not_make_tables(postgres_url):
    """PostgreSQL 15 gives nobody that right in the schema `public`."""
    with role_of(postgres_url, "weak") as url:
        assert "may not make tables there: GRANT CREATE ON SCHEMA public" in what_both_say(url)


def test_an_account_needs_no_right_that_it_does_not_use(postgres_url):
    """Where the tables are there, it takes rights on these, and not the right to make any."""
    with opened(postgres_url):
        pass
    with role_of(postgres_url, "modest") as url:
        assert "grant its user all rights on the schema and its tables" in what_both_say(url)
        with psycopg.connect(postgres_url, autocommit=True) as connection:
            connection.execute("GRANT ALL ON ALL TABLES IN SCHEMA public TO modest")
        probe_database(url)


def test_tables_of_another_program(postgres_url):
    """The check finds them before a start does."""
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute("CREATE TABLE sessions (id int)")
    assert "holds the tables of another program" in what_both_say(postgres_url)


def test_a_server_that_takes_no_writes_is_waited_for(own_server, own_url):
    """During a failover a standby is soon a primary."""
    with own_server.standby() as standby:
        url = standby.url(own_url.rpartition("/")[2])
        waits = fitness.connect_checked

        def promoted_first(address):
            try:
                return waits(address)
            except fitness.UnwritableServerError:
                standby.promote()
                raise

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("bridge.storage.postgres.opening.connect_checked", promoted_first)
            open_postgres(url, BridgeDescription("a"), wait_seconds=60).close()
