"""What is announced, and connections that come and go."""

from contextlib import asynccontextmanager

import psycopg
import pytest
from support.postgres import url_of
from support.proxy import proxying
from support.waiting import until

from bridge.storage.postgres.listen import listening


class Ear:
    """Listens on two channels."""

    def __init__(self, address, database):
        self.url = url_of([address], database)
        self.heard = []
        self.backends = []

    def connect(self):
        connection = psycopg.connect(self.url, autocommit=True, connect_timeout=5)
        self.backends.append(connection.info.backend_pid)
        return connection

    def note(self, channel, payload):
        self.heard.append((channel, payload))

    @asynccontextmanager
    async def listening(self):
        with listening(self.connect, ("news", "More News"), self.note):
            await until(lambda: ("", "") in self.heard)
            yield self


@pytest.fixture
def database(postgres_url):
    """The name of an empty database."""
    return postgres_url.rpartition("/")[2]


def announce(server, database, channel, payload):
    """Announce something as another bridge does."""
    server.query("SELECT pg_notify(%s, %s)", channel, payload, database=database)


async def test_what_is_announced_is_heard_in_order(postgres_server, database):
    """Whatever is announced on a channel comes as it was announced, and what is on other channels does not."""
    async with Ear(postgres_server.address, database).listening() as ear:
        announce(postgres_server, database, "news", "1")
        announce(postgres_server, database, "else", "2")
        announce(postgres_server, database, "More News", "3")
        await until(lambda: ("More News", "3") in ear.heard)

    assert ear.heard == [("", ""), ("news", "1"), ("More News", "3")]


async def test_what_is_rolled_back_is_not_heard(postgres_server, database):
    """An announcement is part of its transaction."""
    async with Ear(postgres_server.address, database).listening() as ear:
        with psycopg.connect(ear.url) as connection:
            connection.execute("SELECT pg_notify('news', 'never')")
            connection.rollback()
        announce(postgres_server, database, "news", "1")
        await until(lambda: len(ear.heard) > 1)

    assert ear.heard == [("", ""), ("news", "1")]


async def test_connection_that_is_cut_comes_back_and_says_so(postgres_server, database):
    """Whoever listens learns that something may have been missed, and hears what comes after it."""
    with proxying(postgres_server.address) as proxy:
        async with Ear(proxy.address, database).listening() as ear:
            proxy.refuse()
            announce(postgres_server, database, "news", "missed")
            proxy.pass_on()
            await until(lambda: ear.heard.count(("", "")) == 2)
            announce(postgres_server, database, "news", "1")
            await until(lambda: ("news", "1") in ear.heard)

    assert ("news", "missed") not in ear.heard


async def test_backend_that_is_ended_is_replaced(postgres_server, database):
    """The server may end a connection at any time, as it does where it restarts."""
    async with Ear(postgres_server.address, database).listening() as ear:
        postgres_server.query("SELECT pg_terminate_backend(%s)", ear.backends[0])
        await until(lambda: ear.heard.count(("", "")) == 2)

    assert len(ear.backends) >= 2


async def test_nobody_is_called_after_the_end(postgres_server, database):
    """Once the block is left nothing comes any more, and the connection goes soon."""
    async with Ear(postgres_server.address, database).listening() as ear:
        heard = len(ear.heard)
    announce(postgres_server, database, "news", "late")
    await until(
        lambda: (
            postgres_server.query("SELECT 1 FROM pg_stat_activity WHERE pid = %s", ear.backends[0])
            == []
        )
    )

    assert len(ear.heard) == heard


async def test_bridge_hears_what_another_one_commits(postgres_url, open_as):
    """A database listens with the address and the password that it has."""
    heard = []
    with (
        open_as(postgres_url, "a") as ours,
        open_as(postgres_url, "b") as other,
        ours.listen(("news",), lambda *what: heard.append(what)),
    ):
        await until(lambda: heard)
        with other.transaction() as transaction:
            transaction.query("SELECT pg_notify('news', '1')")
        await until(lambda: ("news", "1") in heard)
